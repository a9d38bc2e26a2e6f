//! Random definitions of a table.

use fastrand::Rng;
use messagekit_tests::random_lives::{chance, one};

/// A table, its indexes, and the table that it may refer to.
#[derive(Debug)]
pub(super) struct Schema {
    pub(super) definitions: Vec<String>,
    pub(super) key: Vec<&'static str>,
    /// Columns that can be written.
    pub(super) columns: Vec<&'static str>,
    /// What an upsert can name.
    pub(super) targets: Vec<String>,
    pub(super) has_row_number: bool,
    pub(super) has_other: bool,
    /// A row that goes may take the one with it that goes for it.
    pub(super) cascades_to_itself: bool,
}

impl Schema {
    pub(super) fn random(random: &mut Rng) -> Self {
        let mut parts = Vec::new();
        let mut targets = vec![String::new()];
        let is_composite = chance(random, 20);
        let is_number = !is_composite && chance(random, 40);
        let (is_strict, is_without) = (chance(random, 15), chance(random, 30));
        let is_auto = is_number && !is_without && chance(random, 20);
        let kind = match (is_number, is_strict) {
            (true, _) => "INTEGER",
            (false, true) => one(random, &["TEXT", "INT", "ANY", "REAL"]),
            (false, false) => one(random, &["TEXT", "TEXT COLLATE NOCASE", "INT", "", "REAL"]),
        };
        let clause = clause(random);
        let end = if is_auto { " AUTOINCREMENT" } else { "" };
        let key = if is_composite { vec!["a", "id"] } else { vec!["id"] };
        let (not_null, primary) = match (is_composite, is_number) {
            (true, _) => (" NOT NULL", String::new()),
            (_, true) => ("", format!(" PRIMARY KEY{clause}{end}")),
            _ => (one(random, &[" NOT NULL", " NOT NULL DEFAULT 'a'"]), format!(" PRIMARY KEY{clause}")),
        };
        parts.push(format!("id {kind}{not_null}{primary}"));
        let mut columns = vec!["id", "a", "b", "c"];
        for name in ["a", "b", "c"] {
            parts.push(column(random, name, is_strict, is_composite && name == "a", &mut targets));
        }
        let (has_parent, has_other) = (!is_composite && chance(random, 40), chance(random, 25));
        let mut cascades_to_itself = false;
        if has_parent {
            columns.push("parent");
            let default = if chance(random, 30) { " DEFAULT 1" } else { "" };
            let kind = if is_strict { kind.split(' ').next().unwrap_or_default() } else { kind };
            let actions = actions(random);
            cascades_to_itself = actions.starts_with("ON DELETE CASCADE");
            parts.push(format!("parent {kind}{default} REFERENCES t (id) {actions}"));
        }
        if has_other {
            columns.push("o");
            parts.push(format!("o INT REFERENCES other (id) {}", actions(random)));
        }
        for name in generated(random, is_strict, &mut parts) {
            targets.push(name.to_owned());
        }
        if is_composite {
            parts.push(format!("PRIMARY KEY (a, id){clause}"));
        }
        for together in ["a, b", "b, c", "c, a"].into_iter().chain(has_parent.then_some("parent, b")) {
            if chance(random, 20) {
                parts.push(format!("UNIQUE ({together}){}", self::clause(random)));
                targets.push(together.to_owned());
            }
        }
        targets.push(key.join(", "));
        let options: Vec<&str> =
            is_strict.then_some("STRICT").into_iter().chain(is_without.then_some("WITHOUT ROWID")).collect();
        let mut definitions = vec![
            "CREATE TABLE other (id INTEGER PRIMARY KEY)".to_owned(),
            format!("CREATE TABLE t ({}) {}", parts.join(", "), options.join(", ")),
        ];
        indexes(random, &mut definitions, &mut targets);
        for pragma in ["foreign_keys", "recursive_triggers"] {
            definitions.push(format!("PRAGMA {pragma} = {}", random.u8(0..2)));
        }
        Self {
            definitions,
            key,
            columns,
            targets,
            has_row_number: !is_without,
            has_other,
            cascades_to_itself,
        }
    }
}

/// What a constraint does with a conflict.
fn clause(random: &mut Rng) -> &'static str {
    one(
        random,
        &[
            "",
            "",
            "",
            " ON CONFLICT REPLACE",
            " ON CONFLICT IGNORE",
            " ON CONFLICT FAIL",
            " ON CONFLICT ABORT",
            " ON CONFLICT ROLLBACK",
        ],
    )
}

fn column(random: &mut Rng, name: &str, is_strict: bool, is_key: bool, targets: &mut Vec<String>) -> String {
    let kind = if is_strict {
        one(random, &["TEXT", "INT", "ANY", "REAL", "TEXT COLLATE NOCASE"])
    } else {
        one(
            random,
            &[
                "TEXT",
                "INT",
                "",
                "NUMERIC",
                "REAL",
                "BLOB",
                "TEXT COLLATE NOCASE",
                "VARCHAR(9) COLLATE RTRIM",
            ],
        )
    };
    let mut column = format!("{name} {kind}");
    if is_key || chance(random, 35) {
        let default = one(
            random,
            &["'a'", "1", "'2'", "2.0", "(1 + 1)", "(lower('A'))", "b", "\"A\"", "(abs(random() % 3))"],
        );
        column += &format!(" NOT NULL{}", clause(random));
        if chance(random, 80) {
            column += &format!(" DEFAULT {default}");
        }
    }
    if chance(random, 30) {
        column += &format!(" UNIQUE{}", clause(random));
        targets.push(name.to_owned());
    }
    column
}

fn actions(random: &mut Rng) -> String {
    let all = ["CASCADE", "CASCADE", "SET NULL", "SET DEFAULT", "NO ACTION"];
    let deferred = one(random, &["", "", " DEFERRABLE INITIALLY DEFERRED"]);
    format!("ON DELETE {} ON UPDATE {}{deferred}", one(random, &all), one(random, &all))
}

/// Adds generated columns, and returns those with a key of their own.
fn generated(random: &mut Rng, is_strict: bool, parts: &mut Vec<String>) -> Vec<&'static str> {
    let mut unique = Vec::new();
    let kind = if is_strict { "ANY " } else { one(random, &["", "TEXT ", "INT "]) };
    for name in ["g", "h"] {
        if !chance(random, 35) || name == "h" && !parts.iter().any(|part| part.starts_with("g ")) {
            continue;
        }
        let expression = match name {
            "g" => one(
                random,
                &["lower(a) || b", "coalesce(a, b)", "\"t\".\"a\" || ',(' || c /* , */", "c", "b", "id || a"],
            ),
            _ => one(random, &["g || '+'", "typeof(g)", "coalesce(g, a)"]),
        };
        let always = one(random, &["", "GENERATED ALWAYS "]);
        let stored = one(random, &["", " STORED", " VIRTUAL"]);
        let mut part = format!("{name} {kind}{always}AS ({expression}){stored}");
        if chance(random, 50) {
            part += &format!(" UNIQUE{}", clause(random));
            unique.push(name);
        }
        parts.push(part);
    }
    unique
}

fn indexes(random: &mut Rng, definitions: &mut Vec<String>, targets: &mut Vec<String>) {
    let all = [
        "(lower(a))",
        "(coalesce(a, 0), b DESC)",
        "(a) WHERE b > 1",
        "(c) WHERE a IS NOT NULL",
        "(b COLLATE NOCASE)",
        "(typeof(b) || c COLLATE NOCASE) WHERE c <> 'b' -- not all",
        "(id, c)",
    ];
    for (number, index) in all.into_iter().enumerate() {
        if chance(random, 10) {
            definitions.push(format!("CREATE UNIQUE INDEX i{number} ON t {index}\n"));
            if let Some((columns, condition)) = index.split_once(" WHERE ") {
                let columns = columns.trim_start_matches('(').trim_end_matches(')');
                targets.push(format!("{columns}) WHERE ({}", condition.trim_end_matches(" -- not all")));
            }
        }
    }
}
