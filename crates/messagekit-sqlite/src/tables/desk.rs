//! Looking at letters.

use messagekit::{
    DeadLetter, Error, ErrorKind, LetterFilter, LetterGroup, LetterHead, LetterState, LetterTotal, no_letter,
};
use rusqlite::{Connection, Row, params_from_iter};

use super::letter_filter::Conditions;
use super::letter_head::{self, HEAD};
use super::letter_row::{self, COLUMNS};
use super::timestamp;
use crate::error::from_sqlite;

/// Returns letters without their messages, newest first.
pub(crate) fn list(conn: &Connection, filter: &LetterFilter, limit: u32) -> Result<Vec<LetterHead>, Error> {
    let conditions = Conditions::of(filter);
    let select = format!(
        "SELECT {HEAD} FROM messagekit_dead_letters d WHERE {} ORDER BY d.id DESC LIMIT ?",
        conditions.sql()
    );
    let mut select = conn.prepare_cached(&select).map_err(from_sqlite)?;
    let mut rows = select.query(params_from_iter(conditions.limited(limit))).map_err(from_sqlite)?;
    let mut heads = Vec::new();
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        heads.push(letter_head::read(row)?);
    }
    Ok(heads)
}

/// Returns the numbers of letters, smallest first.
pub(crate) fn ids(conn: &Connection, filter: &LetterFilter, limit: u32) -> rusqlite::Result<Vec<i64>> {
    let conditions = Conditions::of(filter);
    let select = format!(
        "SELECT d.id FROM messagekit_dead_letters d WHERE {} ORDER BY d.id LIMIT ?",
        conditions.sql()
    );
    conn.prepare_cached(&select)?
        .query_map(params_from_iter(conditions.limited(limit)), |row| row.get(0))?
        .collect()
}

/// Returns one letter with its message.
pub(crate) fn show(conn: &Connection, id: i64) -> Result<DeadLetter, Error> {
    // One statement: two would see two states of the letter.
    let mut select = conn
        .prepare_cached(&format!("SELECT {COLUMNS}, {HEAD} FROM messagekit_dead_letters d WHERE d.id = ?1"))
        .map_err(from_sqlite)?;
    let mut rows = select.query([id]).map_err(from_sqlite)?;
    let row = rows.next().map_err(from_sqlite)?.ok_or_else(|| no_letter(id))?;
    Ok(DeadLetter { head: letter_head::read(row)?, received: letter_row::read(row)?.received })
}

/// Counts letters by consumer and state.
pub(crate) fn totals(conn: &Connection, filter: &LetterFilter) -> Result<Vec<LetterTotal>, Error> {
    let conditions = Conditions::of(filter);
    let counted = format!(
        "SELECT c.name, t.state, t.letters FROM
           (SELECT d.consumer_id, d.state, count(*) AS letters FROM messagekit_dead_letters d
            WHERE {} GROUP BY d.consumer_id, d.state) t
         JOIN messagekit_consumers c ON c.id = t.consumer_id",
        conditions.sql()
    );
    let total = |row: &Row<'_>| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get::<_, u32>(2)?));
    let counted: Vec<(String, String, u32)> = conn
        .prepare_cached(&counted)
        .and_then(|mut select| select.query_map(params_from_iter(conditions.values), total)?.collect())
        .map_err(from_sqlite)?;
    let mut totals = counted
        .into_iter()
        .map(|(consumer, state, letters)| {
            let state = state.parse().map_err(|error: Error| {
                Error::new(ErrorKind::Corrupt, "stored letters have an unknown state").caused_by(error)
            })?;
            Ok(LetterTotal { consumer, state, letters: letters.into() })
        })
        .collect::<Result<Vec<_>, Error>>()?;
    let order = |state| LetterState::ALL.iter().position(|known| *known == state);
    totals.sort_by(|a, b| (&a.consumer, order(a.state)).cmp(&(&b.consumer, order(b.state))));
    Ok(totals)
}

/// Returns groups of letters that failed alike, the largest first.
pub(crate) fn groups(
    conn: &Connection,
    filter: &LetterFilter,
    limit: u32,
) -> Result<Vec<LetterGroup>, Error> {
    let conditions = Conditions::of(filter);
    let grouped = format!(
        "SELECT g.fingerprint, c.name, g.event_type, g.kind, n.error, g.letters, g.first, g.last, g.newest FROM
           (SELECT d.fingerprint, d.consumer_id, d.event_type, d.kind, count(*) AS letters,
              min(d.set_aside_at) AS first, max(d.set_aside_at) AS last, max(d.id) AS newest
            FROM messagekit_dead_letters d WHERE {}
            GROUP BY d.fingerprint, d.consumer_id, d.event_type, d.kind
            ORDER BY letters DESC, newest DESC LIMIT ?) g
         JOIN messagekit_dead_letters n ON n.id = g.newest
         JOIN messagekit_consumers c ON c.id = g.consumer_id
         ORDER BY g.letters DESC, g.newest DESC",
        conditions.sql()
    );
    let mut select = conn.prepare_cached(&grouped).map_err(from_sqlite)?;
    let mut rows = select.query(params_from_iter(conditions.limited(limit))).map_err(from_sqlite)?;
    let mut groups = Vec::new();
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        groups.push(group(row)?);
    }
    Ok(groups)
}

fn group(row: &Row<'_>) -> Result<LetterGroup, Error> {
    let time = |column: usize| row.get::<_, i64>(column).map_err(from_sqlite).and_then(timestamp);
    let (first, last) = (time(6)?, time(7)?);
    let rest = || -> rusqlite::Result<LetterGroup> {
        Ok(LetterGroup {
            fingerprint: row.get(0)?,
            consumer: row.get(1)?,
            event_type: row.get(2)?,
            kind: row.get(3)?,
            error: row.get(4)?,
            letters: row.get::<_, u32>(5)?.into(),
            first,
            last,
            newest: row.get(8)?,
        })
    };
    rest().map_err(from_sqlite)
}
