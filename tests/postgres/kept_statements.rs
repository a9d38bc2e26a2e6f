//! The statements of every program that the newest tables admit, run on them.
//!
//! A step of the schema states the lowest program that can use the tables after it. Here are the programs: the statements of each, as
//! its last release sends them. docs/upgrading.md says how a release is kept.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use messagekit_postgres::migrations::{self, MIGRATIONS};
use messagekit_postgres::statements;
use messagekit_testkit::block_on;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::plans::parameters;
use crate::upgrades::{filled, migrated};

/// The statements of each released program, by its newest step. They are never edited.
const KEPT: &[(u32, &str)] = &[];

/// Returns the statements of the released programs and of this one.
fn programs() -> Vec<(u32, String)> {
    let kept = KEPT.iter().map(|(version, statements)| (*version, (*statements).to_owned()));
    kept.chain([(newest(), of_this_program())]).collect()
}

/// What a program does, in this order, with the rows of `upgrades/rows.sql`.
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
         'f', 'store', NULL, 0, 'host/1'",
    ),
    ("hold_keys", "'billing', '{orders.order}', '{77}'"),
    ("park_mark", "'billing', 'kept-5', 0"),
    (
        "park_failed_messages",
        "'billing', '{kept-5}', '{orders.order}', '{NULL}', '{7}', '{2}', '{k}', '{77}', '{a.b}', '{[]}', '{a}', 'retry_scheduled', 1, 0,
         'failed', 'no stock', 'f', 'host/1'",
    ),
    ("begin_attempt", "'billing', 'kept-6', 'run-1'"),
    ("withdraw_attempt", "'billing', 'kept-6', 'run-1'"),
    ("retry_lease", "'billing', 10, 1e6, 'host/1'"),
    ("retry", "'{1}', '{0}'"),
    ("audit", "'ann', 'cli', NULL, 'retry', '{1}', NULL, 1, NULL"),
    ("note_window", "'billing', 864000"),
    ("note_failure", "'kept-1', 'queue:billing', 'rejected'"),
    ("copy", "1, 0, 10"),
    ("checkpoint", ""),
    ("relay_lease", "'relay-kept', 4e6, 64, false, 1"),
    ("relay_put_back", "1"),
];

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
fn prepares(file: &str) -> BTreeMap<&str, &str> {
    let (_, statements) = file.split_once("\nPREPARE ").expect("a head and statements");
    let prepares = statements.split(";\n\nPREPARE ").map(|prepare| {
        let name = prepare.split('"').nth(1).expect("a name in quotes");
        (name, prepare.trim_end().trim_end_matches(';'))
    });
    prepares.collect()
}

/// Runs the statements of a program; returns what the tables refuse.
async fn refused(connection: &mut PgConnection, program: &str) -> Vec<String> {
    let mut refused = Vec::new();
    let prepares = prepares(program);
    for (name, prepare) in &prepares {
        if let Err(error) = run(connection, &format!("PREPARE {prepare}")).await {
            refused.push(format!("{name}: {error}"));
        }
    }
    for (name, values) in LIFE {
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
fn each_program_from_the_lowest_on_can_use_later_tables() {
    block_on(async {
        for (program, statements) in programs() {
            let database = migrated().await;
            let lowest = migrations::status(database.url()).await.unwrap().lowest_program;
            assert!(program >= lowest, "the tables state that program {program} is too old");
            let mut connection = database.connection().await;
            let refused = refused(&mut connection, &statements).await;
            assert!(refused.is_empty(), "program {program}: {refused:#?}");
            for (what, select, expected) in LEFT {
                let left: i64 = sqlx::query_scalar(*select).fetch_one(&mut connection).await.unwrap();
                assert_eq!(left, *expected, "{what} of program {program}");
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
            let database = filled().await;
            let mut connection = database.connection().await;
            run(&mut connection, step).await.unwrap();
            let refused = refused(&mut connection, &of_this_program()).await;
            assert!(refused.iter().any(|text| text.starts_with(&format!("{broken}:"))), "{step}: {refused:#?}");
        }
    });
}

/// Returns the text that keeps this program. With MESSAGEKIT_KEEP_STATEMENTS it also becomes a file of `upgrades/statements`.
fn of_this_program() -> String {
    let mut text =
        format!("-- The statements of the last program of version {}, as it prepares them.\n", newest());
    for (name, statement) in statements() {
        let types = if name.starts_with("history_") { "" } else { parameters(name) };
        let types = if types.is_empty() { String::new() } else { format!(" ({types})") };
        write!(text, "\nPREPARE \"{name}\"{types} AS\n{};\n", statement.trim()).unwrap();
    }
    if std::env::var_os("MESSAGEKIT_KEEP_STATEMENTS").is_some() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("postgres/upgrades/statements");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{:04}.sql", newest())), &text).unwrap();
    }
    text
}

#[test]
fn a_program_is_kept_with_every_statement() {
    let text = of_this_program();
    let kept: Vec<&str> = prepares(&text).into_keys().collect();
    let mut sent: Vec<&str> = statements().iter().map(|(name, _)| *name).collect();
    sent.sort_unstable();
    assert_eq!(kept, sent);
}
