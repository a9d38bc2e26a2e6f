//! Documents of services, as their programs print them, in a folder.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::command::{Answer, messagekit};

/// A version of an event that a service knows.
pub(crate) struct Known(Value);

/// A folder with a document for each service.
pub(crate) struct Services {
    folder: TempDir,
    files: Vec<String>,
}

impl Known {
    pub(crate) fn new(event_type: &str, version: &str, schema: Value) -> Self {
        let topic = event_type.rsplit_once('.').map_or(event_type, |(topic, _)| topic);
        Self(json!({"eventType": event_type, "topic": topic, "version": version, "schema": schema}))
    }

    pub(crate) fn topic(mut self, topic: &str) -> Self {
        self.0["topic"] = topic.into();
        self
    }

    pub(crate) fn upcast_from(mut self, versions: &[&str]) -> Self {
        self.0["earlier"] = json!(versions);
        self
    }

    fn named(&self) -> Value {
        json!({"eventType": self.0["eventType"], "version": self.0["version"]})
    }
}

impl Services {
    pub(crate) fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), files: Vec::new() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Adds a service; `others` are structs that it neither writes nor reads itself.
    pub(crate) fn with(mut self, name: &str, writes: &[Known], reads: &[Known], others: &[Known]) -> Self {
        let file = format!("{}.json", self.files.len());
        let named = |known: &[Known]| known.iter().map(Known::named).collect::<Vec<_>>();
        let events: Vec<&Value> = writes.iter().chain(reads).chain(others).map(|known| &known.0).collect();
        let service = json!({"name": name, "owner": format!("team-{name}"), "writes": named(writes), "reads": named(reads)});
        let document = json!({"format": 1, "service": service, "events": events});
        fs::write(self.path(&file), document.to_string()).unwrap();
        self.files.push(file);
        self
    }

    /// Runs a command of the catalog on all documents.
    pub(crate) fn run(&self, command: &str, options: &[&str]) -> Answer {
        let files: Vec<String> = self.files.iter().map(|file| self.text(file)).collect();
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        messagekit(&[&["catalog", command], &files[..], options].concat())
    }

    /// Renders into a folder of this name, and returns its path.
    pub(crate) fn render(&self, name: &str) -> PathBuf {
        self.run("render", &["--to", &self.text(name)]).text();
        self.path(name)
    }

    /// Returns the path of a file in the folder as text.
    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Gives the documents in the other order.
    pub(crate) fn reversed(mut self) -> Self {
        self.files.reverse();
        self
    }
}

/// Returns the files under a folder with their contents, by path.
pub(crate) fn tree(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            found.extend(tree(&path).into_iter().map(|(inner, text)| (format!("{name}/{inner}"), text)));
        } else {
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
    found.sort();
    found
}

/// Returns the schema of an object; names that end in `!` are required.
pub(crate) fn object(fields: &[(&str, Value)]) -> Value {
    let required: Vec<&str> = fields.iter().filter_map(|(name, _)| name.strip_suffix('!')).collect();
    let properties: serde_json::Map<String, Value> =
        fields.iter().map(|(name, schema)| (name.trim_end_matches('!').to_owned(), schema.clone())).collect();
    json!({"type": "object", "properties": properties, "required": required})
}
