//! Random statements over a random table.

use fastrand::Rng;
use messagekit_tests::random_lives::{chance, one};

use super::schema::Schema;

/// Returns a statement that may fail.
pub(super) fn random(random: &mut Rng, schema: &Schema, is_in_transaction: bool) -> String {
    match random.u8(0..100) {
        0..34 => insert(random, schema),
        34..46 => upsert(random, schema),
        46..70 => update(random, schema),
        70..78 => format!("DELETE FROM t WHERE {}", condition(random, schema)),
        78..81 => copy(random, schema),
        81..84 if schema.has_other => other(random),
        84..87 if schema.has_row_number => numbered(random, schema),
        87..89 => format!("PRAGMA recursive_triggers = {}", random.u8(0..2)),
        _ if !is_in_transaction => "BEGIN IMMEDIATE".to_owned(),
        89..92 => "SAVEPOINT s".to_owned(),
        92..95 => "ROLLBACK TO s".to_owned(),
        95..97 => "RELEASE s".to_owned(),
        97..99 => "COMMIT".to_owned(),
        _ => "ROLLBACK".to_owned(),
    }
}

fn value(random: &mut Rng, column: &str) -> &'static str {
    let numbers = ["1", "2", "3", "4", "5", "-1", "NULL"];
    let all = [
        "1", "2", "3", "'a'", "'A'", "'a '", "'b'", "'B'", "'1'", "2.0", "1.5", "x'61'", "''", "NULL", "NULL",
    ];
    match column {
        "id" | "parent" | "o" if chance(random, 70) => one(random, &numbers),
        _ => one(random, &all),
    }
}

fn columns(random: &mut Rng, schema: &Schema) -> Vec<&'static str> {
    let chosen = schema.columns.iter().copied();
    chosen.filter(|column| chance(random, if *column == "id" { 90 } else { 75 })).collect()
}

/// Returns the names of columns, and rows of values for them.
fn rows(random: &mut Rng, schema: &Schema) -> String {
    let columns = columns(random, schema);
    if columns.is_empty() {
        return "t DEFAULT VALUES".to_owned();
    }
    let row = |random: &mut Rng| {
        let values: Vec<&str> = columns.iter().map(|column| value(random, column)).collect();
        format!("({})", values.join(", "))
    };
    let rows: Vec<String> = (0..random.usize(1..5)).map(|_| row(random)).collect();
    format!("t ({}) VALUES {}", columns.join(", "), rows.join(", "))
}

fn insert(random: &mut Rng, schema: &Schema) -> String {
    format!("{} INTO {}", insert_word(random), rows(random, schema))
}

fn insert_word(random: &mut Rng) -> &'static str {
    one(
        random,
        &[
            "INSERT",
            "INSERT",
            "INSERT OR IGNORE",
            "INSERT OR IGNORE",
            "INSERT OR REPLACE",
            "INSERT OR ABORT",
            "INSERT OR FAIL",
            "INSERT OR ROLLBACK",
            "REPLACE",
            "REPLACE",
        ],
    )
}

fn upsert(random: &mut Rng, schema: &Schema) -> String {
    let mut sql = format!("{} INTO {}", insert_word(random), rows(random, schema));
    if sql.ends_with("VALUES") {
        return sql;
    }
    let targets: Vec<&str> =
        schema.targets.iter().map(String::as_str).filter(|target| !target.is_empty()).collect();
    for _ in 0..random.usize(1..3) {
        let target = one(random, &targets);
        let action = if chance(random, 30) {
            "NOTHING".to_owned()
        } else {
            format!("UPDATE SET {}", assignments(random, schema, true))
        };
        sql += &format!(" ON CONFLICT ({target}) DO {action}");
    }
    if chance(random, 20) { format!("{sql} ON CONFLICT DO NOTHING") } else { sql }
}

fn assignments(random: &mut Rng, schema: &Schema, is_upsert: bool) -> String {
    let mut chosen: Vec<&str> = schema.columns.iter().copied().filter(|_| chance(random, 35)).collect();
    if chosen.is_empty() {
        chosen.push(schema.columns[random.usize(0..schema.columns.len())]);
    }
    let assignment = |column: &&str| match random.u8(0..10) {
        0 => format!("{column} = {column} + 1"),
        1 => format!("{column} = {}", schema.columns[random.usize(0..schema.columns.len())]),
        2 | 3 if is_upsert => format!("{column} = excluded.{column}"),
        _ => format!("{column} = {}", value(random, column)),
    };
    chosen.iter().map(assignment).collect::<Vec<_>>().join(", ")
}

fn update(random: &mut Rng, schema: &Schema) -> String {
    let word = one(
        random,
        &[
            "UPDATE",
            "UPDATE",
            "UPDATE OR REPLACE",
            "UPDATE OR REPLACE",
            "UPDATE OR IGNORE",
            "UPDATE OR FAIL",
            "UPDATE OR ABORT",
            "UPDATE OR ROLLBACK",
        ],
    );
    let word = replacing(schema, word);
    format!("{word} t SET {} WHERE {}", assignments(random, schema, false), condition(random, schema))
}

/// An update whose row goes with the row that it replaces is among the limits that the page on table changes names.
fn replacing(schema: &Schema, word: &'static str) -> &'static str {
    if schema.cascades_to_itself { "UPDATE OR ABORT" } else { word }
}

fn condition(random: &mut Rng, schema: &Schema) -> String {
    let column = schema.columns[random.usize(0..schema.columns.len())];
    match random.u8(0..10) {
        0 => "1".to_owned(),
        1 => format!("{column} IS NULL"),
        2 | 3 => format!("{column} > {}", value(random, column)),
        _ => format!("{column} = {}", value(random, column)),
    }
}

/// Inserts rows that other rows of the table make.
fn copy(random: &mut Rng, schema: &Schema) -> String {
    let selected: Vec<String> = schema
        .columns
        .iter()
        .map(|column| match random.u8(0..4) {
            0 => format!("{column} + 1"),
            1 => value(random, column).to_owned(),
            _ => (*column).to_owned(),
        })
        .collect();
    format!(
        "{} INTO t ({}) SELECT {} FROM t WHERE {}",
        insert_word(random),
        schema.columns.join(", "),
        selected.join(", "),
        condition(random, schema)
    )
}

/// Changes the table that rows may refer to.
fn other(random: &mut Rng) -> String {
    let id = random.u8(1..6);
    match random.u8(0..4) {
        0 => format!("DELETE FROM other WHERE id = {id}"),
        1 => format!("UPDATE OR REPLACE other SET id = {} WHERE id = {id}", random.u8(1..6)),
        _ => "INSERT OR REPLACE INTO other VALUES (1), (2), (3), (4), (5)".to_owned(),
    }
}

/// Names the number of a row.
fn numbered(random: &mut Rng, schema: &Schema) -> String {
    let number = random.u8(1..6);
    if chance(random, 50) {
        let word = replacing(schema, "UPDATE OR REPLACE");
        return format!("{word} t SET rowid = {number} WHERE {}", condition(random, schema));
    }
    let columns: Vec<&str> = schema.columns.iter().copied().filter(|column| *column != "parent").collect();
    let values: Vec<&str> = columns.iter().map(|column| value(random, column)).collect();
    format!(
        "INSERT OR REPLACE INTO t (rowid, {}) VALUES ({number}, {})",
        columns.join(", "),
        values.join(", ")
    )
}
