//! Table sources: what they were added with, and what is wrong with them.

use messagekit::log::{Changes, KnownSource, OnSourceFailure, RowPayload, SourceFault};
use messagekit::{Error, ErrorKind};
use messagekit_topic_store::TableSource;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use crate::SchemaName;
use crate::error::from_sqlx;

/// The columns of the primary key of a table in their order, each quoted.
macro_rules! key_columns {
    ($table:literal) => {
        concat!(
            "ARRAY (
    SELECT quote_ident(a.attname) FROM pg_index i
      CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY k (attnum, number)
      JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    WHERE i.indrelid = ",
            $table,
            " AND i.indisprimary ORDER BY k.number)"
        )
    };
}

pub(crate) use key_columns;

/// The consumer of the failed messages of a source, in at most the bytes that a consumer's name may have. No consumer of a program has a
/// colon in its name.
macro_rules! consumer {
    () => {
        "CASE WHEN octet_length(s.topic) + octet_length(s.table_name) <= 193 THEN 'route:' || s.topic || ':' || s.table_name
    ELSE 'route:' || s.id END"
    };
}

/// Each source with what its table is now.
pub(crate) const SOURCES: &str = concat!(
    "
SELECT s.topic, s.table_name, s.on_insert, s.on_update, s.on_delete, s.filter, s.payload, s.key, s.on_failure, s.on_replicated,
  to_regclass(s.table_name) IS NULL AS is_missing,
  CASE WHEN to_regclass(s.table_name) IS NULL THEN (
    SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM pg_trigger t
      JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE t.tgfoid = to_regproc('messagekit.source_' || s.id) AND NOT c.relispartition LIMIT 1) END AS renamed_to,
  s.key_columns IS DISTINCT FROM ",
    key_columns!("to_regclass(s.table_name)"),
    " AS has_other_key,
  (SELECT least(count(*) FILTER (WHERE t.tgenabled IN ('O', 'A')), CASE WHEN s.on_replicated THEN count(*) FILTER (WHERE t.tgenabled IN ('R', 'A')) END)
    FROM pg_trigger t
    WHERE t.tgrelid = to_regclass(s.table_name) AND starts_with(t.tgname, 'messagekit_source_' || s.id || '_'))
    < s.on_insert::int + s.on_update::int + 2 * s.on_delete::int AS lacks_trigger,
  s.function_hash IS DISTINCT FROM CASE WHEN s.function_hash IS NOT NULL THEN (
    SELECT encode(sha256(convert_to(p.prosrc, 'UTF8')), 'hex') FROM pg_proc p WHERE p.oid = to_regproc('messagekit.source_' || s.id)
      AND 'standard_conforming_strings=on' = ANY (p.proconfig)) END
    AS has_other_function
FROM messagekit.table_sources s "
);

pub(crate) const ALL: &str = "ORDER BY s.topic, s.table_name";
pub(crate) const ONE: &str = "WHERE s.topic = $1 AND s.table_name = $2 FOR UPDATE OF s";

pub(crate) const ADD: &str = concat!(
    "
INSERT INTO messagekit.table_sources AS s (topic, table_name, on_insert, on_update, on_delete, filter, payload, key, key_columns, on_failure, on_replicated)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (topic, table_name) DO UPDATE SET on_insert = excluded.on_insert, on_update = excluded.on_update,
  on_delete = excluded.on_delete, filter = excluded.filter, payload = excluded.payload, key = excluded.key,
  key_columns = excluded.key_columns, on_failure = excluded.on_failure,
  on_replicated = excluded.on_replicated, function_hash = NULL
RETURNING s.id, ",
    consumer!()
);

/// Notes the function of a source as it was made.
pub(crate) const NOTE_FUNCTION: &str = "
UPDATE messagekit.table_sources s SET function_hash = (
  SELECT encode(sha256(convert_to(p.prosrc, 'UTF8')), 'hex') FROM pg_proc p WHERE p.oid = to_regproc('messagekit.source_' || s.id))
WHERE s.id = $1";

pub(crate) const SET_ASIDE: &str = concat!(
    "
SELECT n.topic, n.table_name, n.consumer, c.failed_messages FROM (
  SELECT s.topic, s.table_name, ",
    consumer!(),
    " AS consumer FROM messagekit.table_sources s) n
  CROSS JOIN LATERAL (
    SELECT count(*) AS failed_messages FROM (SELECT FROM messagekit.failed_messages d
      WHERE d.consumer = n.consumer AND d.state = 'dead' LIMIT 10000) f) c
WHERE c.failed_messages > 0 ORDER BY n.topic, n.table_name"
);

pub(crate) const REMOVE: &str =
    "DELETE FROM messagekit.table_sources WHERE topic = $1 AND table_name = $2 RETURNING id";

/// Those functions that are not immutable ones of the server. The words of SQL that look like functions are none.
pub(crate) const UNSAFE_FUNCTIONS: &str = "
SELECT f.name FROM unnest($1::text[]) f (name)
WHERE f.name NOT IN ('coalesce', 'nullif', 'greatest', 'least') AND (
  NOT EXISTS (SELECT FROM pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname = f.name)
  OR EXISTS (
    SELECT FROM pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname = f.name
      AND (p.provolatile <> 'i' OR p.proretset OR p.prokind <> 'f')))
ORDER BY 1";

/// Returns the sources, sorted by topic and table.
pub(crate) async fn all(
    connection: &mut PgConnection,
    schema: &SchemaName,
) -> Result<Vec<KnownSource>, Error> {
    let rows = sqlx::query(schema.sql(format!("{SOURCES}{ALL}"))).fetch_all(connection).await;
    rows.map_err(from_sqlx)?.iter().map(known).collect()
}

/// A source with rows that were set aside, and how many wait for an operator, at most 10,000.
#[derive(Debug)]
pub(crate) struct SetAside {
    pub(crate) topic: String,
    pub(crate) table: String,
    pub(crate) consumer: String,
    pub(crate) rows: i64,
}

/// Returns the sources with rows that were set aside.
pub(crate) async fn set_aside(
    connection: &mut PgConnection,
    schema: &SchemaName,
) -> Result<Vec<SetAside>, Error> {
    let rows = sqlx::query_as(schema.sql(SET_ASIDE)).fetch_all(connection).await.map_err(from_sqlx)?;
    let found = |(topic, table, consumer, rows)| SetAside { topic, table, consumer, rows };
    Ok(rows.into_iter().map(found).collect())
}

/// Returns the source of a topic that a table is, held until the transaction ends.
pub(crate) async fn find(
    connection: &mut PgConnection,
    schema: &SchemaName,
    topic: &str,
    table: &str,
) -> Result<Option<KnownSource>, Error> {
    let find = sqlx::query(schema.sql(format!("{SOURCES}{ONE}"))).bind(topic).bind(table);
    let row = find.fetch_optional(connection).await.map_err(from_sqlx)?;
    row.as_ref().map(known).transpose()
}

fn known(row: &PgRow) -> Result<KnownSource, Error> {
    let unknown = |text: &'static str| Error::new(ErrorKind::Corrupt, text);
    let word: &str = row.try_get("payload").map_err(from_sqlx)?;
    let payload = RowPayload::ALL.into_iter().find(|known| known.as_str() == word);
    let payload = payload.ok_or_else(|| unknown("stored table source has an unknown payload"))?;
    let word: &str = row.try_get("on_failure").map_err(from_sqlx)?;
    let on_failure = OnSourceFailure::ALL.into_iter().find(|known| known.as_str() == word);
    let on_failure =
        on_failure.ok_or_else(|| unknown("stored table source has an unknown word for its failures"))?;
    let read = || {
        let renamed_to: Option<String> = row.try_get("renamed_to")?;
        let faults = [
            (renamed_to.is_some(), SourceFault::TableRenamed),
            (row.try_get("is_missing")?, SourceFault::TableMissing),
            (row.try_get("lacks_trigger")?, SourceFault::TriggerMissing),
            (row.try_get("has_other_key")?, SourceFault::KeyChanged),
            (row.try_get("has_other_function")?, SourceFault::TriggerChanged),
        ];
        Ok(KnownSource {
            topic: row.try_get("topic")?,
            table: row.try_get("table_name")?,
            changes: Changes {
                insert: row.try_get("on_insert")?,
                update: row.try_get("on_update")?,
                delete: row.try_get("on_delete")?,
            },
            filter: row.try_get("filter")?,
            payload,
            key: row.try_get("key")?,
            on_failure,
            replicated: row.try_get("on_replicated")?,
            fault: faults.into_iter().find(|(is, _)| *is).map(|(_, fault)| fault),
            renamed_to,
        })
    };
    read().map_err(from_sqlx)
}

/// Writes a source, or its new rules, and returns its number and the consumer of its failed messages.
pub(crate) async fn write(
    connection: &mut PgConnection,
    schema: &SchemaName,
    source: &TableSource,
    table: &str,
    key_columns: &[String],
) -> Result<(i32, String), Error> {
    let write = sqlx::query_as(schema.sql(ADD))
        .bind(&*source.topic)
        .bind(table)
        .bind(source.changes.insert)
        .bind(source.changes.update)
        .bind(source.changes.delete)
        .bind(source.filter.as_ref().map(|filter| filter.text.as_str()))
        .bind(source.payload.as_str())
        .bind(source.key.as_ref().map(|key| key.text.as_str()))
        .bind(key_columns)
        .bind(source.on_failure.as_str())
        .bind(source.replicated);
    write.fetch_one(connection).await.map_err(from_sqlx)
}

/// Notes the function of a source as it was made, so that another one is found.
pub(crate) async fn note_function(
    connection: &mut PgConnection,
    schema: &SchemaName,
    id: i32,
) -> Result<(), Error> {
    sqlx::query(schema.sql(NOTE_FUNCTION)).bind(id).execute(connection).await.map(drop).map_err(from_sqlx)
}

/// Removes a source, and returns its number.
pub(crate) async fn remove(
    connection: &mut PgConnection,
    schema: &SchemaName,
    topic: &str,
    table: &str,
) -> Result<Option<i32>, Error> {
    let remove = sqlx::query_scalar(schema.sql(REMOVE)).bind(topic).bind(table);
    remove.fetch_optional(connection).await.map_err(from_sqlx)
}

/// Returns those functions that an expression may not call.
pub(crate) async fn unsafe_functions(
    connection: &mut PgConnection,
    names: &[&str],
) -> Result<Vec<String>, Error> {
    sqlx::query_scalar(UNSAFE_FUNCTIONS).bind(names).fetch_all(connection).await.map_err(from_sqlx)
}
