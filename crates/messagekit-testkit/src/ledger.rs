//! A ledger of requests, written outside the process under test, and the verdict over their effects.
//!
//! The process that drives a test writes the ledger. The process that may be killed never writes it. Each line is one JSON
//! object and is on disk when [`Ledger::record`] returns. A crash of any process therefore loses no recorded request.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The answer of the process under test for an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The order was requested and not answered: it may be applied or not.
    Asked,
    /// The process reported a commit: the order must be applied, or be a failed message.
    Confirmed,
    /// The process reported a rollback: the order must have no effect.
    Withdrawn,
}

/// One line of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The answer of the process.
    pub kind: Kind,
    /// The id of the order.
    pub id: String,
    /// The amount of the order.
    pub amount: i64,
}

/// A ledger file that is open for writing.
#[derive(Debug)]
pub struct Ledger {
    file: File,
}

impl Ledger {
    /// Opens a ledger for appending, and creates the file if it is absent. It cuts off a last line that a crash has torn:
    /// `record` never returned for that line.
    ///
    /// # Errors
    /// Returns the error of the file system.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        if whole < text.len() {
            file.set_len(whole as u64)?;
        }
        Ok(Self { file })
    }

    /// Appends a line, which is on disk when the call returns.
    ///
    /// # Errors
    /// Returns the error of the file system.
    pub fn record(&mut self, kind: Kind, id: &str, amount: i64) -> io::Result<()> {
        let mut line = serde_json::to_vec(&Entry { kind, id: id.to_owned(), amount })?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        self.file.sync_data()
    }

    /// Reads every complete line and ignores a last line that a crash has torn.
    ///
    /// # Errors
    /// Returns the error of the file system, and [`InvalidData`](io::ErrorKind::InvalidData) for a complete line that is no
    /// entry.
    pub fn read(path: impl AsRef<Path>) -> io::Result<Vec<Entry>> {
        let text = std::fs::read_to_string(path)?;
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let broken = |error: serde_json::Error| io::Error::new(io::ErrorKind::InvalidData, error);
        whole.lines().map(|line| serde_json::from_str(line).map_err(broken)).collect()
    }
}

/// The comparison of a ledger with a database. Lists are sorted by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Orders that are confirmed, and neither applied nor failed messages.
    pub lost: Vec<String>,
    /// Orders that are applied more than once.
    pub doubled: Vec<String>,
    /// Orders that are applied, and are open failed messages as well.
    pub applied_and_dead: Vec<String>,
    /// Orders that are applied or dead, and were never requested or were withdrawn.
    pub phantom: Vec<String>,
    /// Orders that are applied with another amount than the requested one.
    pub changed: Vec<String>,
    /// The sum of the confirmed amounts.
    pub confirmed_sum: i64,
    /// The sum of the applied amounts.
    pub applied_sum: i64,
    /// The number of orders that are applied and were never confirmed. That is allowed: an answer can be lost.
    pub unconfirmed_applied: usize,
    /// The number of open failed messages.
    pub dead: usize,
}

impl Verdict {
    /// Returns whether every promise was kept.
    pub fn is_clean(&self) -> bool {
        let broken = [&self.lost, &self.doubled, &self.applied_and_dead, &self.phantom, &self.changed];
        broken.iter().all(|list| list.is_empty())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} lost, {} doubled, {} applied and dead, {} phantom, {} changed; confirmed {}, applied {}, {} failed messages, {} applied without an answer",
            self.lost.len(),
            self.doubled.len(),
            self.applied_and_dead.len(),
            self.phantom.len(),
            self.changed.len(),
            self.confirmed_sum,
            self.applied_sum,
            self.dead,
            self.unconfirmed_applied
        )
    }
}

/// Compares a ledger with a database. `check` takes one `(id, amount)` for each effect row, and the id of each open
/// failed message.
pub fn check(
    ledger: &[Entry],
    effects: impl IntoIterator<Item = (String, i64)>,
    failed_messages: impl IntoIterator<Item = String>,
) -> Verdict {
    let of = |kind: Kind| -> BTreeMap<&str, i64> {
        let entries = ledger.iter().filter(|entry| entry.kind == kind);
        entries.map(|entry| (entry.id.as_str(), entry.amount)).collect()
    };
    let confirmed = of(Kind::Confirmed);
    let mut asked = of(Kind::Asked);
    asked.extend(&confirmed);
    let withdrawn = of(Kind::Withdrawn);
    asked.retain(|id, _| !withdrawn.contains_key(id));
    let mut applied: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for (id, amount) in effects {
        applied.entry(id).or_default().push(amount);
    }
    let dead: BTreeSet<String> = failed_messages.into_iter().collect();
    let owned = |ids: Vec<&str>| ids.into_iter().map(str::to_owned).collect::<Vec<_>>();

    let found: BTreeSet<&str> = applied.keys().chain(&dead).map(String::as_str).collect();
    let changed = applied.iter().filter(|(id, amounts)| {
        asked.get(id.as_str()).is_some_and(|asked| amounts.iter().any(|amount| amount != asked))
    });
    Verdict {
        lost: owned(confirmed.keys().copied().filter(|id| !found.contains(id)).collect()),
        doubled: applied.iter().filter(|(_, amounts)| amounts.len() > 1).map(|(id, _)| id.clone()).collect(),
        applied_and_dead: applied.keys().filter(|id| dead.contains(*id)).cloned().collect(),
        phantom: owned(found.iter().copied().filter(|id| !asked.contains_key(id)).collect()),
        changed: changed.map(|(id, _)| id.clone()).collect(),
        confirmed_sum: confirmed.values().sum(),
        applied_sum: applied.values().flatten().sum(),
        unconfirmed_applied: applied.keys().filter(|id| !confirmed.contains_key(id.as_str())).count(),
        dead: dead.len(),
    }
}
