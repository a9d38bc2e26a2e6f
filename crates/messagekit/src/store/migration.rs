//! The steps that make and raise the tables of a database.

use super::{KnownSteps, SchemaVersion};
use crate::Error;

/// One step of a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migration {
    /// Its number: each step has the next one.
    pub version: u32,
    /// What it adds.
    pub name: &'static str,
    /// The lowest program that can use the tables after it, by that program's newest step.
    pub lowest_program: u32,
    /// Its statements, with the tables under their usual names.
    pub sql: &'static str,
}

impl Migration {
    /// Returns the error of a step that failed, with its number.
    pub fn failed(self, error: Error) -> Error {
        Error::new(error.kind(), "migrate").with("version", self.version).caused_by(error)
    }
}

/// The steps of a program, in order.
#[derive(Clone, Copy, Debug)]
pub struct MigrationSteps<'a>(pub &'a [Migration]);

impl MigrationSteps<'_> {
    /// Returns the numbers of the steps.
    pub fn known(self) -> KnownSteps {
        let [first, latest] = [self.0.first(), self.0.last()].map(|step| step.map_or(0, |step| step.version));
        KnownSteps { first, latest }
    }

    /// Returns the steps above a version.
    pub fn pending(self, current: u32) -> impl Iterator<Item = Migration> {
        self.0.iter().copied().filter(move |step| step.version > current)
    }

    /// Returns what a program with these steps finds in a database of this version.
    pub fn status(self, found: SchemaVersion) -> MigrationStatus {
        let SchemaVersion { current, lowest_program } = found;
        let pending = self.pending(current).map(|step| step.name).collect();
        MigrationStatus { current, lowest_program, latest: self.known().latest, pending }
    }
}

/// The schema version of a database, and what a program would do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationStatus {
    /// The version of the database; 0 without tables.
    pub current: u32,
    /// The lowest program that can use the tables, by its newest step; 0 without tables.
    pub lowest_program: u32,
    /// The newest step of this program. The database may be ahead of it.
    pub latest: u32,
    /// The names of the missing steps, in order.
    pub pending: Vec<&'static str>,
}
