//! Keys that no two rows of a table have in common, and when two rows have one in common.

use super::definition::{Tokens, unquoted};
use super::row_json::{of, quoted};
use super::table::{Column, Table};
use super::unique_key::{KeyPart, UniqueKey};

/// The name of a row that a write leaves.
const WRITTEN: &str = "written";

impl Table {
    /// Returns the condition under which a row of the table, which has a name, has a key of a written one. NULL is equal to nothing, as in
    /// an index.
    pub(super) fn has_key_of(&self, row: &str, written: &str, key: &UniqueKey) -> String {
        if key.is_of_columns() {
            return self.equal(key, |part| of(row, &self.column_of(part)), written);
        }
        // An expression names columns alone: it is evaluated where nothing else has any.
        let (names, these) = match self.row_number {
            Some(number) => (number.to_owned(), format!("{row}.{number}")),
            None => {
                let names: Vec<_> = self.key.iter().map(|column| quoted(column)).collect();
                let these: Vec<_> = self.key.iter().map(|column| of(row, column)).collect();
                (names.join(", "), format!("({})", these.join(", ")))
            }
        };
        let equal = self.equal(key, |part| format!("({})", part.sql), written);
        let condition = key.condition.iter().map(|sql| format!(" AND ({sql})")).collect::<String>();
        format!("{these} IN (SELECT {names} FROM {} WHERE {equal}{condition})", quoted(&self.name))
    }

    /// Returns the condition under which two rows that have no name but in a trigger have a key in common.
    pub(super) fn share_key(&self, row: &str, other: &str, key: &UniqueKey) -> String {
        self.equal(key, |part| self.value(row, part), other)
    }

    fn equal(&self, key: &UniqueKey, value: impl Fn(&KeyPart) -> String, written: &str) -> String {
        let equal = |part: &KeyPart| {
            // On the left it goes before a collation inside of an expression.
            format!("{} COLLATE {} = {}", value(part), quoted(&part.collation), self.value(written, part))
        };
        let has_it = key.condition.iter().map(|sql| self.computed(written, sql));
        format!("({})", key.parts.iter().map(equal).chain(has_it).collect::<Vec<_>>().join(" AND "))
    }

    /// Returns what a written row has in a key, as one value without an affinity.
    pub(super) fn in_common(&self, written: &str, key: &UniqueKey) -> String {
        match key.parts.as_slice() {
            [part] => format!("+{}", self.value(written, part)),
            parts => {
                let parts = parts.iter().map(|part| format!("quote({})", self.value(written, part)));
                parts.collect::<Vec<_>>().join(" || ',' || ")
            }
        }
    }

    fn value(&self, row: &str, part: &KeyPart) -> String {
        match &part.column {
            Some(column) if self.again(column).is_none() => self.written(row, column),
            Some(_) => format!("(SELECT {} FROM {})", part.sql, self.written_row(row)),
            None => self.computed(row, &part.sql),
        }
    }

    /// Returns an expression over a row of a trigger, whose columns have no types: where it has what its types ask for, they are given to
    /// it, because a comparison follows them.
    fn computed(&self, row: &str, sql: &str) -> String {
        let names = names_in(sql);
        let named = |column: &&Column| names.iter().any(|name| name.eq_ignore_ascii_case(&column.name));
        let named: Vec<&Column> = self.columns.iter().filter(named).collect();
        let over = |value: &dyn Fn(&Column) -> String| {
            let columns = named.iter().map(|column| format!("{} AS {}", value(column), quoted(&column.name)));
            let columns = columns.chain(["NULL".to_owned()]).collect::<Vec<_>>().join(", ");
            format!("(SELECT ({sql}) FROM (SELECT {columns}) AS {})", quoted(&self.name))
        };
        let untyped = |column: &Column| of(WRITTEN, &column.name);
        let typed = |column: &Column| match column.affinity {
            Some(affinity) => format!("CAST({} AS {affinity})", untyped(column)),
            None => untyped(column),
        };
        let is_typed = named.iter().filter_map(|column| {
            let others = if column.affinity? == "TEXT" { "'blob'" } else { "'blob', 'text'" };
            Some(format!("typeof({}) NOT IN ({others})", untyped(column)))
        });
        format!(
            "(SELECT CASE WHEN {} THEN {} ELSE {} END FROM {} {WRITTEN})",
            ["1".to_owned()].into_iter().chain(is_typed).collect::<Vec<_>>().join(" AND "),
            over(&typed),
            over(&untyped),
            self.written_row(row)
        )
    }

    /// Returns the condition under which an update may give a row a key that it did not have.
    pub(super) fn changes_key(&self, old: &str, new: &str, key: &UniqueKey) -> String {
        let changes = |old: String, new: String| format!("{old} IS NOT {new}");
        let is_in = key.condition.iter().map(|sql| changes(self.computed(old, sql), self.computed(new, sql)));
        let held = changes(self.in_common(old, key), self.in_common(new, key));
        format!("({})", [held].into_iter().chain(is_in).collect::<Vec<_>>().join(" OR "))
    }

    fn column_of(&self, part: &KeyPart) -> String {
        part.column.clone().unwrap_or_default()
    }

    /// Returns the value that a write gives to a column: a default in place of a NULL that it may not have. After the write it is there.
    fn written(&self, row: &str, column: &str) -> String {
        let known = self.columns.iter().find(|known| known.name == column);
        match known.and_then(|known| known.instead_of_null.as_ref()) {
            Some(default) => format!("coalesce({}, {default})", of(row, column)),
            None => of(row, column),
        }
    }

    /// Returns a query of the row that a write leaves, in parentheses. Before the write a generated column does not follow those
    /// defaults, and is computed again, as often as one may follow from another.
    pub(super) fn written_row(&self, row: &str) -> String {
        let columns = |value: &dyn Fn(&Column) -> String| {
            let columns = self.columns.iter();
            let columns = columns.map(|column| format!("{} AS {}", value(column), quoted(&column.name)));
            columns.collect::<Vec<_>>().join(", ")
        };
        let defaults = self.columns.iter().filter(|column| column.instead_of_null.is_some());
        let is_null: Vec<_> = defaults.map(|column| format!("{} IS NULL", of(row, &column.name))).collect();
        let table = quoted(&self.name);
        let mut query = format!("(SELECT {})", columns(&|column| self.written(row, &column.name)));
        for _ in self.columns.iter().filter(|column| self.again(&column.name).is_some()) {
            let computed = columns(&|column| match self.again(&column.name) {
                Some(generated) => {
                    let known = of(row, &column.name);
                    format!("CASE WHEN {} THEN ({generated}) ELSE {known} END", is_null.join(" OR "))
                }
                None => quoted(&column.name),
            });
            let stored = columns(&|column| match self.again(&column.name) {
                Some(_) => column.stored(&quoted(&column.name)),
                None => quoted(&column.name),
            });
            query = format!("(SELECT {stored} FROM (SELECT {computed} FROM {query} AS {table}))");
        }
        query
    }

    fn again(&self, column: &str) -> Option<&str> {
        let has_defaults = self.columns.iter().any(|column| column.instead_of_null.is_some());
        let known = self.columns.iter().find(|known| known.name == column)?;
        known.generated.as_deref().filter(|_| has_defaults)
    }

    /// Returns whether what a row has in a key is known before it is written: not if it is computed from a number that SQLite chooses, or
    /// from a default that is another one each time.
    pub(super) fn is_known_before(&self, key: &UniqueKey) -> bool {
        let expressions = key.parts.iter().map(|part| part.sql.as_str()).chain(key.condition.as_deref());
        let mut names: Vec<(String, bool)> =
            expressions.flat_map(names_in).map(|name| (name, key.is_of_columns())).collect();
        let mut next = 0;
        while let Some((name, is_itself)) = names.get(next).cloned() {
            next += 1;
            let is_number = self.has_row_number && self.key[0].eq_ignore_ascii_case(&name);
            let known = self.columns.iter().find(|known| known.name.eq_ignore_ascii_case(&name));
            if is_number && !is_itself || known.is_some_and(|known| known.varies) {
                return false;
            }
            for name in known.and_then(|known| known.generated.as_deref()).map(names_in).unwrap_or_default() {
                if !names.iter().any(|(known, is_itself)| *known == name && !is_itself) {
                    names.push((name, false));
                }
            }
        }
        true
    }
}

fn names_in(expression: &str) -> Vec<String> {
    Tokens::read(expression).words().map(unquoted).collect()
}
