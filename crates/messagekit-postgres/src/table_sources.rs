//! Tables of this database whose changes become events.

mod route;
mod set_aside;
mod table;

use messagekit::log::{Changes, KnownSource};
use messagekit::{Error, ErrorKind};
use messagekit_topic_store::{AddedSource, SqlDialect, TableSource, TableSources};
use sqlx::{AssertSqlSafe, PgConnection};

use self::route::Route;
use self::table::Table;
use crate::error::{from_sqlx, of};
use crate::hasty::Attempts;
use crate::tables::table_sources;
use crate::{PgTx, PostgresStore};

/// The settings of the functions: with them an expression finds its names, and literals mean the same.
const SETTINGS: &str =
    "SET LOCAL search_path TO pg_catalog, pg_temp; SET LOCAL standard_conforming_strings TO on";

impl TableSources for PostgresStore {
    const DIALECT: SqlDialect = SqlDialect::PostgreSql;

    async fn add_source(&self, source: &TableSource, replaces: bool) -> Result<AddedSource, Error> {
        let attempts = Attempts::new(&source.table);
        loop {
            let mut tx = self.begin_hasty().await?;
            let added = self.add(&mut tx, source, replaces).await;
            if let Some(added) = attempts.end(self, tx, added).await? {
                return Ok(added);
            }
        }
    }

    async fn drop_source(&self, topic: &str, table: &str) -> Result<bool, Error> {
        let attempts = Attempts::new(table);
        loop {
            let mut tx = self.begin_hasty().await?;
            let removed = self.remove(&mut tx, topic, table).await;
            if let Some(removed) = attempts.end(self, tx, removed).await? {
                return Ok(removed);
            }
        }
    }

    async fn sources(&self) -> Result<Vec<KnownSource>, Error> {
        self.read(|mut connection| async move { table_sources::all(&mut connection, self.schema()).await })
            .await
    }
}

impl PostgresStore {
    async fn remove(&self, tx: &mut PgTx, topic: &str, table: &str) -> Result<bool, Error> {
        // A table that is gone, or whose name is now that of a view, has no name but the one that was given.
        let name = match Table::find(tx, table).await {
            Ok(table) => table.name,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidConfiguration) => {
                table.to_owned()
            }
            Err(error) => return Err(error),
        };
        let removed = table_sources::remove(tx, self.schema(), topic, &name).await?;
        if let Some(id) = removed {
            run(tx, Route::removal(&self.schema().quoted(), id)).await.map_err(from_sqlx)?;
        }
        Ok(removed.is_some())
    }

    async fn add(&self, tx: &mut PgTx, source: &TableSource, replaces: bool) -> Result<AddedSource, Error> {
        let schema = self.schema();
        let table = Table::find(tx, &source.table).await?;
        let known = table_sources::find(tx, schema, &source.topic, &table.name).await?;
        if let Some(known) = &known {
            if known.fault.is_none() && source.has_rules_of(known) {
                return Ok(AddedSource::Same);
            }
            if !replaces {
                return Err(source.has_other_rules());
            }
        }
        check(tx, source, &table).await?;
        let quoted = schema.quoted();
        let (id, consumer) = table_sources::write(tx, schema, source, &table.name, &table.key).await?;
        let route = Route { id, consumer: &consumer, schema: &quoted, source, table: &table };
        run(tx, SETTINGS.to_owned()).await.map_err(from_sqlx)?;
        run(tx, route.trial()).await.map_err(|error| untried(error, source))?;
        run(tx, Route::removal(&quoted, id)).await.map_err(from_sqlx)?;
        for statement in route.statements() {
            run(tx, statement).await.map_err(|error| unmade(error, source))?;
        }
        table_sources::note_function(tx, schema, id).await?;
        Ok(if known.is_some() { AddedSource::Replaced } else { AddedSource::Added })
    }
}

/// Refuses what no trigger could do.
async fn check(tx: &mut PgConnection, source: &TableSource, table: &Table) -> Result<(), Error> {
    source.check_key(!table.key.is_empty())?;
    if table.is_partitioned && source.changes.update && source.changes != Changes::ALL {
        let text = "an update that moves a row of a partitioned table deletes it in one part and inserts it in another: watch all changes, or no update";
        return Err(source.refused(ErrorKind::InvalidConfiguration, text));
    }
    let functions: Vec<&str> = [&source.filter, &source.key]
        .into_iter()
        .flatten()
        .flat_map(|expression| expression.functions.iter().map(String::as_str))
        .collect();
    let refused = table_sources::unsafe_functions(tx, &functions).await?;
    if let Some(name) = refused.first() {
        let text = "expression calls a function that is no immutable one of the server, so that its value could change or a write could wait for it";
        return Err(source.refused(ErrorKind::InvalidConfiguration, text).with("function", name));
    }
    Ok(())
}

/// An expression that the server cannot evaluate over the rows of the table.
fn untried(error: sqlx::Error, source: &TableSource) -> Error {
    match of(&error).map(|answer| answer.code().to_owned()) {
        Some(code) if code == "42501" => {
            let text = "role may not read the table: adding a source needs the right SELECT on it, to try the expressions";
            source.refused(ErrorKind::InvalidConfiguration, text).caused_by(error)
        }
        Some(code) if code.starts_with("42") => source.cannot_be_evaluated().caused_by(error),
        _ => from_sqlx(error),
    }
}

fn unmade(error: sqlx::Error, source: &TableSource) -> Error {
    match of(&error).map(|answer| answer.code().to_owned()).as_deref() {
        Some("42501") => {
            let text = "role may not make triggers on the table: it needs the right TRIGGER on it, and CREATE on our schema";
            source.refused(ErrorKind::InvalidConfiguration, text).caused_by(error)
        }
        _ => from_sqlx(error),
    }
}

/// The text holds names that were quoted by the server, and expressions that were parsed.
async fn run(tx: &mut PgConnection, statement: String) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(tx).await.map(drop)
}
