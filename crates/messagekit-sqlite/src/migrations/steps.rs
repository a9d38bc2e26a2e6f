//! The steps that raise the schema version of the tables, over an open file.

use jiff::Timestamp;
use messagekit::adapter::{KnownSteps, Migration, MigrationSteps, SchemaVersion};
use messagekit::{Error, ErrorKind};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::error::from_sqlite;

/// Every step of this program, in order. The versions before the first one were never released, and no step begins at them.
pub const MIGRATIONS: &[Migration] = &[Migration {
    version: 12,
    name: "schema",
    lowest_program: 12,
    sql: include_str!("../../migrations/0012_schema.sql"),
}];

pub(super) const VERSION_TABLE: &str = "CREATE TABLE IF NOT EXISTS messagekit_schema (
  version    INTEGER PRIMARY KEY,
  name       TEXT NOT NULL,
  applied_at INTEGER NOT NULL,
  lowest_program INTEGER CHECK (lowest_program BETWEEN 1 AND version)
) STRICT";

/// Returns whether a file has the tables of minikafka, by columns that no other program has together.
const IS_MINIKAFKA: &str = "
SELECT 6 = (SELECT count(*) FROM pragma_table_info('topics') WHERE name IN ('schema_json', 'schema_hash', 'dedup_fields'))
  + (SELECT count(*) FROM pragma_table_info('messages') WHERE name IN ('payload_json', 'payload_hash', 'dedup_hash'))";

/// Refuses a file that this program must not change, and returns its version.
pub(crate) fn check(conn: &Connection) -> Result<SchemaVersion, Error> {
    let found = version(conn)?;
    found.check_for_steps(this_program(), "file")?;
    let strays = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'messagekit_*' LIMIT 1";
    if found.current == 0
        && let Some(name) =
            conn.query_row(strays, [], |row| row.get::<_, String>(0)).optional().map_err(from_sqlite)?
        && name != "messagekit_schema"
        // Another process may have created them between the two reads.
        && version(conn)?.current == 0
    {
        return Err(Error::new(
            ErrorKind::Schema,
            "open database: file has a table of ours and no version: rename that table, or name another file",
        )
        .with("table", name));
    }
    if found.current == 0 && conn.query_row(IS_MINIKAFKA, [], |row| row.get(0)).map_err(from_sqlite)? {
        return Err(Error::new(
            ErrorKind::WrongState,
            "open database: file is of minikafka, whose records would not be read: name another file, and import this one into it \
             with `messagekit topics import --minikafka FILE`, or in Python with `Source(…).import_minikafka(FILE)`",
        ));
    }
    Ok(found)
}

/// Runs the missing steps, each in its own transaction.
///
/// Foreign keys are off meanwhile: a step that rebuilds a table must not delete the user's rows that refer to it.
pub(crate) fn run(conn: &Connection, steps: &[Migration]) -> Result<(), Error> {
    let steps = MigrationSteps(steps);
    conn.pragma_update(None, "foreign_keys", false).map_err(from_sqlite)?;
    while version(conn)?.current < steps.known().latest {
        // Another process may migrate at the same moment; the version read under the lock decides.
        conn.execute_batch("BEGIN IMMEDIATE").map_err(from_sqlite)?;
        if let Err(error) = step(conn, steps).and_then(|()| conn.execute_batch("COMMIT").map_err(from_sqlite))
        {
            if !conn.is_autocommit() {
                conn.execute_batch("ROLLBACK").map_err(from_sqlite)?;
            }
            return Err(error);
        }
    }
    conn.pragma_update(None, "foreign_keys", true).map_err(from_sqlite)
}

fn step(conn: &Connection, steps: MigrationSteps<'_>) -> Result<(), Error> {
    conn.execute_batch(VERSION_TABLE).map_err(from_sqlite)?;
    let found = version(conn)?;
    found.check_for_steps(steps.known(), "file")?;
    let Some(migration) = steps.pending(found.current).next() else { return Ok(()) };
    let Migration { version, name, lowest_program, sql } = migration;
    let run = || {
        conn.execute_batch(sql)?;
        let now = Timestamp::now().as_microsecond();
        let note = "INSERT INTO messagekit_schema (version, name, applied_at, lowest_program) VALUES (?1, ?2, ?3, ?4)";
        conn.execute(note, (version, name, now, lowest_program))
    };
    run().map(drop).map_err(|error| migration.failed(from_sqlite(error)))
}

/// Returns the version of the tables of a file, also without the column of the lowest program, which the first versions lack. A step
/// that states none is used only by programs that know it.
pub(crate) fn version(conn: &Connection) -> Result<SchemaVersion, Error> {
    let columns = "SELECT count(*), count(*) FILTER (WHERE name = 'lowest_program') FROM pragma_table_info('messagekit_schema')";
    let columns = conn.query_row(columns, [], |row| Ok((row.get::<_, u32>(0)?, row.get::<_, u32>(1)?)));
    let lowest_program = match columns.map_err(from_sqlite)? {
        (0, _) => return Ok(SchemaVersion::default()),
        (_, 0) => "version",
        _ => "coalesce(lowest_program, version)",
    };
    let select = format!(
        "SELECT coalesce(max(version), 0), coalesce(max({lowest_program}), 0) FROM messagekit_schema"
    );
    let read = |row: &Row<'_>| Ok(SchemaVersion { current: row.get(0)?, lowest_program: row.get(1)? });
    conn.query_row(&select, [], read).map_err(from_sqlite)
}

/// Returns the numbers of this program's steps.
pub(crate) fn this_program() -> KnownSteps {
    MigrationSteps(MIGRATIONS).known()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latest() -> u32 {
        this_program().latest
    }

    fn count(conn: &Connection, sql: &str) -> i64 {
        conn.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// The steps of a later version: this program's, and two invented ones. The first rebuilds a table: the view over it goes
    /// before, or SQLite refuses the new name.
    fn later_steps(second: &'static str) -> Vec<Migration> {
        let rebuild = "DROP VIEW messagekit_system_topic_offsets;
            CREATE TABLE wider (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, owner TEXT) STRICT;
            INSERT INTO wider (id, name) SELECT id, name FROM messagekit_consumers;
            DROP TABLE messagekit_consumers;
            ALTER TABLE wider RENAME TO messagekit_consumers";
        let mut steps = MIGRATIONS.to_vec();
        steps.push(Migration {
            version: latest() + 1,
            name: "owner",
            lowest_program: latest() + 1,
            sql: rebuild,
        });
        steps.push(Migration {
            version: latest() + 2,
            name: "second",
            lowest_program: latest() + 1,
            sql: second,
        });
        steps
    }

    #[test]
    fn failing_later_step_keeps_the_steps_before_it() {
        let conn = Connection::open_in_memory().unwrap();
        run(&conn, MIGRATIONS).unwrap();
        let broken = later_steps("CREATE TABLE made (a INTEGER); INSERT INTO no_such_table VALUES (1)");
        let error = run(&conn, &broken).unwrap_err();
        assert!(error.to_string().contains(&format!("version {}", latest() + 2)), "{error}");
        assert_eq!(version(&conn).unwrap().current, latest() + 1);
        assert_eq!(count(&conn, "SELECT count(*) FROM sqlite_schema WHERE name = 'made'"), 0);

        run(&conn, &later_steps("CREATE TABLE made (a INTEGER)")).unwrap();
        let later = SchemaVersion { current: latest() + 2, lowest_program: latest() + 1 };
        assert_eq!(version(&conn).unwrap(), later);
        assert_eq!(check(&conn).unwrap_err().kind(), ErrorKind::Schema, "its tables are newer");
    }

    #[test]
    fn a_program_lives_with_newer_tables_until_a_step_excludes_it() {
        let conn = Connection::open_in_memory().unwrap();
        let added =
            Migration { version: latest() + 1, name: "added", lowest_program: latest(), sql: "SELECT 1" };
        let steps = [MIGRATIONS, &[added]].concat();
        run(&conn, &steps).unwrap();
        let newer = SchemaVersion { current: latest() + 1, lowest_program: latest() };
        assert_eq!(check(&conn).expect("it can use them"), newer);
        run(&conn, MIGRATIONS).expect("nothing is left to do");

        let contracted = Migration { version: latest() + 2, lowest_program: latest() + 1, ..added };
        run(&conn, &[&steps[..], &[contracted]].concat()).unwrap();
        let error = check(&conn).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Schema);
        assert_eq!(error.context("lowest_program"), Some(&*(latest() + 1).to_string()));
    }

    #[test]
    fn a_step_without_a_lowest_program_excludes_every_lower_one() {
        let conn = Connection::open_in_memory().unwrap();
        run(&conn, MIGRATIONS).unwrap();
        conn.execute_batch(
            "INSERT INTO messagekit_schema (version, name, applied_at) VALUES (99, 'by hand', 0)",
        )
        .unwrap();
        assert_eq!(version(&conn).unwrap(), SchemaVersion { current: 99, lowest_program: 99 });
    }

    #[test]
    fn tables_from_before_the_first_step_are_never_used() {
        let next =
            Migration { version: latest() + 1, name: "next", lowest_program: latest(), sql: "SELECT 1" };
        let later = [MIGRATIONS, &[next]].concat();
        for before in 1..MIGRATIONS[0].version {
            for column in ["", ", lowest_program INTEGER DEFAULT 1"] {
                let conn = Connection::open_in_memory().unwrap();
                conn.execute_batch(&format!(
                    "CREATE TABLE messagekit_schema (version INTEGER PRIMARY KEY, name TEXT, applied_at INTEGER{column});
                     INSERT INTO messagekit_schema (version, name, applied_at) VALUES ({before}, 'step', 0)"
                ))
                .unwrap();
                for refused in [check(&conn).map(drop), run(&conn, MIGRATIONS), run(&conn, &later)] {
                    let error = refused.expect_err("no step begins there");
                    assert_eq!(error.kind(), ErrorKind::Schema, "{error}");
                    assert!(error.to_string().contains("cannot be upgraded: use a new file"), "{error}");
                }
                assert_eq!(count(&conn, "SELECT count(*) FROM sqlite_schema WHERE type = 'table'"), 1);
            }
        }
    }

    #[test]
    fn rebuilt_table_keeps_the_user_rows_that_refer_to_it() {
        let conn = Connection::open_in_memory().unwrap();
        run(&conn, MIGRATIONS).unwrap();
        let theirs = "INSERT INTO messagekit_consumers (id, name) VALUES (3, 'billing');
            CREATE TABLE theirs (consumer INTEGER REFERENCES messagekit_consumers (id) ON DELETE CASCADE);
            INSERT INTO theirs VALUES (3)";
        conn.execute_batch(theirs).unwrap();
        run(&conn, &later_steps("SELECT 1")).unwrap();
        assert_eq!(count(&conn, "SELECT count(*) FROM theirs JOIN messagekit_consumers ON id = consumer"), 1);
        assert_eq!(count(&conn, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
        conn.execute("INSERT INTO theirs VALUES (999)", []).expect_err("foreign keys are on again");
    }
}
