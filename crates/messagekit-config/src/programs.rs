//! The sections of messagekit's own programs, and of a service beside them.

use messagekit::{Error, ErrorKind};

use super::{Configuration, Section};

/// All of them: the programs may share a file, and each passes over those of the others. A service has a file of its own.
const SECTIONS: [&str; 12] = [
    "admin",
    "token",
    "service",
    "bridge",
    "rule",
    "bookkeeper",
    "relay",
    "database",
    "log",
    "topics",
    "kafka",
    "rabbitmq",
];

impl Configuration {
    /// Declares which sections of messagekit's programs this program reads. The others may be in the same file, and are skipped.
    pub fn reads_only(&self, own: &[&str]) {
        let others: Vec<&str> = SECTIONS.into_iter().filter(|section| !own.contains(section)).collect();
        self.passes_over(&others);
    }

    /// Returns the section of a service that is built with messagekit: the one with its name, where `_` stands for `-`. Of the sections of
    /// messagekit's programs, those are skipped that the service does not read.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] if no variable could name the section, or if it is one of messagekit's own.
    pub fn service(&self, name: &str) -> Result<Section<'_>, Error> {
        let section = name.replace('-', "_");
        let begins = section.starts_with(|first: char| first.is_ascii_lowercase());
        let goes_on = |other: char| other.is_ascii_lowercase() || other.is_ascii_digit() || other == '_';
        let refused =
            |text: &str| Error::new(ErrorKind::InvalidConfiguration, text.to_owned()).with("name", name);
        if !begins || !section.chars().all(goes_on) || section.contains("__") || section.ends_with('_') {
            return Err(refused(
                "the name of a service is words of a-z and 0-9 with single - or _ between them, and begins with a letter",
            ));
        }
        if SECTIONS.contains(&&*section) {
            return Err(refused("a service cannot have the name of a section of messagekit's own"));
        }
        self.passes_over(&SECTIONS);
        Ok(self.section(&section))
    }
}
