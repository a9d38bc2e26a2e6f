//! The deliberate faults, recorded outside the database: ids and counts, one JSON object per line.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use messagekit::{Error, ErrorKind, MessageId};
use serde::{Deserialize, Serialize};

/// The ledger's name in the folder of a run.
pub(crate) const LEDGER: &str = "ledger.ndjson";

/// One line of the ledger.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Entry {
    /// A transaction was committed, and the commit succeeded.
    Committed(MessageId),
    /// A transaction was rolled back after it had written its row and its event.
    RolledBack(MessageId),
    /// A record was appended to the topic a second time.
    Duplicated(MessageId),
    /// The billing service was killed by SIGKILL.
    Killed(Kill),
}

/// A kill and the work that it left unfinished.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Kill {
    /// Records that were in the topic before the kill and were not handled after it.
    pub(crate) unfinished: i64,
}

/// Writes the ledger; every line is complete when its call returns.
#[derive(Debug)]
pub(crate) struct Ledger {
    path: PathBuf,
    file: Mutex<File>,
}

impl Ledger {
    /// Creates a ledger in a new file.
    pub(crate) fn create(path: &Path) -> Result<Self, Error> {
        let file = OpenOptions::new().append(true).create_new(true).open(path);
        let file = file.map_err(|error| trouble(path, "ledger cannot be made", error))?;
        Ok(Self { path: path.to_owned(), file: Mutex::new(file) })
    }

    pub(crate) fn note(&self, entry: &Entry) -> Result<(), Error> {
        let write = || -> std::io::Result<()> {
            let mut line = serde_json::to_vec(entry)?;
            line.push(b'\n');
            self.file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line)
        };
        write().map_err(|error| trouble(&self.path, "ledger cannot be written", error))
    }
}

/// Reads a ledger line by line.
pub(crate) fn read(path: &Path, mut each: impl FnMut(Entry)) -> Result<(), Error> {
    let file = File::open(path).map_err(|error| trouble(path, "ledger cannot be read", error))?;
    for (index, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(|error| trouble(path, "ledger cannot be read", error))?;
        let entry = serde_json::from_str(&line).map_err(|error| {
            Error::new(ErrorKind::Corrupt, "ledger holds a line that is no entry")
                .with("path", path.display())
                .with("line", index + 1)
                .caused_by(error)
        })?;
        each(entry);
    }
    Ok(())
}

fn trouble(path: &Path, what: &'static str, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, what).with("path", path.display()).caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(LEDGER);
        let ledger = Ledger::create(&path).unwrap();
        let noted = [Entry::Committed(MessageId::new()), Entry::Killed(Kill { unfinished: 3 })];
        noted.iter().for_each(|entry| ledger.note(entry).unwrap());
        let mut found = Vec::new();
        read(&path, |entry| found.push(entry)).unwrap();
        assert_eq!(found, noted);
        assert!(Ledger::create(&path).is_err());
    }

    #[test]
    fn a_broken_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(LEDGER);
        std::fs::write(&path, "{\"killed\":{\"unfinished\":1}}\nnonsense\n").unwrap();
        let error = read(&path, drop).unwrap_err();
        assert_eq!(error.context("line"), Some("2"));
    }
}
