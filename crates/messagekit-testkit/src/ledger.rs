//! What was really asked for, kept outside the process under test, and the verdict over what became of it.
//!
//! The process that drives a test writes the ledger; the process that may be killed never does. Each line is one JSON
//! object and is on disk when [`Ledger::record`] returns, so that a crash of anybody leaves the truth behind.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// What is known about an order to the process under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It was asked for: it may be applied or not.
    Asked,
    /// The process said that it is committed: it must be applied, or be a failed message.
    Confirmed,
    /// The process said that it is rolled back: nothing of it may be there.
    Withdrawn,
}

/// One line of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What is known.
    pub kind: Kind,
    /// Which order.
    pub id: String,
    /// How much.
    pub amount: i64,
}

/// The file that is written.
#[derive(Debug)]
pub struct Ledger {
    file: File,
}

impl Ledger {
    /// Opens a ledger for appending, and makes it if it is not there. A line that a crash has torn is cut off: it was never
    /// promised to anybody.
    ///
    /// # Errors
    /// What the file system says.
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

    /// Appends a line; on disk when it returns.
    ///
    /// # Errors
    /// What the file system says.
    pub fn record(&mut self, kind: Kind, id: &str, amount: i64) -> io::Result<()> {
        let mut line = serde_json::to_vec(&Entry { kind, id: id.to_owned(), amount })?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        self.file.sync_data()
    }

    /// Reads every whole line; a last one that was torn by a crash does not count.
    ///
    /// # Errors
    /// What the file system says, and [`InvalidData`](io::ErrorKind::InvalidData) for a whole line that is no entry.
    pub fn read(path: impl AsRef<Path>) -> io::Result<Vec<Entry>> {
        let text = std::fs::read_to_string(path)?;
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let broken = |error: serde_json::Error| io::Error::new(io::ErrorKind::InvalidData, error);
        whole.lines().map(|line| serde_json::from_str(line).map_err(broken)).collect()
    }
}

/// What the ledger and the database say together. Lists are sorted by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Confirmed, and neither applied nor a failed message.
    pub lost: Vec<String>,
    /// Applied more than once.
    pub doubled: Vec<String>,
    /// Applied, and an open failed message as well.
    pub applied_and_dead: Vec<String>,
    /// Applied or dead without having been asked for, or although it was withdrawn.
    pub phantom: Vec<String>,
    /// Applied with another amount than asked for.
    pub changed: Vec<String>,
    /// The sum of what was confirmed.
    pub confirmed_sum: i64,
    /// The sum of what was applied.
    pub applied_sum: i64,
    /// Asked for and never confirmed, but applied: allowed, because an answer can be lost.
    pub unconfirmed_applied: usize,
    /// Open failed messages.
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

/// Compares a ledger with what is found in the database: one `(id, amount)` for each effect row, and the id of each open
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
