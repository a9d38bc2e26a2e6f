//! Tables of this database whose changes become events.

mod route;
mod table;

use std::time::Duration;

use messagekit::log::{AddedSource, KnownSource, TableSource, TableSources};
use messagekit::{Error, ErrorKind, Store};
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::time::Instant;

use self::route::Route;
use self::table::Table;
use crate::error::{from_sqlx, of};
use crate::tables::table_sources;
use crate::{PgTx, PostgresStore};

/// A trigger waits for the open writers of its table, and all later writers wait behind it: it waits for a moment only, and often.
const LOCK_WAIT: &str = "SET LOCAL lock_timeout = '500ms'";
const PAUSE: Duration = Duration::from_millis(100);

/// How long it is tried.
const PATIENCE: Duration = Duration::from_secs(20);

impl TableSources for PostgresStore {
    async fn add_source(&self, source: &TableSource, replaces: bool) -> Result<AddedSource, Error> {
        let attempts = Attempts::new(&source.table);
        loop {
            let mut tx = self.begin_hasty().await?;
            match self.add(&mut tx, source, replaces).await {
                Ok(added) => return self.commit(tx).await.map(|()| added),
                Err(error) => {
                    self.rollback(tx).await?;
                    attempts.again(error).await?;
                }
            }
        }
    }

    async fn drop_source(&self, topic: &str, table: &str) -> Result<bool, Error> {
        let attempts = Attempts::new(table);
        loop {
            let mut tx = self.begin_hasty().await?;
            match self.remove(&mut tx, topic, table).await {
                Ok(removed) => return self.commit(tx).await.map(|()| removed),
                Err(error) => {
                    self.rollback(tx).await?;
                    attempts.again(error).await?;
                }
            }
        }
    }

    async fn sources(&self) -> Result<Vec<KnownSource>, Error> {
        self.read(|mut connection| async move { table_sources::all(&mut connection, self.schema()).await })
            .await
    }
}

/// Attempts to lock a table between its writers.
struct Attempts<'a> {
    table: &'a str,
    until: Instant,
}

impl<'a> Attempts<'a> {
    fn new(table: &'a str) -> Self {
        Self { table, until: Instant::now() + PATIENCE }
    }

    /// Waits for the next attempt after a refused lock, or returns the error.
    async fn again(&self, error: Error) -> Result<(), Error> {
        if error.kind() != ErrorKind::Conflict {
            return Err(error);
        }
        if Instant::now() < self.until {
            tokio::time::sleep(PAUSE).await;
            return Ok(());
        }
        let text = "open transactions hold the table: end them, or try again";
        Err(Error::new(ErrorKind::Conflict, text).with("table", self.table).caused_by(error))
    }
}

impl PostgresStore {
    /// Begins a transaction that waits for no lock for long.
    async fn begin_hasty(&self) -> Result<PgTx, Error> {
        let mut tx = self.begin().await?;
        sqlx::raw_sql(LOCK_WAIT).execute(&mut *tx).await.map_err(from_sqlx)?;
        Ok(tx)
    }

    async fn remove(&self, tx: &mut PgTx, topic: &str, table: &str) -> Result<bool, Error> {
        // A table that is gone has no name but the one that was given.
        let name = match Table::find(tx, table).await {
            Ok(table) => table.name,
            Err(error) if error.kind() == ErrorKind::NotFound => table.to_owned(),
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
        if let Some((_, known)) = &known {
            let is_same = known.fault.is_none()
                && known.changes == source.changes
                && known.payload == source.payload
                && known.filter.as_deref() == source.filter.as_ref().map(|filter| filter.text.as_str())
                && known.key.as_deref() == source.key.as_ref().map(|key| key.text.as_str());
            if is_same {
                return Ok(AddedSource::Same);
            }
            if !replaces {
                let text = "table is a source of the topic with other rules, or needs repair: replace it, or drop it first";
                return Err(named(ErrorKind::WrongState, text, source));
            }
        }
        check(tx, source, &table).await?;
        let quoted = schema.quoted();
        let id = table_sources::write(tx, schema, source, &table.name, &table.key).await?;
        let route = Route { id, schema: &quoted, source, table: &table };
        run(tx, route.trial()).await.map_err(|error| untried(error, source))?;
        run(tx, Route::removal(&quoted, id)).await.map_err(from_sqlx)?;
        for statement in route.statements() {
            run(tx, statement).await.map_err(|error| unmade(error, source))?;
        }
        Ok(if known.is_some() { AddedSource::Replaced } else { AddedSource::Added })
    }
}

fn named(kind: ErrorKind, text: &'static str, source: &TableSource) -> Error {
    Error::new(kind, text).with("table", &source.table).with("topic", &source.topic)
}

/// Refuses what no trigger could do.
async fn check(tx: &mut PgConnection, source: &TableSource, table: &Table) -> Result<(), Error> {
    let needs_key = source.payload != messagekit::log::RowPayload::Full;
    if needs_key && table.key.is_empty() {
        let text = "table has no primary key: give it one, or let the events hold whole rows";
        return Err(named(ErrorKind::InvalidConfiguration, text, source));
    }
    let functions: Vec<&str> = [&source.filter, &source.key]
        .into_iter()
        .flatten()
        .flat_map(|expression| expression.functions.iter().map(String::as_str))
        .collect();
    let refused = table_sources::unsafe_functions(tx, &functions).await?;
    if let Some(name) = refused.first() {
        let text = "expression calls a function that is no immutable one of the server, so that its value could change or a write could wait for it";
        return Err(named(ErrorKind::InvalidConfiguration, text, source).with("function", name));
    }
    Ok(())
}

/// An expression that the server cannot evaluate over the rows of the table.
fn untried(error: sqlx::Error, source: &TableSource) -> Error {
    match of(&error).map(|answer| answer.code().to_owned()) {
        Some(code) if code.starts_with("42") && code != "42501" => {
            let text = "database cannot evaluate the expressions of the source over rows of the table";
            named(ErrorKind::InvalidConfiguration, text, source).caused_by(error)
        }
        _ => from_sqlx(error),
    }
}

fn unmade(error: sqlx::Error, source: &TableSource) -> Error {
    match of(&error).map(|answer| answer.code().to_owned()).as_deref() {
        Some("42501") => {
            let text = "role may not make triggers on the table: it needs the right TRIGGER on it, and CREATE on our schema";
            named(ErrorKind::InvalidConfiguration, text, source).caused_by(error)
        }
        _ => from_sqlx(error),
    }
}

/// The text holds names that were quoted by the server, and expressions that were parsed.
async fn run(tx: &mut PgConnection, statement: String) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(tx).await.map(drop)
}
