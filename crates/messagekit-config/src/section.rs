//! One section of a configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::problems::problem;
use super::reader::Reader;
use super::value::{Form, Layer};
use super::{Secret, Setting, Value};

/// Reads one section of a [`Configuration`](super::Configuration). An invalid value counts as absent;
/// [`Configuration::finish`](super::Configuration::finish) reports it.
pub struct Section<'a> {
    reader: &'a Reader,
    path: String,
    entries: Option<&'a BTreeMap<String, Value>>,
    /// Location of the section; `None` if it is absent.
    location: Option<&'a str>,
}

impl<'a> Section<'a> {
    pub(super) fn of(reader: &'a Reader, path: String, value: Option<&'a Value>) -> Self {
        let entries = value.and_then(Value::table);
        let mut read = reader.keys();
        if let Some(value) = value.filter(|_| entries.is_none()) {
            let text = format!("expected a section, found something else: write [{path}]");
            read.report(problem(&path, &value.location, &text));
            read.values.insert(path.clone());
        }
        read.sections.insert(path.clone());
        drop(read);
        Self { reader, path, entries, location: value.map(|value| &*value.location) }
    }

    pub(super) fn all_of(reader: &'a Reader, path: String, value: Option<&'a Value>) -> Vec<Self> {
        reader.keys().sections.insert(path.clone());
        match value.map(|value| (value, &value.form)) {
            None => Vec::new(),
            Some((_, Form::List(entries))) => {
                let entry = |(index, entry)| Self::of(reader, format!("{path}.{index}"), Some(entry));
                entries.iter().enumerate().map(entry).collect()
            }
            Some((value, _)) => {
                let text = format!("expected a list of sections, found something else: write [[{path}]]");
                let mut read = reader.keys();
                read.report(problem(&path, &value.location, &text));
                read.values.insert(path);
                Vec::new()
            }
        }
    }

    /// Returns whether any value of the section is set.
    pub fn is_written(&self) -> bool {
        self.location.is_some()
    }

    /// Returns the location of a value or of the section, for problems found later.
    pub fn written_at(&self, key: &str) -> String {
        let value = self.entries.and_then(|entries| entries.get(key)).map(|value| &*value.location);
        match value.or(self.location).or(self.reader.file.as_deref()) {
            Some(location) => location.to_owned(),
            None => self.variable(key),
        }
    }

    /// Returns the section `[this.name]`; an absent section is empty.
    pub fn section(&self, name: &str) -> Section<'a> {
        let value = self.entries.and_then(|entries| entries.get(name));
        Section::of(self.reader, self.key(name), value)
    }

    /// Returns every section `[[this.name]]` in file order.
    pub fn sections(&self, name: &str) -> Vec<Section<'a>> {
        let value = self.entries.and_then(|entries| entries.get(name));
        Section::all_of(self.reader, self.key(name), value)
    }

    /// Returns a required value; `None` only if that is a reported problem.
    pub fn required<T: Setting>(&self, key: &str) -> Option<T> {
        let value = self.value(key);
        if value.is_none() {
            self.missing(key, "it");
        }
        self.converted(key, value?)
    }

    /// Returns a value, or `None` if it is absent.
    pub fn optional<T: Setting>(&self, key: &str) -> Option<T> {
        self.value(key).and_then(|value| self.converted(key, value))
    }

    /// Returns a value, or `default` if it is absent.
    pub fn or<T: Setting>(&self, key: &str, default: T) -> T {
        self.optional(key).unwrap_or(default)
    }

    /// Returns a path, or `None` if it is absent. A relative path in a file starts at the file's folder; in a variable,
    /// at the working folder.
    pub fn path(&self, key: &str) -> Option<PathBuf> {
        let value = self.value(key)?;
        let path: String = self.converted(key, value)?;
        Some(self.resolved(value, path.as_ref()))
    }

    /// Returns a secret that is set as `key`, or stored in the file that `key_file` names; `None` if neither is set.
    /// Trailing line breaks of the file are ignored. A variable takes precedence over the file, whichever of the two it
    /// sets.
    pub fn secret(&self, key: &str) -> Option<Secret> {
        let file_key = format!("{key}_file");
        let (here, there) = (self.value(key), self.value(&file_key));
        let (here, there) = match (here, there) {
            (Some(here), Some(there)) if here.layer == there.layer => {
                self.problem(key, format!("{key} and {file_key} are both set: write one of them"));
                return None;
            }
            (Some(here), Some(there)) if here.layer > there.layer => (Some(here), None),
            (Some(_), there @ Some(_)) => (None, there),
            one => one,
        };
        if let Some(here) = here {
            return match here.text() {
                Ok("") => self.refused(key, "the secret is empty"),
                Ok(secret) => Some(Secret::new(secret)),
                // Do not repeat the value: a number may be the secret.
                Err(_) => self.refused(key, "expected a text: put it in quotes"),
            };
        }
        let there = there?;
        let path: String = self.converted(&file_key, there)?;
        let path = self.resolved(there, path.as_ref());
        match std::fs::read_to_string(&path) {
            Ok(text) => match text.trim_end_matches(['\r', '\n']) {
                "" => self.refused(&file_key, &format!("{} is empty", path.display())),
                secret => Some(Secret::new(secret)),
            },
            Err(error) => self.refused(&file_key, &format!("{} cannot be read: {error}", path.display())),
        }
    }

    /// Returns a required [`secret`](Self::secret); `None` only if that is a reported problem.
    pub fn required_secret(&self, key: &str) -> Option<Secret> {
        if self.value(key).is_none() && self.value(&format!("{key}_file")).is_none() {
            self.missing(key, &format!("it, or {key}_file,"));
            return None;
        }
        self.secret(key)
    }

    /// Reports a problem of a key that only the program can detect: `finish` refuses the configuration.
    pub fn problem(&self, key: &str, text: impl fmt::Display) {
        self.reader.keys().report(problem(&self.key(key), &self.written_at(key), &text));
    }

    /// Takes every key of the section for known.
    pub(super) fn ignore(&self) {
        self.reader.keys().values.insert(self.path.clone());
    }

    fn value(&self, key: &str) -> Option<&'a Value> {
        self.reader.keys().values.insert(self.key(key));
        self.entries.and_then(|entries| entries.get(key))
    }

    fn converted<T: Setting>(&self, key: &str, value: &Value) -> Option<T> {
        T::read(value).map_err(|text| self.problem(key, text)).ok()
    }

    fn refused<T>(&self, key: &str, text: &str) -> Option<T> {
        self.problem(key, text);
        None
    }

    fn missing(&self, key: &str, what: &str) {
        self.problem(
            key,
            format!("missing: write {what} into [{}], or set {}", self.heading(), self.variable(key)),
        );
    }

    fn resolved(&self, value: &Value, path: &Path) -> PathBuf {
        if value.layer == Layer::File { self.reader.folder.join(path) } else { path.to_owned() }
    }

    fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    /// Returns the path without entry numbers, as written in brackets.
    fn heading(&self) -> String {
        let names = self.path.split('.').filter(|name| name.parse::<usize>().is_err());
        names.collect::<Vec<_>>().join(".")
    }

    /// Returns the name of the variable that sets a key.
    pub fn variable(&self, key: &str) -> String {
        format!("MESSAGEKIT_{}", self.key(key).replace('.', "__").to_ascii_uppercase())
    }
}

impl fmt::Debug for Section<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Section")
            .field("path", &self.path)
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}
