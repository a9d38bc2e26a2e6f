//! Random statements over a random table.

use fastrand::Rng;
use messagekit_tests::random_lives::{chance, one};

use super::schema::Schema;

/// Returns a statement that may fail.
pub(super) fn random(random: &mut Rng, schema: &Schema, is_open: &mut bool) -> String {
    match random.u8(0..100) {
        0..30 => insert(random, schema),
        30..44 => upsert(random, schema),
        44..64 => update(random, schema),
        64..70 => format!("DELETE FROM t WHERE {}", condition(random, schema)),
        70..75 => copy(random, schema),
        75..80 => merge(random, schema),
        80..84 if !schema.has_deferrable_key => together(random, schema),
        84..86 => other(random),
        86 => "TRUNCATE t CASCADE".to_owned(),
        _ if !std::mem::replace(is_open, true) => "BEGIN".to_owned(),
        87..91 => "SAVEPOINT s".to_owned(),
        91..95 => "ROLLBACK TO s".to_owned(),
        95..97 => "RELEASE s".to_owned(),
        // Within a transaction the key would be there twice.
        _ if schema.has_deferrable_key => "SET CONSTRAINTS ALL IMMEDIATE".to_owned(),
        _ => "SET CONSTRAINTS ALL DEFERRED".to_owned(),
    }
}

fn value(random: &mut Rng, kind: &str) -> &'static str {
    match kind {
        "boolean" => one(random, &["true", "false", "NULL"]),
        "numeric" => one(random, &["1", "2", "2.0", "1.5", "-1", "NULL"]),
        "text" | "varchar(3)" => one(random, &["'1'", "'2'", "'a'", "'A'", "'b'", "'c'", "''", "NULL"]),
        _ => one(random, &["1", "2", "3", "4", "5", "-1", "NULL"]),
    }
}

fn any(random: &mut Rng, schema: &Schema) -> (&'static str, &'static str) {
    one(random, &schema.columns)
}

fn names(schema: &Schema) -> String {
    schema.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

fn row(random: &mut Rng, schema: &Schema) -> String {
    let values: Vec<&str> = schema
        .columns
        .iter()
        .map(|(_, kind)| if chance(random, 10) { "DEFAULT" } else { value(random, kind) })
        .collect();
    format!("({})", values.join(", "))
}

fn insert(random: &mut Rng, schema: &Schema) -> String {
    let rows: Vec<String> = (0..random.usize(1..5)).map(|_| row(random, schema)).collect();
    let end = if chance(random, 60) { " ON CONFLICT DO NOTHING" } else { "" };
    format!("INSERT INTO t ({}) VALUES {}{end}", names(schema), rows.join(", "))
}

fn upsert(random: &mut Rng, schema: &Schema) -> String {
    let target = &schema.targets[random.usize(0..schema.targets.len())];
    let condition =
        if chance(random, 20) { format!(" WHERE t.{}", condition(random, schema)) } else { String::new() };
    format!(
        "INSERT INTO t ({}) VALUES {} ON CONFLICT ({target}) DO UPDATE SET {}{condition}",
        names(schema),
        row(random, schema),
        assignments(random, schema, "excluded."),
    )
}

fn assignments(random: &mut Rng, schema: &Schema, incoming: &str) -> String {
    let mut chosen: Vec<_> = schema.columns.iter().copied().filter(|_| chance(random, 35)).collect();
    if chosen.is_empty() {
        chosen.push(any(random, schema));
    }
    let assignment = |(name, kind): &(&str, &str)| match random.u8(0..10) {
        0..3 if matches!(*kind, "int" | "bigint" | "numeric") => {
            let from = if incoming.is_empty() { "" } else { "t." };
            format!("{name} = {from}{name} + 1")
        }
        3 | 4 if !incoming.is_empty() => format!("{name} = {incoming}{name}"),
        _ => format!("{name} = {}", value(random, kind)),
    };
    chosen.iter().map(assignment).collect::<Vec<_>>().join(", ")
}

fn update(random: &mut Rng, schema: &Schema) -> String {
    format!("UPDATE t SET {} WHERE {}", assignments(random, schema, ""), condition(random, schema))
}

fn condition(random: &mut Rng, schema: &Schema) -> String {
    let (name, kind) = any(random, schema);
    match random.u8(0..10) {
        0 | 1 => format!("{name} IS NOT NULL"),
        2 => format!("{name} IS NULL"),
        3 | 4 => format!("{name} > {}", value(random, kind)),
        _ => format!("{name} = {}", value(random, kind)),
    }
}

/// Inserts rows that other rows of the table make.
fn copy(random: &mut Rng, schema: &Schema) -> String {
    let selected: Vec<String> = schema
        .columns
        .iter()
        .map(|(name, kind)| match random.u8(0..4) {
            0 if *kind == "int" => format!("{name} + 1"),
            1 => format!("{}::{kind}", value(random, kind)),
            _ => (*name).to_owned(),
        })
        .collect();
    let (names, selected) = (names(schema), selected.join(", "));
    format!(
        "INSERT INTO t ({names}) SELECT {selected} FROM t WHERE {} ON CONFLICT DO NOTHING",
        condition(random, schema)
    )
}

/// Updates, deletes and inserts in one statement.
fn merge(random: &mut Rng, schema: &Schema) -> String {
    let columns: Vec<String> = schema
        .columns
        .iter()
        .map(|(name, kind)| format!("{}::{kind} AS {name}", value(random, kind)))
        .collect();
    let incoming: Vec<String> = schema.columns.iter().map(|(name, _)| format!("n.{name}")).collect();
    let when = match random.u8(0..3) {
        0 => "WHEN MATCHED THEN DELETE".to_owned(),
        1 => format!("WHEN MATCHED THEN UPDATE SET {}", assignments(random, schema, "n.")),
        _ => format!(
            "WHEN MATCHED AND t.b IS NULL THEN DELETE WHEN MATCHED THEN UPDATE SET {}",
            assignments(random, schema, "n.")
        ),
    };
    let (column, names, incoming) = (any(random, schema).0, names(schema), incoming.join(", "));
    format!(
        "MERGE INTO t USING (SELECT {}) AS n ON t.{column} = n.{column} {when}
         WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({incoming})",
        columns.join(", ")
    )
}

/// Changes the table twice in one statement, each part over the rows before it.
fn together(random: &mut Rng, schema: &Schema) -> String {
    let first = match random.u8(0..2) {
        0 => format!("DELETE FROM t WHERE {} RETURNING *", condition(random, schema)),
        _ => format!("{} RETURNING *", update(random, schema)),
    };
    format!("WITH first AS ({first}) {}", insert(random, schema))
}

/// Changes the table that rows may refer to.
fn other(random: &mut Rng) -> String {
    let id = random.u8(1..6);
    match random.u8(0..4) {
        0 => format!("DELETE FROM other WHERE id = {id}"),
        1 => format!("UPDATE other SET id = {} WHERE id = {id}", random.u8(1..9)),
        _ => "INSERT INTO other VALUES (1), (2), (3), (4), (5), (-1) ON CONFLICT DO NOTHING".to_owned(),
    }
}
