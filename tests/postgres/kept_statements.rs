//! The statements of every program that the newest tables admit, run on them.
//!
//! A step of the schema states the lowest program that can use the tables after it. Here are the programs: the statements of each, as
//! its last release sends them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use messagekit::ErrorKind;
use messagekit_postgres::migrations::{self, MIGRATIONS};
use messagekit_postgres::{PostgresStore, statements};
use messagekit_testkit::block_on;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::plans::parameters;
use crate::upgrades::{DUMPS, restored};

/// The statements of each program, by its newest step. They are never edited: a new schema adds its own.
const KEPT: &[(u32, &str)] = &[
    (2, include_str!("upgrades/statements/0002.sql")),
    (3, include_str!("upgrades/statements/0003.sql")),
    (4, include_str!("upgrades/statements/0004.sql")),
    (5, include_str!("upgrades/statements/0005.sql")),
    (6, include_str!("upgrades/statements/0006.sql")),
    (7, include_str!("upgrades/statements/0007.sql")),
    (8, include_str!("upgrades/statements/0008.sql")),
    (9, include_str!("upgrades/statements/0009.sql")),
    (10, include_str!("upgrades/statements/0010.sql")),
    (11, include_str!("upgrades/statements/0011.sql")),
];

/// What a program does, in this order, with the rows of the dumps.
const LIFE: &[(&str, &str)] = &[
    ("clean_events", "'(0,0)', '(128,0)', 0, NULL, NULL"),
    ("clean_markers", "'(0,0)', '(128,0)', 0, 6e11"),
    ("clean_failed_messages", "'(0,0)', '(128,0)', 0"),
    (
        "write_one",
        "'kept-1', 'orders.order', 'orders.order.placed', 'k-1', '{}', 'application/json', '{}', NULL, NULL",
    ),
    (
        "write",
        "'{kept-2, kept-3}', '{orders.order, orders.order}', '{a.b, a.b}', '{k-1, NULL}', '{a, b}', '{NULL, NULL}', '{NULL, NULL}',
         '{NULL, NULL}', NULL",
    ),
    (
        "write_optional",
        "'{kept-4, kept-5}', '{orders.order, orders.order}', '{a.b, a.b}', '{k-1, NULL}', '{a, b}', '{NULL, NULL}', '{NULL, NULL}',
         '{NULL, NULL}', NULL",
    ),
    ("claim", "'billing', '{kept-1}'"),
    ("claim_keyed", "'billing', '{kept-2}', '{orders.order}', '{2}'"),
    ("claim_generation", "'billing', '{kept-3}', '{orders.order}', '{3}', '{1}'"),
    ("advance", "'billing', '{orders.order}', '{7}', '{0}', '{42}'"),
    (
        "set_aside",
        "'billing', 'kept-4', 'orders.order', NULL, 7, 1, 'k', 5, 'retry_scheduled', 1, 0, 'a.b', '[]', '{}', 'failed', 'no stock',
         'f', 'store', NULL, 0",
    ),
    ("hold_keys", "'billing', '{orders.order}', '{77}'"),
    ("park_mark", "'billing', 'kept-5', 0"),
    (
        "park_failed_messages",
        "'billing', '{kept-5}', '{orders.order}', '{NULL}', '{7}', '{2}', '{k}', '{77}', '{a.b}', '{[]}', '{a}', 'retry_scheduled', 1, 0,
         'failed', 'no stock', 'f'",
    ),
    ("begin_attempt", "'billing', 'kept-6', 'run-1'"),
    ("withdraw_attempt", "'billing', 'kept-6', 'run-1'"),
    ("retry_lease", "'billing', 10, 1e6"),
    ("retry", "'{1}'"),
    ("audit", "'ann', 'cli', NULL, 'retry', '{1}', NULL, 1, NULL"),
    ("note_window", "'billing', 864000"),
    ("note_failure", "'kept-1', 'queue:billing', 'rejected'"),
    ("copy", "1, 0, 10"),
    ("checkpoint", ""),
    ("relay_lease", "'relay-kept', 4e6, 64, false, 1"),
    ("relay_put_back", "1"),
];

/// Further values of [`LIFE`] for programs from this one on.
const LATER: &[(u32, &str, &str)] =
    &[(9, "set_aside", "'host/1'"), (9, "park_failed_messages", "'host/1'"), (9, "retry_lease", "'host/1'")];

/// What [`LIFE`] leaves, as a user sees it.
const LEFT: &[(&str, &str, i64)] = &[
    ("events", "SELECT count(*) FROM messagekit.outbox_events WHERE event_id LIKE 'kept-%'", 5),
    ("markers", "SELECT count(*) FROM messagekit.processed_messages WHERE message_id LIKE 'kept-%'", 5),
    ("offsets", "SELECT next FROM messagekit.consumer_offsets WHERE partition = 7", 42),
    (
        "leased",
        "SELECT count(*) FROM messagekit.failed_messages WHERE message_id LIKE 'kept-%' AND running_since IS NOT NULL",
        2,
    ),
    ("failures", "SELECT count(*) FROM messagekit.outbox_failures WHERE event_id = 'kept-1'", 1),
    ("relays", "SELECT count(*) FROM messagekit.relay_members WHERE name = 'relay-kept'", 1),
];

/// Returns each `PREPARE` of a file by the name of its statement.
fn prepares(file: &'static str) -> BTreeMap<&'static str, &'static str> {
    let (_, statements) = file.split_once("\nPREPARE ").expect("a head and statements");
    let prepares = statements.split(";\n\nPREPARE ").map(|prepare| {
        let name = prepare.split('"').nth(1).expect("a name in quotes");
        (name, prepare.trim_end().trim_end_matches(';'))
    });
    prepares.collect()
}

/// Runs the statements of a program; returns what the tables refuse.
async fn refused(connection: &mut PgConnection, (version, program): (u32, &'static str)) -> Vec<String> {
    let mut refused = Vec::new();
    let prepares = prepares(program);
    for (name, prepare) in &prepares {
        if let Err(error) = run(connection, &format!("PREPARE {prepare}")).await {
            refused.push(format!("{name}: {error}"));
        }
    }
    for (name, values) in LIFE {
        let later = LATER.iter().filter(|(since, of, _)| *since <= version && of == name);
        let values: Vec<&str> = std::iter::once(*values).chain(later.map(|(.., value)| *value)).collect();
        let values = values.join(", ");
        let values = if values.is_empty() { String::new() } else { format!("({values})") };
        if let Err(error) = run(connection, &format!("EXECUTE \"{name}\" {values}")).await {
            refused.push(format!("{name}: {error}"));
        }
    }
    run(connection, "DEALLOCATE ALL").await.unwrap();
    refused
}

async fn run(connection: &mut PgConnection, sql: &str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await.map(drop)
}

fn newest() -> u32 {
    MIGRATIONS.last().unwrap().version
}

#[test]
fn each_program_from_the_lowest_on_can_use_the_newest_tables() {
    block_on(async {
        for (version, dump) in DUMPS {
            let database = restored(dump).await;
            migrations::migrate(database.url()).await.unwrap();
            let lowest = migrations::status(database.url()).await.unwrap().lowest_program;
            let programs: Vec<_> = KEPT.iter().filter(|(program, _)| *program >= lowest).collect();
            assert_eq!(
                programs.len(),
                (lowest..=newest()).count(),
                "a program is not kept: see upgrades/statements"
            );
            for (program, statements) in programs {
                let database = restored(dump).await;
                migrations::migrate(database.url()).await.unwrap();
                let mut connection = database.connection().await;
                let refused = refused(&mut connection, (*program, statements)).await;
                assert!(
                    refused.is_empty(),
                    "program {program} on upgraded tables of {version}: {refused:#?}"
                );
                for (what, select, expected) in LEFT {
                    let left: i64 = sqlx::query_scalar(*select).fetch_one(&mut connection).await.unwrap();
                    assert_eq!(
                        left, *expected,
                        "{what} of program {program} on upgraded tables of {version}"
                    );
                }
            }
        }
    });
}

/// Each of these steps would need a lowest program above that of today.
#[test]
fn steps_that_break_a_program_are_found() {
    block_on(async {
        for (step, broken) in [
            ("ALTER TABLE messagekit.outbox_events RENAME COLUMN topic TO stream", "write_one"),
            ("ALTER TABLE messagekit.consumer_offsets ALTER COLUMN topic TYPE bytea USING topic::bytea", "advance"),
            ("ALTER TABLE messagekit.processed_messages ADD COLUMN tenant text; UPDATE messagekit.processed_messages SET tenant = '';
              ALTER TABLE messagekit.processed_messages ALTER COLUMN tenant SET NOT NULL", "claim"),
            ("ALTER TABLE messagekit.failed_messages ADD CHECK (kind <> 'failed') NOT VALID", "set_aside"),
        ] {
            let database = restored(DUMPS[0].1).await;
            migrations::migrate(database.url()).await.unwrap();
            let mut connection = database.connection().await;
            run(&mut connection, step).await.unwrap();
            let refused = refused(&mut connection, KEPT[0]).await;
            assert!(refused.iter().any(|text| text.starts_with(&format!("{broken}:"))), "{step}: {refused:#?}");
        }
    });
}

/// The way back: a program never runs on tables that lack one of its steps.
#[test]
fn this_program_refuses_the_tables_of_every_lower_version() {
    block_on(async {
        for (version, dump) in DUMPS.iter().filter(|(version, _)| *version < newest()) {
            let database = restored(dump).await;
            let error = PostgresStore::connect(database.url()).await.expect_err("a step is missing");
            assert_eq!(error.kind(), ErrorKind::Schema, "version {version}");
            assert!(
                error.to_string().contains("older than this program: run `messagekit migrate"),
                "{error}"
            );
        }
    });
}

#[test]
fn statements_of_this_program_are_kept() {
    let mut text =
        format!("-- The statements of the last program of version {}, as it prepares them.\n", newest());
    for (name, statement) in statements() {
        let types = if name.starts_with("history_") { "" } else { parameters(name) };
        let types = if types.is_empty() { String::new() } else { format!(" ({types})") };
        write!(text, "\nPREPARE \"{name}\"{types} AS\n{};\n", statement.trim()).unwrap();
    }
    let file = format!("postgres/upgrades/statements/{:04}.sql", newest());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&file);
    if std::env::var_os("MESSAGEKIT_KEEP_STATEMENTS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == text,
        "tests/{file} is not of this program: run this test with MESSAGEKIT_KEEP_STATEMENTS=1"
    );
}
