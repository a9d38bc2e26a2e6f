//! The part of a trigger function that makes a row whose event cannot be written a failed message.
//!
//! The events of a statement are written together, in a subtransaction. Only if that fails, its rows are gone through one by one. What
//! the rows are not to blame for fails the write: a lock, a cancelled statement, a conflict of transactions, a right, a lack of memory.

use std::fmt::Write;

use messagekit::log::OnSourceFailure;

use super::route::{Operation, Reading, Route};
use crate::quoting::literal;

/// What these parts of the function remember.
const VARIABLES: &str = "
  one record;
  of_table text := TG_RELID::regclass;
  rows text;
  failed_state text;
  failed_rule text;
  failed_ending text;
  failed_key text;
  failed_row text;
  failed_part text;";

/// Begins the handler of what a row can be to blame for. A right that the function lacks would fail every row.
const CATCH: &str = "
  EXCEPTION
    WHEN insufficient_privilege THEN RAISE;
    WHEN data_exception OR integrity_constraint_violation OR syntax_error_or_access_rule_violation OR program_limit_exceeded
      OR cardinality_violation OR feature_not_supported THEN";

impl Route<'_> {
    /// Returns the variables of the function.
    pub(super) fn variables(&self) -> &'static str {
        match self.source.on_failure {
            OnSourceFailure::Fail => "",
            OnSourceFailure::SetAside => VARIABLES,
        }
    }

    /// Returns what a function does around the inserts of the events.
    pub(super) fn or_set_aside(&self, reading: Reading, inserts: &str) -> String {
        if reading == Reading::Row {
            let kept = self.kept(Reading::Row);
            return format!("\n  BEGIN{inserts}{CATCH}{kept}\n  END;");
        }
        format!(
            "\n  BEGIN{inserts}\n  RETURN NULL;{CATCH} NULL;\n  END;{}
  FOR one IN EXECUTE rows LOOP\n  BEGIN{}{CATCH}{}\n  END;\n  END LOOP;",
            self.rows_of_statement(),
            self.inserts(Reading::One),
            self.kept(Reading::One)
        )
    }

    /// Returns the statements that find the query of the rows. Its text is made where it runs, because only there a name of the table is
    /// known that a renaming does not change. Where the columns of the key are gone, rows cannot be paired.
    fn rows_of_statement(&self) -> String {
        let mut rows = String::new();
        for operation in self.operations() {
            let (new, old, from) = match operation {
                Operation::Insert => ("(new_row.*)", "NULL", "FROM new_rows new_row".to_owned()),
                Operation::Delete => ("NULL", "(old_row.*)", "FROM old_rows old_row".to_owned()),
                Operation::Update => {
                    let pairs = self.pairs().unwrap_or_default();
                    (
                        "(new_row.*)",
                        "(old_row.*)",
                        format!("FROM new_rows new_row FULL JOIN old_rows old_row ON {pairs}"),
                    )
                }
                Operation::Truncate => ("NULL", "NULL", String::new()),
            };
            let assign = |new: &str, old: &str, from: &str| {
                let from = literal(&format!(" AS old_row {from}"));
                format!(
                    "rows := 'SELECT {new}::' || of_table || ' AS new_row, {old}::' || of_table || {from};"
                )
            };
            let name = operation.name();
            write!(rows, "\n  IF TG_OP = '{name}' THEN\n    {}", assign(new, old, &from))
                .expect("a text can be written to");
            if operation == Operation::Update {
                let unpaired = assign("(new_row.*)", "NULL", "FROM new_rows new_row");
                write!(rows, "\n  BEGIN EXECUTE rows || ' LIMIT 0';{CATCH} {unpaired}\n  END;")
                    .expect("a text can be written to");
            }
            rows.push_str("\n  END IF;");
        }
        rows
    }

    /// Returns the statements that keep a row. Each part of it is tried alone: what cannot be computed is left out.
    fn kept(&self, reading: Reading) -> String {
        let mut parts = String::new();
        for operation in self.operations() {
            let events = self.events(operation, reading);
            let KeptRow { ending, whole, part } = self.kept_row(operation, reading);
            write!(
                parts,
                "\n  IF TG_OP = '{}' THEN\n  failed_ending := {ending};{}{}{}\n  END IF;",
                operation.name(),
                tried(&format!("SELECT {} INTO failed_key FROM {};", events.key, events.from)),
                tried(&format!("failed_row := {whole};")),
                tried(&format!("failed_part := {part};")),
            )
            .expect("a text can be written to");
        }
        let consumer = literal(self.consumer);
        let topic = literal(&self.source.topic);
        let (schema, domain) = (self.schema, self.domain());
        format!(
            "
  GET STACKED DIAGNOSTICS failed_state = RETURNED_SQLSTATE, failed_rule = CONSTRAINT_NAME;
  failed_key := NULL;
  failed_row := NULL;
  failed_part := NULL;{parts}
  PERFORM {schema}.set_source_row_aside({consumer}, {topic}, {domain}, failed_ending, failed_key, event_headers, failed_row, failed_part,
    failed_state, failed_rule);"
        )
    }

    /// An update that has changed the primary key leaves one of the rows alone.
    fn kept_row(&self, operation: Operation, reading: Reading) -> KeptRow {
        let (new, old) = match reading {
            Reading::Row => ("NEW", "OLD"),
            Reading::Statement | Reading::One => ("one.new_row", "one.old_row"),
        };
        let whole = |row: &str| format!("'{{\"row\":' || to_json({row})::text || '}}'");
        let part = |row: &str| match self.table.key.is_empty() {
            true => "NULL".to_owned(),
            false => format!("'{{\"row\":' || {}::text || '}}'", self.key_object(&format!("({row})"))),
        };
        let either = |of_new: &str, of_old: &str, of_both: &str| {
            format!(
                "CASE WHEN {new} IS NULL THEN {of_old} WHEN {old} IS NULL THEN {of_new} ELSE {of_both} END"
            )
        };
        let of =
            |row: &str, ending: &str| KeptRow { ending: literal(ending), whole: whole(row), part: part(row) };
        match operation {
            Operation::Insert => of(new, "inserted"),
            Operation::Delete => of(old, "deleted"),
            Operation::Truncate => KeptRow {
                ending: "'truncated'".to_owned(),
                whole: "'{}'".to_owned(),
                part: "'{}'".to_owned(),
            },
            Operation::Update => {
                let both = format!(
                    "'{{\"row\":' || to_json({new})::text || ',\"before\":' || to_json({old})::text || '}}'"
                );
                KeptRow {
                    ending: either("'inserted'", "'deleted'", "'updated'"),
                    whole: either(&whole(new), &whole(old), &both),
                    part: either(&part(new), &part(old), &part(new)),
                }
            }
        }
    }
}

/// What is kept of a row, as SQL.
struct KeptRow {
    ending: String,
    whole: String,
    part: String,
}

fn tried(statement: &str) -> String {
    format!("\n  BEGIN {statement}{CATCH} NULL;\n  END;")
}
