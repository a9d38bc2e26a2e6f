//! Compiles a table source to a trigger function and triggers.
//!
//! One statement of the user becomes one statement of ours: the triggers fire once per statement, and read its rows from transition
//! tables. Those of a partitioned table fire for each row, because a write to a partition fires no statement trigger of the whole, and so
//! do those of a table without a primary key, whose old and new rows cannot be paired. Rows that logical replication applies belong to no
//! statement: a source that watches them has triggers for each row, too, which fire for nothing else.

use std::fmt::Write;

use messagekit::log::{OnSourceFailure, RowPayload};
use messagekit_topic_store::TableSource;

use super::table::Table;
use crate::quoting::literal;

/// A source of a table, with its number in the database.
#[derive(Debug)]
pub(crate) struct Route<'a> {
    pub(crate) id: i32,
    /// The consumer of its failed messages.
    pub(crate) consumer: &'a str,
    /// The schema of our tables, quoted.
    pub(crate) schema: &'a str,
    pub(crate) source: &'a TableSource,
    pub(crate) table: &'a Table,
}

/// A statement of the user, as a trigger and its function know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Insert,
    Update,
    Delete,
    Truncate,
}

/// Which rows an insert reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Those of a statement.
    Statement,
    /// The one for which a trigger fires.
    Row,
    /// One of a statement, in the variable `one`.
    One,
}

/// What the events of a statement are made of, as SQL.
pub(super) struct Events<'a> {
    pub(super) from: String,
    filter: &'a str,
    ending: String,
    pub(super) key: String,
    /// What follows the envelope, or NULL for a row without an event.
    fields: String,
    headers: &'static str,
}

/// The rows of a statement, and what became of each.
struct Rows {
    from: String,
    /// The last part of the type of each event.
    ending: String,
    /// The row that is there, or was.
    this: &'static str,
    /// The columns of an update that differ, or NULL.
    changes: Option<String>,
}

impl Route<'_> {
    /// Returns the statements that the source watches.
    pub(super) fn operations(&self) -> impl Iterator<Item = Operation> {
        let changes = self.source.changes;
        let all = [
            (changes.insert, Operation::Insert),
            (changes.update, Operation::Update),
            (changes.delete, Operation::Delete),
            (changes.delete, Operation::Truncate),
        ];
        all.into_iter().filter(|(is_watched, _)| *is_watched).map(|(_, operation)| operation)
    }

    /// Returns whether the triggers fire for each row.
    pub(crate) fn is_by_row(&self) -> bool {
        self.table.is_partitioned || self.table.key.is_empty()
    }

    /// Returns a query that the server plans, and runs over no row: it finds what is wrong with an expression.
    pub(crate) fn trial(&self) -> String {
        let table = &self.table.name;
        let filter = self.filter();
        let key = self.source.key.as_ref().map_or("NULL", |key| key.expression.as_str());
        let pairs = self.pairs().unwrap_or_else(|| "true".to_owned());
        format!(
            "SELECT ({key})::text FROM {table} new_row JOIN {table} old_row ON {pairs} CROSS JOIN {table} this_row
             WHERE ({filter}) LIMIT 0"
        )
    }

    /// Returns the statements that make the function and the triggers.
    pub(crate) fn statements(&self) -> Vec<String> {
        let function = format!("{}.source_{}", self.schema, self.id);
        let table = &self.table.name;
        let mut statements =
            vec![self.definition(), format!("REVOKE ALL ON FUNCTION {function}() FROM PUBLIC")];
        let mut make = |name: &str, event: &str, rows: &str, level: &str, when: Option<&str>| {
            statements.push(format!(
                "CREATE TRIGGER {name} AFTER {event} ON {table}{rows} FOR EACH {level} EXECUTE FUNCTION {function}()"
            ));
            statements.extend(when.map(|when| format!("ALTER TABLE {table} ENABLE {when} TRIGGER {name}")));
        };
        let always = self.source.replicated.then_some("ALWAYS");
        for operation in self.operations() {
            let event = operation.name();
            let name = format!("messagekit_source_{}_{}", self.id, event.to_lowercase());
            let rows = match operation {
                Operation::Truncate => {
                    make(&name, event, "", "STATEMENT", always);
                    continue;
                }
                _ if self.is_by_row() => {
                    make(&name, event, "", "ROW", always);
                    continue;
                }
                Operation::Insert => " REFERENCING NEW TABLE AS new_rows",
                Operation::Update => " REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows",
                Operation::Delete => " REFERENCING OLD TABLE AS old_rows",
            };
            make(&name, event, rows, "STATEMENT", None);
            if self.source.replicated {
                make(&format!("{name}_replicated"), event, "", "ROW", Some("REPLICA"));
            }
        }
        statements
    }

    /// Returns the statements that remove them. A trigger goes with its function.
    pub(crate) fn removal(schema: &str, id: i32) -> String {
        format!("DROP FUNCTION IF EXISTS {schema}.source_{id}() CASCADE")
    }

    /// The function runs with the rights of its owner: a writer of the table needs none on our tables. A topic that the database keeps gets
    /// its events without the way through the outbox.
    fn definition(&self) -> String {
        let (schema, id, topic) = (self.schema, self.id, literal(&self.source.topic));
        let body = if self.is_by_row() {
            self.body(Reading::Row)
        } else if self.source.replicated {
            let (of_row, of_statement) = (self.body(Reading::Row), self.body(Reading::Statement));
            format!("\n  IF TG_LEVEL = 'ROW' THEN{of_row}\n  ELSE{of_statement}\n  END IF;")
        } else {
            self.body(Reading::Statement)
        };
        let variables = self.variables();
        // Names of columns and literals stand inside, whatever they hold.
        let mut tag = "source".to_owned();
        while body.contains(&format!("${tag}$")) {
            tag.push('_');
        }
        format!(
            "CREATE FUNCTION {schema}.source_{id}() RETURNS trigger
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER {SETTINGS}
AS ${tag}$
#variable_conflict use_column
DECLARE
  kept_topic int := (SELECT t.id FROM {schema}.topics t WHERE t.name = {topic} AND NOT t.is_published);
  event_headers jsonb := jsonb_strip_nulls(jsonb_build_object('op', lower(TG_OP),
    'sourceTable', TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME, 'actor', nullif(current_setting('messagekit' || '.actor', true), '')));
  envelope text := ',\"occurredAt\":\"' || to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')
    || '\",\"source\":' || to_json(current_database()::text) || ',\"dataVersion\":\"1.0\"';{variables}
BEGIN{body}
  RETURN NULL;
END
${tag}$"
        )
    }

    /// Returns what the function does for a row, or for the rows of a statement.
    fn body(&self, reading: Reading) -> String {
        let inserts = self.inserts(reading);
        match self.source.on_failure {
            OnSourceFailure::Fail => inserts,
            OnSourceFailure::SetAside => self.or_set_aside(reading, &inserts),
        }
    }

    /// Returns the inserts of the events of each statement that the source watches.
    pub(super) fn inserts(&self, reading: Reading) -> String {
        let mut inserts = String::new();
        for operation in self.operations() {
            let events = self.events(operation, reading);
            write!(
                inserts,
                "\n  IF TG_OP = '{}' THEN\n    IF kept_topic IS NULL THEN{}    ELSE{}    END IF;\n  END IF;",
                operation.name(),
                self.insert(&events, Target::Outbox),
                self.insert(&events, Target::Waiting)
            )
            .expect("a text can be written to");
        }
        inserts
    }

    /// Returns what the events of a statement are made of. A table that is emptied at once is one event without a row.
    pub(super) fn events(&self, operation: Operation, reading: Reading) -> Events<'_> {
        if operation == Operation::Truncate {
            return Events {
                from: "(SELECT) statement".to_owned(),
                filter: "true",
                ending: "'truncated'".to_owned(),
                key: "NULL::text".to_owned(),
                fields: "''".to_owned(),
                headers: "event_headers",
            };
        }
        let Rows { from, ending, this, changes } = self.rows(operation, reading);
        let key = match &self.source.key {
            Some(key) => format!("({})::text", key.expression),
            None => self.key_of(this),
        };
        let fields = match (self.source.payload, &changes) {
            (RowPayload::Full, _) | (RowPayload::Diff, None) => format!("',\"row\":' || {}", row_of(this)),
            (RowPayload::Key, _) => format!("',\"row\":' || {}", self.key_row(this)),
            (RowPayload::Diff, Some(changes)) => format!(
                "CASE WHEN {changes} IS NOT NULL THEN ',\"row\":' || {} || ',\"changes\":' || {changes}
        WHEN new_row.* IS NULL OR old_row.* IS NULL THEN ',\"row\":' || {} END",
                self.key_row(this),
                row_of(this)
            ),
        };
        let headers = if changes.is_some() { UPDATE_HEADERS } else { "event_headers" };
        Events { from, filter: self.filter(), ending, key, fields, headers }
    }

    fn filter(&self) -> &str {
        self.source.filter.as_ref().map_or("true", |filter| filter.expression.as_str())
    }

    /// Returns the insert of the events of a statement.
    fn insert(&self, events: &Events<'_>, target: Target) -> String {
        let Events { from, filter, ending, key, fields, headers } = events;
        let (schema, domain) = (self.schema, self.domain());
        let topic_name = literal(&self.source.topic);
        let table = literal(&self.table.name);
        // The server names the statement with an error.
        let name =
            format!("table source {} of topic {}", self.table.name, self.source.topic).replace('*', "+");
        let (columns, topic, last) = match target {
            Target::Outbox => (
                "outbox_events (event_id, topic, event_type, aggregate_id, payload, content_type, headers, occurred_at)",
                topic_name.clone(),
                ", clock_timestamp()",
            ),
            Target::Waiting => (
                "topic_waiting (event_id, topic_id, event_type, key, payload, content_type, headers)",
                "kept_topic".to_owned(),
                "",
            ),
        };
        format!(
            "
      INSERT INTO /* {name} */ {schema}.{columns}
      SELECT e.id, {topic}, {domain} || e.ending, e.key,
        CASE WHEN octet_length(p.payload) <= {LIMIT} THEN p.payload
          ELSE {schema}.source_event_is_too_large({topic_name}, {table}, octet_length(p.payload)) END,
        'application/json', {headers}{last}
      FROM (
        SELECT {schema}.new_id() AS id, {ending} AS ending, {key} AS key, {fields} AS fields
        FROM {from} WHERE ({filter}) OFFSET 0) e
        CROSS JOIN LATERAL (
          SELECT convert_to('{{\"eventId\":\"' || e.id || '\",\"eventType\":' || to_json({domain} || e.ending)
            || coalesce(',\"aggregateId\":' || to_json(e.key), '') || envelope || e.fields || '}}', 'UTF8') AS payload OFFSET 0) p
      WHERE e.fields IS NOT NULL;
"
        )
    }

    /// Returns the rows of a statement. Relations that no expression names cost nothing, and are left out.
    fn rows(&self, operation: Operation, reading: Reading) -> Rows {
        // It names the table by its number, so that a plan that a session keeps ends with a change of the columns.
        let of_row = |row: &str| format!("(SELECT {row}.* WHERE '{}'::regclass IS NOT NULL)", self.table.oid);
        let (of_new, of_old) = (of_row("NEW"), of_row("OLD"));
        let (new, old) = match reading {
            Reading::Statement => ("new_rows", "old_rows"),
            Reading::Row => (of_new.as_str(), of_old.as_str()),
            Reading::One => (ONE_NEW, ONE_OLD),
        };
        let nothing = |of: &str, name: &str| {
            let is_named = self.names(name);
            if is_named {
                format!(" LEFT JOIN (SELECT * FROM {of} n WHERE false) {name} ON true")
            } else {
                String::new()
            }
        };
        let same = |of: &str| {
            if self.names("this_row") {
                format!(" CROSS JOIN LATERAL (SELECT {of}.*) this_row")
            } else {
                String::new()
            }
        };
        match operation {
            Operation::Insert => Rows {
                from: format!("{new} new_row{}{}", nothing(new, "old_row"), same("new_row")),
                ending: "'inserted'".to_owned(),
                this: "new_row",
                changes: None,
            },
            Operation::Delete => Rows {
                from: format!("{old} old_row{}{}", nothing(old, "new_row"), same("old_row")),
                ending: "'deleted'".to_owned(),
                this: "old_row",
                changes: None,
            },
            Operation::Update if self.table.key.is_empty() => Rows {
                from: format!("{new} new_row CROSS JOIN {old} old_row{}", same("new_row")),
                ending: "'updated'".to_owned(),
                this: "new_row",
                changes: Some(CHANGES.to_owned()),
            },
            Operation::Update => self.updated(new, old, reading),
            Operation::Truncate => unreachable!("it has no rows"),
        }
    }

    /// Old and new rows are paired by the primary key. A key that an update has changed leaves two rows alone: the old one, which is
    /// gone, and the new one, which has come.
    fn updated(&self, new: &str, old: &str, reading: Reading) -> Rows {
        // One row of a statement was paired before.
        let join = match reading {
            Reading::One => format!("{new} new_row CROSS JOIN {old} old_row"),
            _ => format!("{new} new_row FULL JOIN {old} old_row ON {}", self.pairs().unwrap_or_default()),
        };
        let first = &self.table.key[0];
        let (has_new, has_old) =
            (format!("new_row.{first} IS NOT NULL"), format!("old_row.{first} IS NOT NULL"));
        let this = format!(
            " CROSS JOIN LATERAL (SELECT new_row.* WHERE {has_new} UNION ALL SELECT old_row.* WHERE NOT ({has_new})) this_row"
        );
        Rows {
            from: format!("{join}{this}"),
            ending: format!(
                "CASE WHEN NOT ({has_old}) THEN 'inserted' WHEN NOT ({has_new}) THEN 'deleted' ELSE 'updated' END"
            ),
            this: "this_row",
            changes: Some(format!("CASE WHEN {has_new} AND {has_old} THEN {CHANGES} END")),
        }
    }

    /// Returns whether an expression of the user names a row.
    fn names(&self, row: &str) -> bool {
        let prefix = format!("{row}.");
        [&self.source.filter, &self.source.key]
            .into_iter()
            .flatten()
            .any(|given| given.expression.contains(&prefix))
    }

    /// The condition under which an old and a new row are the same one, if the table has a key. The key of an event is a text: where it
    /// changes, one row goes and another one comes, also if a collation or a type calls both texts equal.
    pub(super) fn pairs(&self) -> Option<String> {
        let same = |column: &String| match self.table.has_many_texts.contains(column) {
            false => format!("new_row.{column} = old_row.{column}"),
            true => format!("new_row.{column}::text COLLATE \"C\" = old_row.{column}::text COLLATE \"C\""),
        };
        let pairs: Vec<String> = self.table.key.iter().map(same).collect();
        (!pairs.is_empty()).then(|| pairs.join(" AND "))
    }

    /// The primary key as text: the column alone, or a JSON object of several.
    fn key_of(&self, row: &str) -> String {
        match self.table.key.as_slice() {
            [] => "NULL::text".to_owned(),
            [column] => format!("{row}.{column}::text"),
            _ => format!("{}::text", self.key_object(row)),
        }
    }

    fn key_row(&self, row: &str) -> String {
        format!("{}::text", self.key_object(row))
    }

    pub(super) fn key_object(&self, row: &str) -> String {
        let column = |column: &String| format!("{}, {row}.{column}", literal(&unquoted(column)));
        format!("jsonb_build_object({})", self.table.key.iter().map(column).collect::<Vec<_>>().join(", "))
    }

    /// The type of an event up to its last part, as SQL writes it.
    pub(super) fn domain(&self) -> String {
        literal(&format!("{}.", self.source.event_type(&self.table.plain_name)))
    }
}

/// Neither the text of a row's values nor the meaning of a literal depends on a setting of the writer.
const SETTINGS: &str = "SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on SET timezone = 'UTC' SET datestyle = 'ISO, YMD'
  SET intervalstyle = 'postgres' SET bytea_output = 'hex' SET extra_float_digits = 1";

/// The largest payload that every publishing mode can carry.
const LIMIT: u32 = 900_000;

/// The columns that differ, with their values before and after; NULL when none does.
///
/// A function in FROM, such as `jsonb_each`, keeps the form of its rows in memory until the statement ends, and it would be called for
/// each row.
const CHANGES: &str = "(
          SELECT json_object_agg(c.key, json_build_object('before', c.o -> c.key, 'after', c.n -> c.key))
          FROM (
            SELECT jsonb_object_keys(r.n) AS key, r.n, r.o
            FROM (SELECT to_jsonb(new_row.*) AS n, to_jsonb(old_row.*) AS o OFFSET 0) r OFFSET 0) c
          WHERE c.n -> c.key IS DISTINCT FROM c.o -> c.key)::text";

/// A row of a statement. It names the relation of all, over which nothing is read: so a plan that a session keeps ends with a change of
/// the columns.
const ONE_NEW: &str = "(SELECT (one.new_row).* FROM (SELECT) x LEFT JOIN new_rows n ON false)";
const ONE_OLD: &str = "(SELECT (one.old_row).* FROM (SELECT) x LEFT JOIN old_rows n ON false)";

/// The headers of the events of an update, by what became of the row.
const UPDATE_HEADERS: &str = "CASE e.ending WHEN 'updated' THEN event_headers
          WHEN 'inserted' THEN event_headers || '{\"op\": \"insert\"}' ELSE event_headers || '{\"op\": \"delete\"}' END";

/// Where events go.
#[derive(Clone, Copy)]
enum Target {
    Outbox,
    Waiting,
}

impl Operation {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Truncate => "TRUNCATE",
        }
    }
}

/// The row, even where a column has its name.
fn row_of(row: &str) -> String {
    format!("to_json({row}.*)::text")
}

/// Returns a quoted name as it is.
fn unquoted(name: &str) -> String {
    match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
        Some(name) => name.replace("\"\"", "\""),
        None => name.to_owned(),
    }
}
