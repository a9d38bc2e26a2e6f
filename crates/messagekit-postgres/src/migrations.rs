//! The schema version of the tables, and the steps that raise it.
//!
//! The database is also the user's, so all tables, including the table of versions, are in their own schema. Each step
//! runs in one transaction under an advisory lock that ends with it. The connection is closed afterwards. A failed step
//! leaves nothing behind. When two processes migrate at once, the second finds the step done. Each step states the lowest
//! program that can use the tables after it, so that programs are replaced one after another: see docs/upgrading.md.

pub(crate) mod connection;
mod steps;

#[cfg(doc)]
use messagekit::ErrorKind;
use messagekit::adapter::MigrationSteps;

use crate::SchemaName;
use steps::{VERSION_TABLE, note, run};

pub use messagekit::adapter::{Migration, MigrationStatus as Status};
pub use steps::MIGRATIONS;
pub(crate) use steps::{check, check_encoding, known_version, this_program, version_of};

/// Returns the schema version of a database without changing it.
///
/// # Errors
/// [`ErrorKind::InvalidConfiguration`] for a wrong URL, user, password or database name, and for a database that is not
/// UTF-8; [`ErrorKind::Unavailable`] when the server does not answer within 10 s: retry; [`ErrorKind::Schema`] when the
/// tables are too new for this program or not ours; [`ErrorKind::Other`] when the user lacks a right.
pub async fn status(url: &str) -> Result<Status, crate::Error> {
    status_in(url, &SchemaName::default()).await
}

/// As [`status`], for tables in another schema.
///
/// # Errors
/// As [`status`].
pub async fn status_in(url: &str, schema: &SchemaName) -> Result<Status, crate::Error> {
    let mut conn = connection::open(url).await?;
    let found = known_version(&mut conn, schema, this_program()).await;
    connection::close(conn).await;
    Ok(MigrationSteps(MIGRATIONS).status(found?))
}

/// Returns the statements that [`migrate`] would run, for review or for `psql`; empty when there are none.
///
/// # Errors
/// As [`status`].
pub async fn pending_sql(url: &str) -> Result<String, crate::Error> {
    pending_sql_in(url, &SchemaName::default()).await
}

/// As [`pending_sql`], for tables in another schema.
///
/// # Errors
/// As [`status`].
pub async fn pending_sql_in(url: &str, schema: &SchemaName) -> Result<String, crate::Error> {
    let current = status_in(url, schema).await?.current;
    let mut text = String::new();
    if current == 0 {
        let table = schema.sql(VERSION_TABLE).0;
        text.push_str(&format!("CREATE SCHEMA IF NOT EXISTS {};\n\n{table};\n\n", schema.quoted()));
    }
    for migration in MigrationSteps(MIGRATIONS).pending(current) {
        let Migration { version, name, sql, .. } = migration;
        let (sql, note) = (schema.sql(sql).0, note(schema, migration));
        text.push_str(&format!("-- {version:04} {name}\n{}\n\n{note};\n\n", sql.trim_end()));
    }
    text.truncate(text.trim_end().len());
    if !text.is_empty() {
        text.insert_str(0, "SET standard_conforming_strings = on;\n\n");
    }
    Ok(text)
}

/// Migrates the tables of a database to this program's version, and returns the steps that this call ran. Tables that are newer,
/// and that this program can use, are left alone.
///
/// Several processes may call it at once: one runs the steps, the others find them done. The user needs the right to
/// create a schema in the database, or to own the schema.
///
/// # Errors
/// As [`status`]; [`ErrorKind::Conflict`] when another process holds a lock for longer than 30 s: retry. Committed steps
/// stay; the failed step leaves nothing.
///
/// # Cancel safety
/// Dropping the call closes the connection, and the server rolls the open step back.
pub async fn migrate(url: &str) -> Result<Vec<&'static str>, crate::Error> {
    migrate_in(url, &SchemaName::default()).await
}

/// As [`migrate`], for tables in another schema.
///
/// # Errors
/// As [`migrate`].
pub async fn migrate_in(url: &str, schema: &SchemaName) -> Result<Vec<&'static str>, crate::Error> {
    migrate_by(url, schema, MIGRATIONS).await
}

/// As [`migrate_in`], with given steps: for tests of later versions' steps.
///
/// # Errors
/// As [`migrate`].
#[doc(hidden)]
pub async fn migrate_by(
    url: &str,
    schema: &SchemaName,
    steps: &[Migration],
) -> Result<Vec<&'static str>, crate::Error> {
    let mut conn = connection::open(url).await?;
    let outcome = run(&mut conn, schema, steps).await;
    connection::close(conn).await;
    Ok(outcome?)
}
