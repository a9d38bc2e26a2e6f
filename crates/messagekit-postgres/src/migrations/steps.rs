//! The steps that raise the schema version of the tables, over an open connection.

use std::time::Duration;

use messagekit::adapter::{KnownSteps, Migration, MigrationSteps, SchemaVersion};
use messagekit::{Error, ErrorKind};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::connection::{self, fault};
use crate::SchemaName;

/// Every step of this program, in order. The versions before the first one were never released, and no step begins at them.
pub const MIGRATIONS: &[Migration] = &[Migration {
    version: 12,
    name: "schema",
    lowest_program: 12,
    sql: include_str!("../../migrations/0012_schema.sql"),
}];

/// The table of the versions.
pub(super) const VERSION_TABLE: &str = "CREATE TABLE messagekit.schema_migrations (
  version    int PRIMARY KEY,
  name       text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  lowest_program int CHECK (lowest_program BETWEEN 1 AND version)
)";

/// The version of the tables, also without the column of the lowest program, which the first versions lack. A step that states none is
/// used only by programs that know it.
const VERSION: &str = "
SELECT coalesce(max(m.version), 0), coalesce(max(coalesce((to_jsonb(m) ->> 'lowest_program')::int, m.version)), 0)
FROM messagekit.schema_migrations m";

/// How long a step waits for another migrating process, and for each table lock.
const LOCK_WAIT: Duration = Duration::from_secs(30);

/// The lock space of the advisory lock; the second part is the hash of the schema's name.
const LOCK_SPACE: i32 = 0x6d6b_6974;

/// Refuses a database whose tables this program cannot use.
pub(crate) async fn check(conn: &mut PgConnection, schema: &SchemaName) -> Result<(), Error> {
    let found = known_version(conn, schema, this_program()).await?;
    found.check(this_program(), "database").map_err(|error| error.with("schema", schema))
}

/// Returns the statement that notes a step.
pub(super) fn note(schema: &SchemaName, migration: Migration) -> String {
    let Migration { version, name, lowest_program, .. } = migration;
    format!(
        "INSERT INTO {}.schema_migrations (version, name, lowest_program) VALUES ({version}, '{name}', {lowest_program})",
        schema.quoted()
    )
}

/// Runs the missing steps, and returns those that this call ran.
pub(super) async fn run(
    conn: &mut PgConnection,
    schema: &SchemaName,
    steps: &[Migration],
) -> Result<Vec<&'static str>, Error> {
    let mut done = Vec::new();
    // Writes nothing, and needs no right to write, when there is no step to run.
    let steps = MigrationSteps(steps);
    let known = steps.known();
    while known_version(conn, schema, known).await?.current < known.latest {
        done.extend(step(conn, schema, steps).await?);
    }
    Ok(done)
}

/// Runs the next step in its own transaction; returns `None` when another process has run the last one.
async fn step(
    conn: &mut PgConnection,
    schema: &SchemaName,
    steps: MigrationSteps<'_>,
) -> Result<Option<&'static str>, Error> {
    // At a higher isolation level, the read under the lock would see the state before the wait.
    let mut tx = conn.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await.map_err(fault)?;
    lock(&mut tx, schema).await?;
    // Read under the lock: another process may just have run the step.
    let current = known_version(&mut tx, schema, steps.known()).await?.current;
    let Some(migration) = steps.pending(current).next() else { return Ok(None) };
    let outcome = match apply(&mut tx, schema, current, migration).await {
        Ok(()) => tx.commit().await.map_err(fault),
        // Awaited, so that no lock is held when the call returns.
        Err(error) => {
            // The server rolls back what a lost connection has left open.
            let _ = tx.rollback().await;
            Err(error)
        }
    };
    outcome.map(|()| Some(migration.name)).map_err(|error| migration.failed(error))
}

async fn lock(tx: &mut PgConnection, schema: &SchemaName) -> Result<(), Error> {
    let wait = LOCK_WAIT.as_millis();
    let lock = format!(
        "SET LOCAL lock_timeout = {wait}; SET LOCAL standard_conforming_strings = on; SELECT pg_advisory_xact_lock({LOCK_SPACE}, hashtext('{schema}'))"
    );
    tx.execute(sqlx::raw_sql(AssertSqlSafe(lock))).await.map(drop).map_err(|error| {
        match connection::code(&error) {
            Some("55P03") => {
                let text = format!(
                    "migrate: another process has been migrating for {} s: try again",
                    LOCK_WAIT.as_secs()
                );
                Error::new(ErrorKind::Conflict, text).with("schema", schema)
            }
            _ => fault(error),
        }
    })
}

async fn apply(
    tx: &mut PgConnection,
    schema: &SchemaName,
    current: u32,
    migration: Migration,
) -> Result<(), Error> {
    if current == 0 {
        make_schema(tx, schema).await?;
        tx.execute(sqlx::raw_sql(schema.sql(VERSION_TABLE))).await.map_err(fault)?;
    }
    tx.execute(sqlx::raw_sql(schema.sql(migration.sql))).await.map_err(fault)?;
    let note = sqlx::raw_sql(AssertSqlSafe(note(schema, migration)));
    tx.execute(note).await.map(drop).map_err(fault)
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
    conn.execute(sqlx::raw_sql(create)).await.map(drop).map_err(|error| match connection::code(&error) {
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

/// Returns the version, and refuses tables that a program must not change: those that are not ours, and those that it cannot live
/// with.
pub(crate) async fn known_version(
    conn: &mut PgConnection,
    schema: &SchemaName,
    program: KnownSteps,
) -> Result<SchemaVersion, Error> {
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
        _ => return Ok(SchemaVersion::default()),
    }
    let version = sqlx::query_as(schema.sql(VERSION)).persistent(false);
    let (current, lowest_program): (i32, i32) =
        version.fetch_one(&mut *conn).await.map_err(|error| {
            match connection::code(&error) {
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
    let found = version_of(current, lowest_program);
    found.check_for_steps(program, "database")?;
    Ok(found)
}

/// Converts the columns of [`VERSION`]; no step has a number below 1.
pub(crate) fn version_of(current: i32, lowest_program: i32) -> SchemaVersion {
    let [current, lowest_program] = [current, lowest_program].map(|version| version.max(0).unsigned_abs());
    SchemaVersion { current, lowest_program }
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

/// Returns the numbers of this program's steps.
pub(crate) fn this_program() -> KnownSteps {
    MigrationSteps(MIGRATIONS).known()
}
