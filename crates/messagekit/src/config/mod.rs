//! Settings of a program: environment variables over a TOML file over defaults.
//!
//! A program reads its settings section by section, then calls [`Configuration::finish`]. Every problem is reported at
//! once, each with its key and location.
//!
//! ```
//! use std::time::Duration;
//!
//! use messagekit::config::Configuration;
//!
//! let file = r#"
//!     [bridge]
//!     name = "shop"
//!     drain = "30s"
//!
//!     [[rule]]
//!     topics = ["orders.order"]
//! "#;
//! let environment = [("MESSAGEKIT_BRIDGE__DRAIN", "5s"), ("MESSAGEKIT_BRIDGE__URL", "amqp://me:secret@rabbit")];
//! let configuration = Configuration::read(("bridge.toml", file), environment)?;
//!
//! let bridge = configuration.section("bridge");
//! let name = bridge.required::<String>("name");
//! let drain = bridge.or("drain", Duration::from_secs(10));
//! let url = bridge.required_secret("url");
//! let rules: Vec<_> =
//!     configuration.sections("rule").iter().map(|rule| rule.required::<Vec<String>>("topics")).collect();
//! configuration.finish()?;
//!
//! // What was required is there when `finish` found no problem.
//! assert_eq!(name.as_deref(), Some("shop"));
//! assert_eq!(drain, Duration::from_secs(5));
//! assert_eq!(url.unwrap().expose(), "amqp://me:secret@rabbit");
//! assert_eq!(rules, [Some(vec!["orders.order".to_owned()])]);
//! # Ok::<(), messagekit::Error>(())
//! ```
//!
//! # Variables
//!
//! `MESSAGEKIT_BRIDGE__DRAIN` sets `drain` of `[bridge]`, `MESSAGEKIT_RULE__0__TOPICS` sets `topics` of the first
//! `[[rule]]`: two underscores separate names. Commas separate the entries of a list. An empty variable counts as not
//! set. A variable without two underscores is not a setting. Variables `EVENTING_…` of messagekit for Python are read
//! if they have a counterpart ([`ALIASES`]) and the new name is not set.
//!
//! # Secrets
//!
//! A [`Secret`] is set as `key`, or as `key_file`, the path of a file that holds it. Errors and `Debug` never show it.

mod alias;
mod environment;
mod file;
mod secret;
mod section;
mod setting;
mod unknown;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use alias::ALIASES;
pub use secret::Secret;
pub use section::Section;
pub use setting::Setting;
pub use value::Value;

use crate::{Error, ErrorKind};

/// Holds the settings of a program and their problems.
///
/// It records every key that the program reads, and [`finish`](Self::finish) refuses the other keys.
pub struct Configuration {
    /// Path of the file for messages; `None` without a file.
    file: Option<String>,
    /// Base folder of relative paths in the file.
    folder: PathBuf,
    values: BTreeMap<String, Value>,
    asked: Mutex<Asked>,
}

/// Keys that the program has read, by path: `rule.0.topics`.
#[derive(Default)]
struct Asked {
    values: BTreeSet<String>,
    sections: BTreeSet<String>,
    elsewhere: BTreeSet<String>,
    problems: Vec<String>,
}

impl Asked {
    /// Adds a problem; a repeated problem is reported once.
    fn tell(&mut self, problem: String) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }
}

impl Configuration {
    /// Reads the file, if there is one, and the environment variables of this process.
    ///
    /// # Errors
    /// Returns [`ErrorKind::InvalidConfiguration`] if the file cannot be read or is not TOML, with line and column of
    /// every mistake.
    pub fn load(file: Option<&Path>) -> Result<Self, Error> {
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            Some((name, value.to_string_lossy().into_owned()))
        });
        let Some(path) = file else { return Self::build(None, PathBuf::new(), variables) };
        let text = std::fs::read_to_string(path).map_err(|error| {
            Error::new(
                ErrorKind::InvalidConfiguration,
                "the configuration cannot be read: check path and rights",
            )
            .with("file", path.display())
            .caused_by(error)
        })?;
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        Self::build(Some((&path.display().to_string(), &text)), folder, variables)
    }

    /// Reads a text as the file `name` with the given variables. Relative paths in it start at the working folder.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn read<N: AsRef<str>, V: Into<String>>(
        file: (&str, &str),
        environment: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, Error> {
        let variables = environment.into_iter().map(|(name, value)| (name.as_ref().to_owned(), value.into()));
        Self::build(Some(file), PathBuf::new(), variables)
    }

    fn build(
        file: Option<(&str, &str)>,
        folder: PathBuf,
        variables: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, Error> {
        let mut values = match file {
            Some((name, text)) => file::parse(name, text)?,
            None => BTreeMap::new(),
        };
        let problems = environment::lay_over(&mut values, variables);
        let asked = Mutex::new(Asked { problems, ..Asked::default() });
        Ok(Self { file: file.map(|(name, _)| name.to_owned()), folder, values, asked })
    }

    /// Returns the section `[name]`; an absent section is empty.
    pub fn section(&self, name: &str) -> Section<'_> {
        Section::of(self, name.to_owned(), self.values.get(name))
    }

    /// Returns every section `[[name]]` in file order.
    pub fn sections(&self, name: &str) -> Vec<Section<'_>> {
        Section::all_of(self, name.to_owned(), self.values.get(name))
    }

    /// Declares sections of other programs that share the file; they are skipped.
    pub fn passes_over(&self, names: &[&str]) {
        self.asked().elsewhere.extend(names.iter().map(|name| (*name).to_owned()));
    }

    /// Returns every problem in the order found, then every unknown key.
    pub fn problems(&self) -> Vec<String> {
        let asked = self.asked();
        let mut problems = asked.problems.clone();
        unknown::find(&self.values, &asked, &mut problems);
        problems
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// Returns [`ErrorKind::InvalidConfiguration`] with every problem and every unknown key.
    pub fn finish(&self) -> Result<(), Error> {
        refuse(&self.problems())
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        // A panic cannot leave the lists inconsistent.
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refuses a configuration with problems, as [`Configuration::finish`] does: for programs that find problems after the
/// last section.
///
/// # Errors
/// Returns [`ErrorKind::InvalidConfiguration`] with all problems, unless there are none.
pub fn refuse(problems: &[String]) -> Result<(), Error> {
    let text = match problems {
        [] => return Ok(()),
        [problem] => problem.clone(),
        several => format!("{} problems in the configuration: {}", several.len(), several.join("; ")),
    };
    Err(Error::new(ErrorKind::InvalidConfiguration, text))
}

impl std::fmt::Debug for Configuration {
    /// Shows no value: some are secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Configuration").field("file", &self.file).finish_non_exhaustive()
    }
}
