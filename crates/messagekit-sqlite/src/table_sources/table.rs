//! A table of the user, as its triggers need to know it.

use messagekit::{Error, ErrorKind};
use rusqlite::{Connection, OptionalExtension};

use crate::error::from_sqlite;

/// A table with its columns and keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    /// Its name as it was created, without quotes.
    pub(crate) name: String,
    pub(crate) columns: Vec<Column>,
    /// The names of the columns of the primary key, in its order; none without a key.
    pub(crate) key: Vec<String>,
    /// The columns of each key that no two rows have in common, the primary key among them.
    pub(crate) unique: Vec<Vec<KeyColumn>>,
    /// The primary key is the number of the row, which SQLite may choose after the triggers before the insert have run.
    pub(crate) has_row_number: bool,
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
    /// Its default as SQL, if it may not be NULL and the default is always the same.
    pub(crate) instead_of_null: Option<String>,
}

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

/// A column of a key, with the collation by which its values are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyColumn {
    pub(crate) name: String,
    pub(crate) collation: String,
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
            ("view", _) => return Err(refused("a view has no changes of its own: name its table")),
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
                row_number: None,
                is_strict: row.get(2)?,
                has_numbers: !row.get::<_, bool>(3)?,
            };
            Ok((table, row.get(1)?))
        };
        conn.query_row(find, [name], read).optional()
    }

    fn look_closer(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        let find = "SELECT name, upper(type), pk, iif(\"notnull\", dflt_value, NULL) FROM pragma_table_xinfo(?1) WHERE hidden <> 1 ORDER BY cid";
        let mut select = conn.prepare(find)?;
        let columns = select.query_map([&self.name], |row| {
            let (name, kind): (String, String) = (row.get(0)?, row.get(1)?);
            Ok((name, kind, row.get::<_, u32>(2)?, row.get::<_, Option<String>>(3)?))
        })?;
        let columns: Vec<_> = columns.collect::<rusqlite::Result<_>>()?;
        let mut key: Vec<(u32, &str, &str)> = columns
            .iter()
            .filter(|(_, _, place, _)| *place > 0)
            .map(|(name, kind, place, _)| (*place, name.as_str(), kind.as_str()))
            .collect();
        key.sort_unstable();
        let indexed = unique_indexes(conn, &self.name)?;
        let is_indexed = indexed.iter().any(|(is_primary, _)| *is_primary);
        // Without an index of its own it is the number of the row.
        self.has_row_number = matches!(key.as_slice(), [(_, _, "INTEGER")]) && !is_indexed;
        self.key = key.iter().map(|(_, name, _)| (*name).to_owned()).collect();
        self.unique = indexed.into_iter().map(|(_, columns)| columns).collect();
        if self.has_row_number {
            let number = KeyColumn { name: self.key[0].clone(), collation: "BINARY".to_owned() };
            self.unique.push(vec![number]);
        }
        self.row_number = ["rowid", "_rowid_", "oid"].into_iter().find(|number| {
            self.has_numbers && !columns.iter().any(|(name, ..)| name.eq_ignore_ascii_case(number))
        });
        if self.key.is_empty() && self.row_number.is_none() {
            // Its rows have no name by which a replaced one could be told from others.
            self.unique.clear();
        }
        self.columns = columns
            .iter()
            .map(|(name, kind, place, default)| {
                let is_number = self.has_row_number && *place > 0;
                let values = if is_number { Values::Numbers } else { self.values(kind) };
                let is_literal = |default: &&String| {
                    !default.contains('(') && !default.to_ascii_uppercase().starts_with("CURRENT_")
                };
                let instead_of_null = default.as_ref().filter(is_literal).cloned();
                Column { name: name.clone(), values, instead_of_null }
            })
            .collect();
        Ok(())
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
        let is_text =
            !kind.contains("INT") && ["CHAR", "CLOB", "TEXT"].iter().any(|word| kind.contains(word));
        if is_text { Values::TextOrBytes } else { Values::Any }
    }
}

/// The keys with an index, each with whether it is that of the primary key. A key of a part of the rows, or over an expression, is left
/// out: which row it replaces cannot be asked for.
fn unique_indexes(conn: &Connection, table: &str) -> rusqlite::Result<Vec<(bool, Vec<KeyColumn>)>> {
    let find = "SELECT name, origin = 'pk' FROM pragma_index_list(?1) WHERE \"unique\" = 1 AND partial = 0 ORDER BY name";
    let indexes: Vec<(String, bool)> = conn
        .prepare(find)?
        .query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut keys = Vec::new();
    for (index, is_primary) in indexes {
        let mut select =
            conn.prepare("SELECT name, coll FROM pragma_index_xinfo(?1) WHERE key = 1 ORDER BY seqno")?;
        let columns = select.query_map([&index], |row| {
            let name: Option<String> = row.get(0)?;
            Ok(name.zip(row.get(1)?).map(|(name, collation)| KeyColumn { name, collation }))
        })?;
        let columns: Option<Vec<KeyColumn>> = columns.collect::<rusqlite::Result<_>>()?;
        keys.extend(columns.map(|columns| (is_primary, columns)));
    }
    Ok(keys)
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
        let unique: Vec<&str> = a.unique.iter().map(|columns| columns[0].collation.as_str()).collect();
        assert_eq!(unique, ["NOCASE", "BINARY"], "the partial one is left out");
        assert!(a.has_row_number);
        let b = Table::find(&conn, "main.b").unwrap();
        assert_eq!(b.key, ["y", "x"]);
        assert_eq!((b.unique.len(), b.has_row_number), (1, false));
        assert_eq!([b.columns[0].values, b.columns[1].values], [Values::Numbers, Values::Text]);
        assert_eq!((a.row_number, b.row_number), (Some("rowid"), None));
        assert!(!Table::find(&conn, "c").unwrap().has_row_number, "a quirk: its key has an index");
    }
}
