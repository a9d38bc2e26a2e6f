//! The tables' version, and how it grows.
//!
//! The file is the user's too: the version stands in a table of its own, and `user_version` and `application_id` are
//! never touched.

use std::path::Path;

use jiff::Timestamp;
use messagekit::{Error, ErrorKind};
use rusqlite::{Connection, OptionalExtension};

use crate::error::from_sqlite;
use crate::open;

/// One step of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migration {
    /// Its number, from 1 without gaps.
    pub version: u32,
    /// What it is about.
    pub name: &'static str,
    /// Its statements.
    pub sql: &'static str,
}

/// Every step that this program knows, in order.
pub const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "tables", sql: include_str!("../migrations/0001_tables.sql") },
    Migration { version: 2, name: "operations", sql: include_str!("../migrations/0002_operations.sql") },
    Migration { version: 3, name: "parking", sql: include_str!("../migrations/0003_parking.sql") },
    Migration { version: 4, name: "relay", sql: include_str!("../migrations/0004_relay.sql") },
    Migration { version: 5, name: "cleanup", sql: include_str!("../migrations/0005_cleanup.sql") },
    Migration {
        version: 6,
        name: "suspect_notes",
        sql: include_str!("../migrations/0006_suspect_notes.sql"),
    },
    Migration {
        version: 7,
        name: "complete_since",
        sql: include_str!("../migrations/0007_complete_since.sql"),
    },
];

const VERSION_TABLE: &str = "CREATE TABLE IF NOT EXISTS messagekit_schema (
  version    INTEGER PRIMARY KEY,
  name       TEXT NOT NULL,
  applied_at INTEGER NOT NULL
) STRICT";

/// How far the tables of a file are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The version of the file; 0 without tables, or without a file.
    pub current: u32,
    /// The version that this program wants.
    pub latest: u32,
    /// The steps that are missing, in order.
    pub pending: Vec<&'static str>,
}

/// Looks at a file without changing it; a missing one has version 0.
///
/// Blocks its thread.
///
/// # Errors
/// As [`SqliteStore::open`](crate::SqliteStore::open).
pub fn status(path: impl AsRef<Path>) -> Result<Status, crate::Error> {
    let current = look(path.as_ref())?;
    let pending = pending(current).map(|migration| migration.name).collect();
    Ok(Status { current, latest: latest(), pending })
}

/// Returns the statements that [`migrate`] would run on a file, to be read by a person.
///
/// Blocks its thread.
///
/// # Errors
/// As [`SqliteStore::open`](crate::SqliteStore::open).
pub fn pending_sql(path: impl AsRef<Path>) -> Result<String, crate::Error> {
    let mut text = String::new();
    for Migration { version, name, sql } in pending(look(path.as_ref())?) {
        text.push_str(&format!("-- {version:04} {name}\n{}\n", sql.trim_end()));
    }
    Ok(text)
}

/// Brings the tables of a file up to date, makes the file if it is not there, and returns which steps were run.
///
/// Several processes may do this at once. Blocks its thread.
///
/// # Errors
/// As [`SqliteStore::open`](crate::SqliteStore::open).
pub fn migrate(path: impl AsRef<Path>) -> Result<Vec<&'static str>, crate::Error> {
    let path = open::absolute(path.as_ref())?;
    let before = look(&path)?;
    let conn = open::writer(&path, crate::Synchronous::Full)?;
    let after = version(&conn)?;
    Ok(pending(before)
        .take_while(|migration| migration.version <= after)
        .map(|migration| migration.name)
        .collect())
}

fn look(path: &Path) -> Result<u32, Error> {
    let path = open::absolute(path)?;
    if !path.exists() {
        return Ok(0);
    }
    let conn = open::existing(&path)?;
    check(&conn).map_err(|error| open::explain(&path, error))
}

/// Refuses a file that this program must not change, and returns its version.
pub(crate) fn check(conn: &Connection) -> Result<u32, Error> {
    let current = version(conn)?;
    if current > latest() {
        return Err(Error::new(
            ErrorKind::Schema,
            "open database: tables are newer than this program: upgrade the program, or name another file",
        )
        .with("file", current)
        .with("program", latest()));
    }
    let strays = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'messagekit_*' LIMIT 1";
    if current == 0
        && let Some(name) =
            conn.query_row(strays, [], |row| row.get::<_, String>(0)).optional().map_err(from_sqlite)?
        && name != "messagekit_schema"
        // Another process may have made them between the two looks.
        && version(conn)? == 0
    {
        return Err(Error::new(
            ErrorKind::Schema,
            "open database: file has a table of ours and no version: rename that table, or name another file",
        )
        .with("table", name));
    }
    Ok(current)
}

/// Runs what is missing, each step in a transaction of its own, and returns the version.
pub(crate) fn run(conn: &Connection) -> Result<u32, Error> {
    while version(conn)? < latest() {
        // Another process may migrate at the same moment, so the version counts that is read under the lock.
        conn.execute_batch("BEGIN IMMEDIATE").map_err(from_sqlite)?;
        if let Err(error) = step(conn).and_then(|()| conn.execute_batch("COMMIT").map_err(from_sqlite)) {
            if !conn.is_autocommit() {
                conn.execute_batch("ROLLBACK").map_err(from_sqlite)?;
            }
            return Err(error);
        }
    }
    check(conn)
}

fn step(conn: &Connection) -> Result<(), Error> {
    conn.execute_batch(VERSION_TABLE).map_err(from_sqlite)?;
    let current = version(conn)?;
    let Some(Migration { version, name, sql }) = pending(current).next() else { return Ok(()) };
    let run = || {
        conn.execute_batch(sql)?;
        let row = (version, name, Timestamp::now().as_microsecond());
        conn.execute("INSERT INTO messagekit_schema (version, name, applied_at) VALUES (?1, ?2, ?3)", row)
    };
    run().map(drop).map_err(|error| {
        let error = from_sqlite(error);
        Error::new(error.kind(), "migrate").with("version", version).caused_by(error)
    })
}

/// Returns the version of the tables of a file; 0 without tables.
pub(crate) fn version(conn: &Connection) -> Result<u32, Error> {
    let exists = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'messagekit_schema'";
    if conn.query_row(exists, [], |row| row.get::<_, i64>(0)).map_err(from_sqlite)? == 0 {
        return Ok(0);
    }
    conn.query_row("SELECT coalesce(max(version), 0) FROM messagekit_schema", [], |row| row.get(0))
        .map_err(from_sqlite)
}

/// Returns the version that this program wants.
pub(crate) fn latest() -> u32 {
    MIGRATIONS.last().map_or(0, |migration| migration.version)
}

fn pending(current: u32) -> impl Iterator<Item = Migration> {
    MIGRATIONS.iter().copied().filter(move |migration| migration.version > current)
}

#[cfg(test)]
mod tests {
    use super::MIGRATIONS;

    #[test]
    fn versions_count_from_one_without_gaps() {
        let versions: Vec<u32> = MIGRATIONS.iter().map(|migration| migration.version).collect();
        assert_eq!(versions, (1..=versions.len() as u32).collect::<Vec<_>>());
    }
}
