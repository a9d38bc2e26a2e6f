//! A table of the user, as its triggers need to know it.

use messagekit::{Error, ErrorKind};
use messagekit_topic_store::VIEW_IS_NO_SOURCE;
use rusqlite::{Connection, OptionalExtension};

use super::definition::{Definition, Tokens, unquoted, with_single_quotes};
use super::functions::FUNCTIONS;
use super::quoting::literal;
use super::unique_key::{UniqueKey, of_indexes};
use crate::error::from_sqlite;

/// A table with its columns and keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    /// Its name as it was created, without quotes.
    pub(crate) name: String,
    pub(crate) columns: Vec<Column>,
    /// The names of the columns of the primary key, in its order; none without a key.
    pub(crate) key: Vec<String>,
    /// Each key that no two rows have in common, the primary key and the number of a row among them.
    pub(crate) unique: Vec<UniqueKey>,
    /// The primary key is the number of the row, which SQLite may choose after the triggers before the insert have run.
    pub(crate) has_row_number: bool,
    /// Its rows refer to others of its rows, which SQLite changes with them.
    pub(crate) is_own_parent: bool,
    /// A name of the number of its rows that no column hides, unless its rows have none.
    pub(crate) row_number: Option<&'static str>,
    is_strict: bool,
    has_numbers: bool,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) values: Values,
    /// Its default as SQL, as it is stored, if it may not be NULL.
    pub(crate) instead_of_null: Option<String>,
    /// That default may be another one each time.
    pub(crate) varies: bool,
    /// The expression of a generated column.
    pub(crate) generated: Option<String>,
    /// The type that it turns values into, as `CAST` names it.
    pub(crate) affinity: Option<&'static str>,
}

/// The names of the number of a row.
const ROW_NUMBERS: [&str; 3] = ["rowid", "_rowid_", "oid"];

/// What a column may hold, beside NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Values {
    /// Whole numbers.
    Numbers,
    /// Text.
    Text,
    /// Text and bytes.
    TextOrBytes,
    /// Anything.
    Any,
}

impl Table {
    /// Finds a table that can be a source.
    pub(crate) fn find(conn: &Connection, given: &str) -> Result<Self, Error> {
        let refused =
            |text: &'static str| Error::new(ErrorKind::InvalidConfiguration, text).with("table", given);
        let name = plain_name(given).ok_or_else(|| {
            refused("name of the table cannot be read: write it as in SQL, like orders or \"my orders\"")
        })?;
        let mut table = Self::read(conn, &name).map_err(from_sqlite)?.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "there is no such table in the file").with("table", given)
        })?;
        let lower = table.0.name.to_ascii_lowercase();
        match (&*table.1, lower.starts_with("messagekit_") || lower.starts_with("sqlite_")) {
            ("table", false) => {}
            ("table", true) => return Err(refused("tables of the database itself cannot be sources")),
            ("view", _) => return Err(refused(VIEW_IS_NO_SOURCE)),
            _ => return Err(refused("only tables of this file can be sources, and none of a module")),
        }
        table.0.look_closer(conn).map_err(from_sqlite)?;
        Ok(table.0)
    }

    /// Returns a table without its columns, and its kind.
    fn read(conn: &Connection, name: &str) -> rusqlite::Result<Option<(Self, String)>> {
        let find = "SELECT name, type, strict, wr FROM pragma_table_list WHERE schema = 'main' AND name = ?1 COLLATE NOCASE";
        let read = |row: &rusqlite::Row<'_>| {
            let table = Self {
                name: row.get(0)?,
                columns: Vec::new(),
                key: Vec::new(),
                unique: Vec::new(),
                has_row_number: false,
                is_own_parent: false,
                row_number: None,
                is_strict: row.get(2)?,
                has_numbers: !row.get::<_, bool>(3)?,
            };
            Ok((table, row.get(1)?))
        };
        conn.query_row(find, [name], read).optional()
    }

    fn look_closer(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        let definition = conn.query_row(
            "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?1",
            [&self.name],
            |row| row.get::<_, String>(0),
        )?;
        let definition = Definition::read(&definition);
        let find = "SELECT name, upper(type), pk, iif(\"notnull\", dflt_value, NULL), hidden > 1 FROM pragma_table_xinfo(?1) WHERE hidden <> 1 ORDER BY cid";
        let mut select = conn.prepare(find)?;
        let mut key: Vec<(u32, String)> = Vec::new();
        let mut rows = select.query([&self.name])?;
        let mut is_number = false;
        while let Some(row) = rows.next()? {
            let (name, kind, place): (String, String, u32) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let default: Option<String> = row.get(3)?;
            let generated = if row.get(4)? { definition.generated(&name) } else { None };
            if place > 0 {
                is_number = kind == "INTEGER";
                key.push((place, name.clone()));
            }
            let mut column = Column {
                values: self.values(&kind),
                varies: default.as_deref().is_some_and(varies),
                affinity: affinity(&kind, self.is_strict),
                instead_of_null: None,
                generated,
                name,
            };
            column.instead_of_null = default.map(|default| column.stored(&expression(&default)));
            self.columns.push(column);
        }
        self.is_own_parent = conn
            .prepare("SELECT 1 FROM pragma_foreign_key_list(?1) WHERE \"table\" = ?1 COLLATE NOCASE")?
            .exists([&self.name])?;
        key.sort_unstable();
        self.key = key.into_iter().map(|(_, name)| name).collect();
        self.unique = of_indexes(conn, &self.name)?;
        // Without an index of its own it is the number of the row.
        self.has_row_number =
            is_number && self.key.len() == 1 && !self.unique.iter().any(|unique| unique.is_primary);
        self.row_number = ROW_NUMBERS.into_iter().find(|number| {
            self.has_numbers && !self.columns.iter().any(|column| column.name.eq_ignore_ascii_case(number))
        });
        if self.has_row_number {
            self.columns.iter_mut().filter(|column| column.name == self.key[0]).for_each(|number| {
                number.values = Values::Numbers;
                // SQLite chooses a number instead.
                number.instead_of_null = None;
                number.varies = false;
            });
            self.unique.push(UniqueKey::of_column(true, &self.key[0]));
        } else if let Some(number) = self.row_number {
            self.unique.push(UniqueKey::of_column(false, number));
        } else if self.key.is_empty() {
            // Its rows have no name by which a replaced one could be told from others.
            self.unique.clear();
        }
        self.quote_strictly();
        Ok(())
    }

    /// Triggers repeat expressions of the table, and the connection of the writer reads them.
    fn quote_strictly(&mut self) {
        let columns: Vec<String> = self.columns.iter().map(|column| column.name.clone()).collect();
        let numbers = ROW_NUMBERS.into_iter().filter(|_| self.has_numbers);
        let names: Vec<&str> = columns.iter().map(String::as_str).chain(numbers).collect();
        let strict = |sql: &mut String| {
            let is_column = |name: &str| names.iter().any(|column| column.eq_ignore_ascii_case(name));
            *sql = with_single_quotes(sql, is_column);
        };
        self.columns.iter_mut().filter_map(|column| column.generated.as_mut()).for_each(strict);
        for key in &mut self.unique {
            let expressions = key.parts.iter_mut().filter(|part| part.column.is_none());
            expressions.map(|part| &mut part.sql).chain(&mut key.condition).for_each(strict);
        }
    }

    /// The rules of <https://www.sqlite.org/datatype3.html#determination_of_column_affinity>: a column of text turns numbers into
    /// text. Strict tables hold what they declare.
    fn values(&self, kind: &str) -> Values {
        if self.is_strict {
            return match kind {
                "INT" | "INTEGER" => Values::Numbers,
                "TEXT" => Values::Text,
                _ => Values::Any,
            };
        }
        if is_text(kind) { Values::TextOrBytes } else { Values::Any }
    }
}

impl Column {
    /// Returns what it makes of a value.
    pub(super) fn stored(&self, value: &str) -> String {
        let casts: &[&str] = match self.affinity {
            None => return value.to_owned(),
            Some("TEXT") => {
                let is_number = format!("typeof({value}) IN ('integer', 'real')");
                return format!("CASE WHEN {is_number} THEN CAST({value} AS TEXT) ELSE {value} END");
            }
            Some("REAL") => &["REAL"],
            Some(_) => &["INTEGER", "NUMERIC"],
        };
        let turned = |cast| format!("WHEN CAST({value} AS {cast}) = {value} THEN CAST({value} AS {cast}) ");
        format!("CASE {}ELSE {value} END", casts.iter().map(turned).collect::<String>())
    }
}

/// Returns the type that a column turns values into.
fn affinity(kind: &str, is_strict: bool) -> Option<&'static str> {
    let has = |words: &[&str]| words.iter().any(|word| kind.contains(word));
    if is_text(kind) {
        Some("TEXT")
    } else if kind.is_empty() || !has(&["INT"]) && has(&["BLOB"]) || is_strict && kind == "ANY" {
        None
    } else if !has(&["INT"]) && has(&["REAL", "FLOA", "DOUB"]) {
        Some("REAL")
    } else {
        Some("NUMERIC")
    }
}

/// Returns a default as an expression. A name alone is a text.
fn expression(default: &str) -> String {
    let is_single = Tokens::read(default).words().count() == 1;
    match default.chars().next() {
        Some('"' | '`' | '[') if is_single => literal(&unquoted(default)),
        Some(first) if is_single && first.is_alphabetic() && !is_constant(default) => literal(default),
        _ => format!("({default})"),
    }
}

/// The functions of time, whose value is the same for all of a statement.
const TIMES: [&str; 6] = ["date", "time", "datetime", "julianday", "unixepoch", "strftime"];

fn is_text(kind: &str) -> bool {
    !kind.contains("INT") && ["CHAR", "CLOB", "TEXT"].iter().any(|word| kind.contains(word))
}

fn is_constant(word: &str) -> bool {
    let word = word.to_ascii_uppercase();
    word.starts_with("CURRENT_") || matches!(&*word, "TRUE" | "FALSE" | "NULL")
}

/// Returns whether a default may have another value when it is evaluated again for the same row.
fn varies(default: &str) -> bool {
    let is_stable = |name: &str| {
        let name = name.to_ascii_lowercase();
        FUNCTIONS.contains(&&*name) || TIMES.contains(&&*name) || name == "cast"
    };
    !Tokens::read(default).functions().all(is_stable)
}

/// Returns a name of SQL without its quotes, and without that of the main database before it.
pub(super) fn plain_name(given: &str) -> Option<String> {
    let given = given.trim();
    let name = match given.split_at_checked(5) {
        Some((main, name)) if main.eq_ignore_ascii_case("main.") => name,
        _ => given,
    };
    let between = |open: char, close: char| name.strip_prefix(open).and_then(|name| name.strip_suffix(close));
    if let Some(name) = between('[', ']') {
        return Some(name.to_owned());
    }
    for quote in ['"', '`'] {
        if let Some(name) = between(quote, quote) {
            let single = name.replace(&format!("{quote}{quote}"), "");
            let doubled = format!("{quote}{quote}");
            return (!single.contains(quote)).then(|| name.replace(&doubled, &quote.to_string()));
        }
    }
    let is_plain = |character: char| character.is_alphanumeric() || matches!(character, '_' | '$');
    (!name.is_empty() && name.chars().all(is_plain)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_named_as_in_sql() {
        for (given, plain) in [
            ("orders", "orders"),
            (" main.orders ", "orders"),
            ("\"my \"\"orders\"\"\"", "my \"orders\""),
            ("[my orders]", "my orders"),
            ("`a`", "a"),
            ("MAIN.\"a.b\"", "a.b"),
        ] {
            assert_eq!(plain_name(given).as_deref(), Some(plain), "{given}");
        }
        for given in ["", "other.orders", "a b", "\"a\"b\"", "orders; DROP TABLE x"] {
            assert_eq!(plain_name(given), None, "{given}");
        }
    }

    #[test]
    fn keys_and_what_columns_hold_are_known() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(
            "CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT UNIQUE COLLATE NOCASE, price, bytes BLOB, half AS (price / 2));
             CREATE UNIQUE INDEX partly ON a (price) WHERE price > 1;
             CREATE TABLE b (x INT, y TEXT, PRIMARY KEY (y, x)) STRICT, WITHOUT ROWID;
             CREATE TABLE c (id INTEGER PRIMARY KEY DESC)",
        )
        .unwrap();
        let a = Table::find(&conn, "A").unwrap();
        assert_eq!((a.name.as_str(), a.key.as_slice()), ("a", &["id".to_owned()][..]));
        let values: Vec<Values> = a.columns.iter().map(|column| column.values).collect();
        assert_eq!(values, [Values::Numbers, Values::TextOrBytes, Values::Any, Values::Any, Values::Any]);
        let unique: Vec<_> =
            a.unique.iter().map(|key| (key.parts[0].collation.as_str(), key.condition.as_deref())).collect();
        assert_eq!(unique, [("BINARY", Some("price > 1")), ("NOCASE", None), ("BINARY", None)]);
        assert!(a.has_row_number);
        let b = Table::find(&conn, "main.b").unwrap();
        assert_eq!(b.key, ["y", "x"]);
        assert_eq!((b.unique.len(), b.has_row_number), (1, false));
        assert_eq!([b.columns[0].values, b.columns[1].values], [Values::Numbers, Values::Text]);
        assert_eq!((a.row_number, b.row_number), (Some("rowid"), None));
        assert!(!Table::find(&conn, "c").unwrap().has_row_number, "a quirk: its key has an index");
    }
}
