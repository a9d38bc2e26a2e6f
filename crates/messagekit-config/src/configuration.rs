//! The settings of a program.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use messagekit::{Error, ErrorKind};

use super::problems::refuse;
use super::reader::Reader;
use super::{Section, Value, environment, file, unknown};

/// Holds the settings of a program and their problems.
///
/// It records every key that the program reads, and [`finish`](Self::finish) refuses the other keys.
pub struct Configuration {
    values: BTreeMap<String, Value>,
    reader: Reader,
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
        let reader = Reader::new(file.map(|(name, _)| name.to_owned()), folder, problems);
        Ok(Self { values, reader })
    }

    /// Returns the section `[name]`; an absent section is empty.
    pub fn section(&self, name: &str) -> Section<'_> {
        Section::of(&self.reader, name.to_owned(), self.values.get(name))
    }

    /// Returns every section `[[name]]` in file order.
    pub fn sections(&self, name: &str) -> Vec<Section<'_>> {
        Section::all_of(&self.reader, name.to_owned(), self.values.get(name))
    }

    /// Declares sections of other programs that share the file; they are skipped unless this program reads them, too.
    pub fn passes_over(&self, names: &[&str]) {
        self.reader.keys().elsewhere.extend(names.iter().map(|name| (*name).to_owned()));
    }

    /// Reports a problem that no key has: `finish` refuses the configuration.
    pub fn report(&self, problem: impl std::fmt::Display) {
        self.reader.keys().report(problem.to_string());
    }

    /// Returns every problem in the order found, then every unknown key.
    pub fn problems(&self) -> Vec<String> {
        let read = self.reader.keys();
        let mut problems = read.problems.clone();
        unknown::find(&self.values, &read, &mut problems);
        problems
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// Returns [`ErrorKind::InvalidConfiguration`] with every problem and every unknown key.
    pub fn finish(&self) -> Result<(), Error> {
        refuse(&self.problems())
    }

    /// Ends the reading, and returns the values that it gave: required ones are `Some` unless a problem was reported, so
    /// `first.zip(second)` has them all.
    ///
    /// ```
    /// use messagekit_config::Configuration;
    ///
    /// let configuration = Configuration::read(("shop.toml", "[shop]\nname = 'north'\n"), [("", "")])?;
    /// let shop = configuration.section("shop");
    /// let name = shop.required::<String>("name");
    /// let error = configuration.complete(name.zip(shop.required::<u16>("port"))).unwrap_err();
    /// assert!(error.to_string().contains("shop.port"));
    /// # Ok::<(), messagekit::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`finish`](Self::finish), and [`ErrorKind::InvalidConfiguration`] for `None` without a reported problem.
    pub fn complete<T>(&self, values: Option<T>) -> Result<T, Error> {
        self.finish()?;
        let absent =
            || Error::new(ErrorKind::InvalidConfiguration, "a value is absent that the program requires");
        values.ok_or_else(absent)
    }
}

impl std::fmt::Debug for Configuration {
    /// Shows no value: some are secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Configuration").field("file", &self.reader.file).finish_non_exhaustive()
    }
}
