//! What a person does with letters: each act a compare-and-set that takes the marker of the message with it.

use messagekit::{Act, Acted, Actor, Error, ErrorKind, LetterState};
use rusqlite::{Connection, OptionalExtension};

use super::audit;
use super::processed::{Moving, move_marker};
use crate::error::from_sqlite;

/// Acts on letters, answers for each in order, and writes one row of the audit.
pub(crate) fn act(
    conn: &Connection,
    act: Act,
    ids: &[i64],
    by: &Actor,
    now: i64,
) -> Result<Vec<Acted>, Error> {
    let acted = ids.iter().map(|id| act_on(conn, act, *id, now)).collect::<Result<Vec<_>, Error>>()?;
    let done = acted.iter().filter(|acted| **acted == Acted::Done).count();
    audit::write(conn, by, act.as_str(), ids, done, now).map_err(from_sqlite)?;
    Ok(acted)
}

fn act_on(conn: &Connection, act: Act, id: i64, now: i64) -> Result<Acted, Error> {
    let (update, moving) = match act {
        // What a broker kept and nobody said where to send it cannot be run again.
        Act::Retry => (
            "UPDATE messagekit_dead_letters
             SET state = 'replaying', due = ?2, attempts = 0, kills = 0, running_since = NULL, token = token + 1,
                 changed_at = ?2
             WHERE id = ?1 AND state = 'dead' AND (origin = 'store' OR return_to IS NOT NULL)
             RETURNING consumer_id, message_id",
            None,
        ),
        // Also while its handler runs: the token keeps the handler from resolving it.
        Act::Discard => (
            "UPDATE messagekit_dead_letters
             SET state = 'discarded', due = NULL, running_since = NULL, token = token + 1, changed_at = ?2
             WHERE id = ?1 AND state IN ('retrying', 'dead', 'replaying') RETURNING consumer_id, message_id",
            Some(Moving::HeldToDiscarded),
        ),
        Act::Undo => (
            "UPDATE messagekit_dead_letters SET state = 'dead', token = token + 1, changed_at = ?2
             WHERE id = ?1 AND state = 'discarded' RETURNING consumer_id, message_id",
            Some(Moving::DiscardedToHeld),
        ),
    };
    let moved: Option<(i64, String)> = conn
        .prepare_cached(update)
        .and_then(|mut update| update.query_row((id, now), |row| Ok((row.get(0)?, row.get(1)?))).optional())
        .map_err(from_sqlite)?;
    let Some((consumer, message)) = moved else { return refused(conn, id) };
    if let Some(moving) = moving
        && !move_marker(conn, consumer, &message, moving, now).map_err(from_sqlite)?
    {
        return Err(Error::new(ErrorKind::Corrupt, "marker of the message contradicts its dead letter")
            .with("letter", id)
            .with("id", message));
    }
    Ok(Acted::Done)
}

fn refused(conn: &Connection, id: i64) -> Result<Acted, Error> {
    let state: Option<String> = conn
        .prepare_cached("SELECT state FROM messagekit_dead_letters WHERE id = ?1")
        .and_then(|mut select| select.query_row([id], |row| row.get(0)).optional())
        .map_err(from_sqlite)?;
    match state.map(|state| state.parse::<LetterState>()) {
        None => Ok(Acted::NotFound),
        Some(Ok(state)) => Ok(Acted::WrongState(state)),
        Some(Err(error)) => Err(Error::new(ErrorKind::Corrupt, "stored letter has an unknown state")
            .with("letter", id)
            .caused_by(error)),
    }
}
