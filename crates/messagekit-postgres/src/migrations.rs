//! The schema version of the tables, and the steps that raise it.
//!
//! The database is also the user's, so all tables, including the table of versions, are in their own schema. Each step
//! runs in one transaction under an advisory lock that ends with it. The connection is closed afterwards. A failed step
//! leaves nothing behind. When two processes migrate at once, the second finds the step done. Steps only add, so that
//! programs of the previous version keep working.

pub(crate) mod link;

use std::time::Duration;

use messagekit::{Error, ErrorKind};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::SchemaName;
use link::fault;

/// One migration step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migration {
    /// Its number, from 1 without gaps.
    pub version: i32,
    /// What it adds.
    pub name: &'static str,
    /// Its statements, for the schema `messagekit`.
    pub sql: &'static str,
}

/// Every step of this program, in order.
pub const MIGRATIONS: &[Migration] =
    &[Migration { version: 1, name: "schema", sql: include_str!("../migrations/0001_schema.sql") }];

const VERSION_TABLE: &str = "CREATE TABLE messagekit.schema_migrations (
  version    int PRIMARY KEY,
  name       text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
)";

/// How long a step waits for another migrating process, and for each table lock.
const LOCK_WAIT: Duration = Duration::from_secs(30);

/// The lock space of the advisory lock; the second part is the hash of the schema's name.
const LOCK_SPACE: i32 = 0x6d6b_6974;

/// The schema version of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The version of the database; 0 without tables.
    pub current: i32,
    /// The version that this program requires.
    pub latest: i32,
    /// The missing steps, in order.
    pub pending: Vec<&'static str>,
}

/// Returns the schema version of a database without changing it.
///
/// # Errors
/// [`ErrorKind::InvalidConfiguration`] for a wrong URL, user, password or database name, and for a database that is not
/// UTF-8; [`ErrorKind::Unavailable`] when the server does not answer within 10 s: retry; [`ErrorKind::Schema`] when the
/// tables are newer than this program or not ours; [`ErrorKind::Other`] when the user lacks a right.
pub async fn status(url: &str) -> Result<Status, crate::Error> {
    status_in(url, &SchemaName::default()).await
}

/// As [`status`], for tables in another schema.
///
/// # Errors
/// As [`status`].
pub async fn status_in(url: &str, schema: &SchemaName) -> Result<Status, crate::Error> {
    let mut conn = link::open(url).await?;
    let current = known_version(&mut conn, schema, latest()).await;
    link::close(conn).await;
    let current = current?;
    let pending = pending(MIGRATIONS, current).map(|migration| migration.name).collect();
    Ok(Status { current, latest: latest(), pending })
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
    for Migration { version, name, sql } in pending(MIGRATIONS, current) {
        let (sql, quoted) = (schema.sql(sql).0, schema.quoted());
        text.push_str(&format!(
            "-- {version:04} {name}\n{}\n\nINSERT INTO {quoted}.schema_migrations (version, name) VALUES ({version}, '{name}');\n\n",
            sql.trim_end()
        ));
    }
    text.truncate(text.trim_end().len());
    Ok(text)
}

/// Migrates the tables of a database to this program's version, and returns the steps that this call ran.
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
    let mut conn = link::open(url).await?;
    let outcome = run(&mut conn, schema, steps).await;
    link::close(conn).await;
    Ok(outcome?)
}

/// Refuses a database whose tables this program cannot use.
pub(crate) async fn check(conn: &mut PgConnection, schema: &SchemaName) -> Result<(), Error> {
    let current = known_version(conn, schema, latest()).await?;
    compare(current, latest()).map_err(|error| error.with("schema", schema))
}

/// Refuses a schema version other than the program's.
fn compare(current: i32, latest: i32) -> Result<(), Error> {
    let text = match current {
        _ if current == latest => return Ok(()),
        0 => "the tables of messagekit are missing: run `messagekit migrate --database …`",
        _ if current < latest => {
            "the tables are older than this program: run `messagekit migrate --database …`"
        }
        _ => "tables are newer than this program: upgrade the program, or name another database",
    };
    Err(Error::new(ErrorKind::Schema, text).with("database", current).with("program", latest))
}

async fn run(
    conn: &mut PgConnection,
    schema: &SchemaName,
    steps: &[Migration],
) -> Result<Vec<&'static str>, Error> {
    let mut done = Vec::new();
    // Writes nothing, and needs no right to write, when there is no step to run.
    while known_version(conn, schema, newest(steps)).await? < newest(steps) {
        done.extend(step(conn, schema, steps).await?);
    }
    Ok(done)
}

/// Runs the next step in its own transaction; returns `None` when another process has run the last one.
async fn step(
    conn: &mut PgConnection,
    schema: &SchemaName,
    steps: &[Migration],
) -> Result<Option<&'static str>, Error> {
    // At a higher isolation level, the read under the lock would see the state before the wait.
    let mut tx = conn.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await.map_err(fault)?;
    lock(&mut tx, schema).await?;
    // Read under the lock: another process may just have run the step.
    let current = known_version(&mut tx, schema, newest(steps)).await?;
    let Some(migration) = pending(steps, current).next() else { return Ok(None) };
    let outcome = match apply(&mut tx, schema, current, migration).await {
        Ok(()) => tx.commit().await.map_err(fault),
        // Awaited, so that no lock is held when the call returns.
        Err(error) => {
            // The server rolls back what a lost connection has left open.
            let _ = tx.rollback().await;
            Err(error)
        }
    };
    outcome.map(|()| Some(migration.name)).map_err(|error| {
        Error::new(error.kind(), "migrate").with("version", migration.version).caused_by(error)
    })
}

async fn lock(tx: &mut PgConnection, schema: &SchemaName) -> Result<(), Error> {
    let wait = LOCK_WAIT.as_millis();
    let lock = format!(
        "SET LOCAL lock_timeout = {wait}; SELECT pg_advisory_xact_lock({LOCK_SPACE}, hashtext('{schema}'))"
    );
    tx.execute(sqlx::raw_sql(AssertSqlSafe(lock))).await.map(drop).map_err(|error| match link::code(&error) {
        Some("55P03") => {
            let text = format!(
                "migrate: another process has been migrating for {} s: try again",
                LOCK_WAIT.as_secs()
            );
            Error::new(ErrorKind::Conflict, text).with("schema", schema)
        }
        _ => fault(error),
    })
}

async fn apply(
    tx: &mut PgConnection,
    schema: &SchemaName,
    current: i32,
    migration: Migration,
) -> Result<(), Error> {
    if current == 0 {
        make_schema(tx, schema).await?;
        tx.execute(sqlx::raw_sql(schema.sql(VERSION_TABLE))).await.map_err(fault)?;
    }
    tx.execute(sqlx::raw_sql(schema.sql(migration.sql))).await.map_err(fault)?;
    let note = schema.sql("INSERT INTO messagekit.schema_migrations (version, name) VALUES ($1, $2)");
    let note = sqlx::query(note).persistent(false).bind(migration.version).bind(migration.name);
    note.execute(tx).await.map(drop).map_err(fault)
}

/// `IF NOT EXISTS` requires the right to create a schema even when it exists.
async fn make_schema(conn: &mut PgConnection, schema: &SchemaName) -> Result<(), Error> {
    let exists = "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)";
    let exists: bool = sqlx::query_scalar(exists)
        .persistent(false)
        .bind(schema.as_str())
        .fetch_one(&mut *conn)
        .await
        .map_err(fault)?;
    if exists {
        return Ok(());
    }
    let create = AssertSqlSafe(format!("CREATE SCHEMA {}", schema.quoted()));
    conn.execute(sqlx::raw_sql(create)).await.map(drop).map_err(|error| match link::code(&error) {
        Some("42501") => Error::new(
            ErrorKind::Other,
            format!(
                "this user may not create the schema {schema}: use the owner of the database, or GRANT CREATE ON DATABASE"
            ),
        )
        .caused_by(error),
        _ => fault(error),
    })
}

/// Returns the version, and refuses tables that this program must not use.
async fn known_version(conn: &mut PgConnection, schema: &SchemaName, latest: i32) -> Result<i32, Error> {
    // to_regclass fails without USAGE on the schema; every user can read the catalogue.
    let look = "WITH ours AS (
          SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1)
        SELECT current_database()::text, current_setting('server_encoding'),
          EXISTS (SELECT FROM ours WHERE relname = 'schema_migrations'), EXISTS (SELECT FROM ours WHERE relname = 'outbox_events')";
    let found: (String, String, bool, bool) = sqlx::query_as(look)
        .persistent(false)
        .bind(schema.as_str())
        .fetch_one(&mut *conn)
        .await
        .map_err(fault)?;
    let (database, encoding, has_version, has_tables) = found;
    check_encoding(&database, &encoding)?;
    match (has_version, has_tables) {
        (true, _) => {}
        (false, true) => {
            let text = "schema has a table of ours and no version: rename the schema, or choose another name";
            return Err(Error::new(ErrorKind::Schema, text).with("schema", schema));
        }
        _ => return Ok(0),
    }
    let max = schema.sql("SELECT coalesce(max(version), 0) FROM messagekit.schema_migrations");
    let current: i32 =
        sqlx::query_scalar(max).persistent(false).fetch_one(&mut *conn).await.map_err(|error| {
            match link::code(&error) {
                Some("42501") => Error::new(
                    ErrorKind::Other,
                    format!(
                        "this user may not use the schema {schema}: use its owner, or grant USAGE on it and rights on its tables"
                    ),
                )
                .caused_by(error),
                _ => fault(error),
            }
        })?;
    if current > latest {
        compare(current, latest)?;
    }
    Ok(current)
}

/// Refuses an encoding that cannot hold every text: an event could be written and never be read.
pub(crate) fn check_encoding(database: &str, encoding: &str) -> Result<(), Error> {
    if encoding == "UTF8" {
        return Ok(());
    }
    let text = format!(
        "database {database:?} has the encoding {encoding}, and UTF8 is needed: make one with `CREATE DATABASE … ENCODING 'UTF8' \
         TEMPLATE template0`, and move what is in this one there with pg_dump"
    );
    Err(Error::new(ErrorKind::InvalidConfiguration, text))
}

/// Returns the version that this program requires.
pub(crate) fn latest() -> i32 {
    newest(MIGRATIONS)
}

fn newest(steps: &[Migration]) -> i32 {
    steps.last().map_or(0, |migration| migration.version)
}

fn pending(steps: &[Migration], current: i32) -> impl Iterator<Item = Migration> {
    steps.iter().copied().filter(move |migration| migration.version > current)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{MIGRATIONS, compare};

    #[test]
    fn schema_of_another_version_is_refused_with_the_cure() {
        compare(2, 2).unwrap();
        for (current, says) in [
            (0, "tables of messagekit are missing: run `messagekit migrate --database"),
            (1, "older than this program: run `messagekit migrate --database"),
            (3, "newer than this program: upgrade the program"),
        ] {
            let error = compare(current, 2).unwrap_err();
            assert_eq!(error.kind(), messagekit::ErrorKind::Schema);
            assert!(error.to_string().contains(says), "{error}");
        }
    }

    #[test]
    fn versions_count_from_one_without_gaps() {
        let versions: Vec<i32> = MIGRATIONS.iter().map(|migration| migration.version).collect();
        assert_eq!(versions, (1..=versions.len() as i32).collect::<Vec<_>>());
    }

    #[test]
    fn every_file_is_a_step_and_the_workspace_shows_the_same_files() {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let read = |folder: &Path| {
            let mut files: Vec<_> = fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .map(|path| {
                    (
                        path.file_name().unwrap().to_string_lossy().into_owned(),
                        fs::read_to_string(path).unwrap(),
                    )
                })
                .collect();
            files.sort();
            files
        };
        let files = read(&package.join("migrations"));
        let steps: Vec<_> = MIGRATIONS
            .iter()
            .map(|step| (format!("{:04}_{}.sql", step.version, step.name), step.sql.to_owned()))
            .collect();
        assert_eq!(files, steps);
        // A package that is built alone has no workspace around it.
        let copies = package.join("../../migrations/postgres");
        if copies.exists() {
            assert_eq!(files, read(&copies));
        }
    }
}
