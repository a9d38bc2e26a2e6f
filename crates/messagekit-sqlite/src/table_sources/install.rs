//! Installs the triggers of a source, compares them with its rules, and follows the columns of its table.

use messagekit::log::{KnownSource, OnSourceFailure, SourceFault};
use messagekit::{Error, ErrorKind, chain};
use messagekit_topic_store::{AddedSource, TableSource};
use rusqlite::Connection;

use super::functions::FUNCTIONS;
use super::route::Route;
use super::row_json::quoted;
use super::table::{Table, plain_name};
use super::triggers::FORM;
use crate::error::from_sqlite;
use crate::tables::table_sources::{self, StoredSource};

/// Returns all sources, each with what is wrong with it.
pub(crate) fn known(conn: &Connection) -> Result<Vec<KnownSource>, Error> {
    let shown = |stored: StoredSource| {
        let mut fault = fault(conn, &stored)?;
        let mut renamed_to = None;
        if fault == Some(SourceFault::TableMissing) {
            renamed_to = self::renamed_to(conn, &stored)?;
            fault = renamed_to.as_ref().map(|_| SourceFault::TableRenamed).or(fault);
        }
        Ok(stored.with_fault(fault, renamed_to))
    };
    table_sources::all(conn)?.into_iter().map(shown).collect()
}

/// Makes the triggers anew of sources whose tables have other columns, or were built anew, as many tools change a table. Returns how many.
pub(crate) fn refresh(conn: &Connection) -> Result<usize, Error> {
    let mut refreshed = 0;
    for stored in table_sources::all(conn)? {
        let fault = fault(conn, &stored)?;
        if !matches!(fault, Some(SourceFault::TriggerChanged | SourceFault::TriggerMissing))
            || stored.form > FORM
        {
            continue;
        }
        let table = Table::find(conn, &quoted(&stored.source.table))?;
        let route = Route { id: stored.id, source: &stored.source, table: &table };
        match try_out(conn, &route).map_err(from_sqlite).and_then(|()| make(conn, &route)) {
            Ok(()) => refreshed += 1,
            Err(error) => tracing::warn!(
                topic = &*stored.source.topic,
                table = stored.source.table,
                error = chain(&error),
                "table source does not follow the columns of its table: replace it, or drop it"
            ),
        }
    }
    Ok(refreshed)
}

pub(super) fn add(conn: &Connection, source: &TableSource, replaces: bool) -> Result<AddedSource, Error> {
    let table = Table::find(conn, &source.table)?;
    let source = &TableSource { table: table.name.clone(), ..source.clone() };
    let known = table_sources::find(conn, &source.topic, &table.name)?;
    if let Some(known) = &known {
        if known.has_rules_of(source) && fault(conn, known)?.is_none() {
            return Ok(AddedSource::Same);
        }
        if !replaces {
            return Err(source.has_other_rules());
        }
    }
    check(source, &table)?;
    let id = table_sources::write(conn, source, &table.key).map_err(from_sqlite)?;
    let route = Route { id, source, table: &table };
    try_out(conn, &route).map_err(|error| source.cannot_be_evaluated().with("reason", reason(&error)))?;
    make(conn, &route)?;
    Ok(if known.is_some() { AddedSource::Replaced } else { AddedSource::Added })
}

pub(super) fn remove(conn: &Connection, topic: &str, table: &str) -> Result<bool, Error> {
    // A table that is gone has no name but the one that was given.
    let name = match Table::find(conn, table) {
        Ok(table) => table.name,
        Err(error) if is_gone(&error) => plain_name(table).unwrap_or_default(),
        Err(error) => return Err(error),
    };
    let Some(id) = table_sources::remove(conn, topic, &name).map_err(from_sqlite)? else { return Ok(false) };
    table_sources::drop_triggers(conn, &Route::prefix(id)).map_err(from_sqlite)?;
    Ok(true)
}

/// Removes every source of a topic.
pub(crate) fn remove_all(conn: &Connection, topic: &str) -> Result<(), Error> {
    for table in table_sources::feeding(conn, topic).map_err(from_sqlite)? {
        remove(conn, topic, &quoted(&table))?;
    }
    Ok(())
}

/// Evaluates the expressions as a trigger will.
fn try_out(conn: &Connection, route: &Route<'_>) -> rusqlite::Result<()> {
    conn.prepare(&route.trial())?.query(())?.next().map(drop)
}

/// Returns what SQLite says of an expression, with the names that its author has written: the whole statement is ours.
fn reason(error: &rusqlite::Error) -> String {
    let said = match error {
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        rusqlite::Error::SqliteFailure(_, Some(said)) => said.clone(),
        other => other.to_string(),
    };
    said.replace("this_row.", "").replace("new_row.", "NEW.").replace("old_row.", "OLD.")
}

/// Makes the triggers of a source, in place of those that it has.
fn make(conn: &Connection, route: &Route<'_>) -> Result<(), Error> {
    table_sources::drop_triggers(conn, &Route::prefix(route.id)).map_err(from_sqlite)?;
    table_sources::set_form(conn, route.id, FORM).map_err(from_sqlite)?;
    for trigger in route.triggers() {
        conn.execute_batch(&trigger.sql).map_err(from_sqlite)?;
    }
    Ok(())
}

/// Refuses what no trigger could do.
fn check(source: &TableSource, table: &Table) -> Result<(), Error> {
    if source.on_failure == OnSourceFailure::SetAside {
        let text = "triggers of a file cannot set a row aside and go on: let the write fail whose event cannot be written";
        return Err(source.refused(ErrorKind::InvalidConfiguration, text));
    }
    if source.replicated {
        let text = "nothing replicates rows into the tables of a file: add the source without them";
        return Err(source.refused(ErrorKind::InvalidConfiguration, text));
    }
    source.check_key(!table.key.is_empty())?;
    if let Some(key) = table.unique.iter().find(|key| !table.is_known_before(key)) {
        let text = "unique key is computed from a row number that the database chooses, or from a default that is another one each time: \
                    no trigger knows which row REPLACE takes for it: let the key hold columns that a writer gives";
        return Err(source.refused(ErrorKind::InvalidConfiguration, text).with("key", key.shown()));
    }
    let mut called = [&source.filter, &source.key].into_iter().flatten().flat_map(|given| &given.functions);
    if let Some(name) = called.find(|name| !FUNCTIONS.contains(&name.as_str())) {
        let text = "expression calls a function whose value could change, or that another program's SQLite may not have";
        return Err(source
            .refused(ErrorKind::InvalidConfiguration, text)
            .with("function", name)
            .with("known", FUNCTIONS.join(", ")));
    }
    Ok(())
}

/// Compares the triggers of a source with those that its rules ask for. A renamed table is missing under its name.
fn fault(conn: &Connection, stored: &StoredSource) -> Result<Option<SourceFault>, Error> {
    let table = match Table::find(conn, &quoted(&stored.source.table)) {
        Ok(table) => table,
        Err(error) if is_gone(&error) => return Ok(Some(SourceFault::TableMissing)),
        Err(error) => return Err(error),
    };
    if table.key != stored.key_columns {
        return Ok(Some(SourceFault::KeyChanged));
    }
    let route = Route { id: stored.id, source: &stored.source, table: &table };
    let found = table_sources::triggers(conn, &Route::prefix(stored.id)).map_err(from_sqlite)?;
    let (mut is_missing, mut is_stale) = (false, false);
    for trigger in route.triggers() {
        match found.get(&trigger.name) {
            Some(sql) => is_stale |= stored.form <= FORM && *sql != trigger.sql,
            None => is_missing = true,
        }
    }
    Ok(match (is_missing, is_stale) {
        (true, _) => Some(SourceFault::TriggerMissing),
        (false, true) => Some(SourceFault::TriggerChanged),
        (false, false) => None,
    })
}

/// Returns the name that the table of a source has now, which is gone under its own: a renaming takes the triggers along.
fn renamed_to(conn: &Connection, stored: &StoredSource) -> Result<Option<String>, Error> {
    table_sources::table_of_triggers(conn, &Route::prefix(stored.id)).map_err(from_sqlite)
}

/// A table of this name is gone, or the name is now that of something else.
fn is_gone(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidConfiguration)
}
