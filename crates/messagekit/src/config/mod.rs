//! Settings of a program: variables of the environment over a TOML file over defaults.
//!
//! A program asks for its settings section by section, and then asks [`Configuration::finish`] whether all of them could be
//! read. Every problem is told at once, each with its key and the place where it was written.
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
//! `MESSAGEKIT_BRIDGE__DRAIN` is `drain` of `[bridge]`, `MESSAGEKIT_RULE__0__TOPICS` is `topics` of the first `[[rule]]`: two
//! underscores part the names. Commas part the entries of a list. An empty variable counts as not set. A variable without two
//! underscores is no setting. The names `EVENTING_…` of messagekit for Python are read where they have a counterpart
//! ([`ALIASES`]) and the new name is not set.
//!
//! # Secrets
//!
//! A [`Secret`] is given as `key`, or as `key_file`, a file that holds it. Neither errors nor `Debug` show one.

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

/// The settings of a program, and what is wrong with them.
///
/// It remembers what was asked for, so that [`finish`](Self::finish) can refuse what nobody asked for.
pub struct Configuration {
    /// The file as a person knows it; `None` without one.
    file: Option<String>,
    /// Where relative paths in the file begin.
    folder: PathBuf,
    values: BTreeMap<String, Value>,
    asked: Mutex<Asked>,
}

/// What a program has asked for so far, by the path of the key: `rule.0.topics`.
#[derive(Default)]
struct Asked {
    values: BTreeSet<String>,
    sections: BTreeSet<String>,
    elsewhere: BTreeSet<String>,
    problems: Vec<String>,
}

impl Asked {
    /// Keeps a problem; one that is asked for twice is told once.
    fn tell(&mut self, problem: String) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }
}

impl Configuration {
    /// Reads the file, where there is one, and the variables of this process.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] when the file cannot be read or is not TOML: with every mistake, its line and
    /// column.
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

    /// Reads a text as the file of this name, and these variables. Relative paths in it begin in the working folder.
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

    /// Returns the section `[name]`; one that is not written is empty.
    pub fn section(&self, name: &str) -> Section<'_> {
        Section::of(self, name.to_owned(), self.values.get(name))
    }

    /// Returns every section `[[name]]`, in the order in which they are written.
    pub fn sections(&self, name: &str) -> Vec<Section<'_>> {
        Section::all_of(self, name.to_owned(), self.values.get(name))
    }

    /// Says that sections belong to other programs that share the file: they are passed over.
    pub fn passes_over(&self, names: &[&str]) {
        self.asked().elsewhere.extend(names.iter().map(|name| (*name).to_owned()));
    }

    /// Returns every problem so far in the order in which they were found, then every key that nobody has asked for.
    pub fn problems(&self) -> Vec<String> {
        let asked = self.asked();
        let mut problems = asked.problems.clone();
        unknown::find(&self.values, &asked, &mut problems);
        problems
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] with every problem, keys that nobody has asked for included.
    pub fn finish(&self) -> Result<(), Error> {
        refuse(&self.problems())
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        // A list of names is whole at every moment.
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refuses a configuration for its problems, as [`Configuration::finish`] does: for programs that find more of them behind the
/// last section.
///
/// # Errors
/// [`ErrorKind::InvalidConfiguration`] with all of them, unless there are none.
pub fn refuse(problems: &[String]) -> Result<(), Error> {
    let text = match problems {
        [] => return Ok(()),
        [problem] => problem.clone(),
        several => format!("{} problems in the configuration: {}", several.len(), several.join("; ")),
    };
    Err(Error::new(ErrorKind::InvalidConfiguration, text))
}

impl std::fmt::Debug for Configuration {
    /// Shows no value: some of them are secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Configuration").field("file", &self.file).finish_non_exhaustive()
    }
}
