//! A table of the user, as its triggers need to know it.

use messagekit::{Error, ErrorKind};
use messagekit_topic_store::VIEW_IS_NO_SOURCE;
use sqlx::{PgConnection, Row};

use crate::error::from_sqlx;
use crate::tables::table_sources::key_columns;

/// Finds a table by its name in SQL. Of the types that are named here, equal values have the same text, unless a collation makes more
/// values equal.
const TABLE: &str = concat!(
    "
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), c.relname::text, c.relkind::text, c.relispartition,
  ",
    key_columns!("c.oid"),
    ", c.oid::text,
  EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND NOT i.indimmediate),
  ARRAY (
    SELECT quote_ident(a.attname) FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
      LEFT JOIN pg_collation l ON l.oid = a.attcollation
    WHERE i.indrelid = c.oid AND i.indisprimary AND NOT (coalesce(l.collisdeterministic, true) AND a.atttypid = ANY (
      '{int2,int4,int8,oid,uuid,bool,date,time,timestamp,timestamptz,bytea,text,varchar}'::regtype[])))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)"
);

/// A table with its primary key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    /// Its name with its schema, quoted.
    pub(crate) name: String,
    /// Its name alone, as it is.
    pub(crate) plain_name: String,
    /// Its number in this database, as text.
    pub(crate) oid: String,
    pub(crate) is_partitioned: bool,
    /// The columns of the primary key, quoted; none without a key.
    pub(crate) key: Vec<String>,
    /// The columns of the primary key whose equal values may have different texts, such as `1.0` and `1.00`.
    pub(crate) has_many_texts: Vec<String>,
}

impl Table {
    /// Finds a table that can be a source.
    pub(crate) async fn find(connection: &mut PgConnection, name: &str) -> Result<Self, Error> {
        let found = sqlx::query(TABLE).bind(name).fetch_optional(connection).await;
        let row = found.map_err(|error| {
            let text = "name of the table cannot be read: write it as in SQL, like orders or shop.\"Orders\"";
            match crate::error::of(&error).map(|answer| answer.code().to_owned()).as_deref() {
                Some("42601" | "42602" | "0A000") => {
                    Error::new(ErrorKind::InvalidConfiguration, text).with("table", name).caused_by(error)
                }
                _ => from_sqlx(error),
            }
        })?;
        let row = row.ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                "there is no such table: name its schema, too, if it is not on the search path",
            )
            .with("table", name)
        })?;
        let refused =
            |text: &'static str| Err(Error::new(ErrorKind::InvalidConfiguration, text).with("table", name));
        let kind: String = row.try_get(2).map_err(from_sqlx)?;
        match kind.as_str() {
            "r" | "p" => {}
            "v" | "m" => return refused(VIEW_IS_NO_SOURCE),
            _ => return refused("only tables of this database can be sources"),
        }
        if row.try_get(3).map_err(from_sqlx)? {
            return refused("table is a partition: name the table that it is a part of");
        }
        // Triggers fire for each row there. With `id = id + 1` over rows 1 and 2, `deleted 2` would follow `inserted 2`, and row 2 is there.
        if kind == "p" && row.try_get(6).map_err(from_sqlx)? {
            return refused(
                "primary key of a partitioned table is DEFERRABLE, so events could not tell which row is there: make it NOT DEFERRABLE",
            );
        }
        Ok(Self {
            name: row.try_get(0).map_err(from_sqlx)?,
            plain_name: row.try_get(1).map_err(from_sqlx)?,
            is_partitioned: kind == "p",
            key: row.try_get(4).map_err(from_sqlx)?,
            oid: row.try_get(5).map_err(from_sqlx)?,
            has_many_texts: row.try_get(7).map_err(from_sqlx)?,
        })
    }
}
