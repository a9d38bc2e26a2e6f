//! Claims of messages: the processed markers.

use messagekit::adapter::{ClaimRequest, unknown_outcome};
use messagekit::operations::MarkerOutcome;
use messagekit::{Claim, Error, MessageId};
use rusqlite::{Connection, OptionalExtension, Result};

use super::blocked_keys::{self, BlockedKey};
use crate::error::from_sqlite;

/// The outcomes in the tables' format.
pub(super) const DONE: i64 = 0;
pub(super) const HELD: i64 = 1;
pub(super) const DISCARDED: i64 = 2;

/// Claims messages in order. A message whose key is blocked is claimed as held, to be parked behind the failed messages
/// of its key.
///
/// Each message uses one cached statement. It is as quick as one statement over all of them, and the second copy of an id
/// inside a call finds the first.
pub(crate) fn claim(
    conn: &Connection,
    consumer: i64,
    requests: &[ClaimRequest],
    now: i64,
) -> std::result::Result<Vec<Claim>, Error> {
    // Checked once: a consumer without parked messages pays for no key look-up.
    let parks = requests.iter().any(|request| request.key.is_some());
    let holds_keys = parks && blocked_keys::any(conn, consumer).map_err(from_sqlite)?;
    requests
        .iter()
        .map(|request| {
            let is_behind = match &request.key {
                Some(key) if holds_keys => {
                    blocked_keys::holds(conn, BlockedKey { consumer, topic: &request.topic, key })
                        .map_err(from_sqlite)?
                }
                _ => false,
            };
            let outcome = if is_behind { HELD } else { DONE };
            match claim_one(conn, consumer, request, outcome, now).map_err(from_sqlite)? {
                true if is_behind => Ok(Claim::KeyBlocked),
                true => Ok(Claim::Fresh),
                false => known(conn, consumer, &request.id),
            }
        })
        .collect()
}

/// Writes a marker. A range that is processed again claims messages that were done under a smaller generation.
fn claim_one(
    conn: &Connection,
    consumer: i64,
    request: &ClaimRequest,
    outcome: i64,
    now: i64,
) -> Result<bool> {
    let written = conn
        .prepare_cached(
            "INSERT INTO messagekit_processed_messages AS m (consumer_id, message_id, generation, outcome, processed_at)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (consumer_id, message_id) DO UPDATE
               SET generation = excluded.generation, outcome = excluded.outcome, processed_at = excluded.processed_at
               WHERE m.outcome = 0 AND m.generation < excluded.generation",
        )?
        .execute((consumer, request.id.as_str(), request.generation, outcome, now))?;
    Ok(written == 1)
}

fn known(conn: &Connection, consumer: i64, id: &MessageId) -> std::result::Result<Claim, Error> {
    let outcome: i64 = conn
        .prepare_cached(
            "SELECT outcome FROM messagekit_processed_messages WHERE consumer_id = ?1 AND message_id = ?2",
        )
        .and_then(|mut select| select.query_row((consumer, id.as_str()), |row| row.get(0)))
        .map_err(from_sqlite)?;
    outcome_of(outcome).map(Claim::from).ok_or_else(|| unknown_outcome(outcome).with("id", id))
}

/// Returns the outcome that has this number in the tables.
pub(super) fn outcome_of(number: i64) -> Option<MarkerOutcome> {
    MarkerOutcome::ALL.into_iter().find(|known| number_of(*known) == number)
}

/// Returns an outcome in the tables' format.
pub(super) fn number_of(outcome: MarkerOutcome) -> i64 {
    match outcome {
        MarkerOutcome::Done => DONE,
        MarkerOutcome::Held => HELD,
        MarkerOutcome::Discarded => DISCARDED,
    }
}

/// Returns the generation of an earlier claim of a message, for [`unclaim`] to restore.
pub(crate) fn generation(conn: &Connection, consumer: i64, id: &MessageId) -> Result<Option<i32>> {
    conn.prepare_cached(
        "SELECT generation FROM messagekit_processed_messages WHERE consumer_id = ?1 AND message_id = ?2",
    )?
    .query_row((consumer, id.as_str()), |row| row.get(0))
    .optional()
}

/// Undoes a claim of this transaction that was fresh or behind its key. A held marker with an open failed message is no
/// such claim.
///
/// A message that was done under an earlier generation returns to it. Without its marker it would be fresh to an owner
/// that does not know the range, and would be applied twice under the same generation.
pub(crate) fn unclaim(
    conn: &Connection,
    consumer: i64,
    request: &ClaimRequest,
    earlier: Option<i32>,
) -> Result<()> {
    let parameters = (consumer, request.id.as_str(), request.generation);
    match earlier {
        None => conn
            .prepare_cached(&unclaim_sql("DELETE FROM messagekit_processed_messages"))?
            .execute(parameters),
        Some(earlier) => conn
            .prepare_cached(&unclaim_sql(
                "UPDATE messagekit_processed_messages SET outcome = 0, generation = ?4",
            ))?
            .execute((parameters.0, parameters.1, parameters.2, earlier)),
    }
    .map(drop)
}

fn unclaim_sql(act: &str) -> String {
    format!(
        "{act}
         WHERE consumer_id = ?1 AND message_id = ?2 AND generation = ?3 AND (outcome = 0 OR outcome = 1 AND NOT EXISTS (
           SELECT 1 FROM messagekit_failed_messages
           WHERE consumer_id = ?1 AND message_id = ?2 AND state NOT IN ('resolved', 'discarded')))"
    )
}

/// Returns whether a message has a marker that settles it for a generation.
pub(crate) fn is_settled(conn: &Connection, consumer: i64, id: &MessageId, generation: i32) -> Result<bool> {
    conn.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM messagekit_processed_messages
         WHERE consumer_id = ?1 AND message_id = ?2 AND (outcome <> 0 OR generation >= ?3))",
    )?
    .query_row((consumer, id.as_str(), generation), |row| row.get(0))
}

/// Claims a message as held; returns false when its marker already settles it for the generation.
pub(crate) fn hold(
    conn: &Connection,
    consumer: i64,
    id: &MessageId,
    generation: i32,
    now: i64,
) -> Result<bool> {
    let written = conn
        .prepare_cached(
            "INSERT INTO messagekit_processed_messages AS m (consumer_id, message_id, outcome, generation, processed_at)
             VALUES (?1, ?2, 1, ?3, ?4) ON CONFLICT (consumer_id, message_id) DO UPDATE
               SET generation = excluded.generation, outcome = excluded.outcome, processed_at = excluded.processed_at
               WHERE m.outcome = 0 AND m.generation < excluded.generation",
        )?
        .execute((consumer, id.as_str(), generation, now))?;
    Ok(written == 1)
}

/// Marks a held message as applied; returns false when its marker is missing.
pub(crate) fn apply_held(conn: &Connection, consumer: i64, id: &str, now: i64) -> Result<bool> {
    let moved = conn
        .prepare_cached(
            "UPDATE messagekit_processed_messages SET outcome = ?4, processed_at = ?5
             WHERE consumer_id = ?1 AND message_id = ?2 AND outcome = ?3",
        )?
        .execute((consumer, id, HELD, DONE, now))?;
    Ok(moved == 1)
}

/// Writes the marker of a failed message that an operator has acted on. Creates one that retention has removed; otherwise
/// a late copy would be applied after the action.
pub(super) fn put_marker(conn: &Connection, consumer: i64, id: &str, outcome: i64, now: i64) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO messagekit_processed_messages (consumer_id, message_id, outcome, processed_at)
         VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (consumer_id, message_id) DO UPDATE SET outcome = excluded.outcome, processed_at = excluded.processed_at",
    )?
    .execute((consumer, id, outcome, now))
    .map(drop)
}
