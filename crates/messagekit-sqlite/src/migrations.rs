//! The schema version of the tables, and the steps that raise it.
//!
//! The file is also the user's: the version has its own table, and `user_version` and `application_id` are never changed.

pub(crate) mod steps;

use std::path::Path;

use messagekit::Error;
use messagekit::adapter::{MigrationSteps, SchemaVersion};

use crate::{FileSystem, connect};
use steps::{VERSION_TABLE, check};

pub use messagekit::adapter::{Migration, MigrationStatus as Status};
pub use steps::MIGRATIONS;
pub(crate) use steps::{this_program, version};

/// Returns the schema version of a file without changing it; a missing file has version 0.
///
/// Blocks its thread.
///
/// # Errors
/// As [`SqliteStore::open`](crate::SqliteStore::open).
pub fn status(path: impl AsRef<Path>) -> Result<Status, crate::Error> {
    Ok(MigrationSteps(MIGRATIONS).status(look(path.as_ref())?))
}

/// Returns the statements that [`migrate`] would run on a file, for review.
///
/// Blocks its thread.
///
/// # Errors
/// As [`SqliteStore::open`](crate::SqliteStore::open).
pub fn pending_sql(path: impl AsRef<Path>) -> Result<String, crate::Error> {
    let current = look(path.as_ref())?.current;
    let mut text = if current == 0 { format!("{VERSION_TABLE};\n\n") } else { String::new() };
    for Migration { version, name, sql, .. } in MigrationSteps(MIGRATIONS).pending(current) {
        text.push_str(&format!("-- {version:04} {name}\n{}\n", sql.trim_end()));
    }
    Ok(text)
}

/// Migrates the tables of a file to this program's version, creates a missing file, and returns the steps that this call
/// ran. Tables that are newer, and that this program can use, are left alone.
///
/// Several processes may call it at once. Blocks its thread.
///
/// # Errors
/// As [`SqliteStore::open`](crate::SqliteStore::open).
pub fn migrate(path: impl AsRef<Path>) -> Result<Vec<&'static str>, crate::Error> {
    let path = connect::absolute(path.as_ref())?;
    FileSystem::of(&path).check(&path)?;
    let before = look(&path)?.current;
    let conn = connect::writer(&path, crate::Synchronous::Full)?;
    let after = version(&conn)?.current;
    Ok(MigrationSteps(MIGRATIONS)
        .pending(before)
        .take_while(|migration| migration.version <= after)
        .map(|migration| migration.name)
        .collect())
}

fn look(path: &Path) -> Result<SchemaVersion, Error> {
    let path = connect::absolute(path)?;
    if !path.exists() {
        return Ok(SchemaVersion::default());
    }
    let conn = connect::existing(&path)?;
    check(&conn).map_err(|error| connect::explain(&path, error))
}
