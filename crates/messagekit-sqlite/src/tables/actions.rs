//! Operators' actions on failed messages: each is a compare-and-set that also moves the marker of the message.

use messagekit::Error;
use messagekit::operations::{Action, ActionResult, FailedMessageState, Operator, Pace, SelectionBatch};
use rusqlite::{Connection, OptionalExtension, Row};

use super::audit;
use super::blocked_keys::{self, BlockedKey, head_of};
use super::failed_message_head::known;
use super::processed::{DISCARDED, HELD, put_marker};
use super::selections;
use crate::error::from_sqlite;

/// Applies an action to failed messages, returns the results in order, and writes one row of the audit.
pub(crate) fn act(
    conn: &Connection,
    act: Action,
    ids: &[i64],
    by: &Operator,
    now: i64,
) -> Result<Vec<ActionResult>, Error> {
    act_at_pace(conn, act, ids, Pace::default(), by, now)
}

/// The same; retries are due one after the other, at the given pace.
pub(crate) fn act_at_pace(
    conn: &Connection,
    act: Action,
    ids: &[i64],
    pace: Pace,
    by: &Operator,
    now: i64,
) -> Result<Vec<ActionResult>, Error> {
    act_where(conn, act, ids, |_| true, pace, by, now)
}

/// The same for a batch of a selection. Each message is compared before the first one is moved: discarding the first of
/// a key moves the next one up.
pub(crate) fn act_on_selection(
    conn: &Connection,
    act: Action,
    batch: SelectionBatch<'_>,
    pace: Pace,
    by: &Operator,
    now: i64,
) -> Result<Vec<ActionResult>, Error> {
    let unchanged = selections::unchanged(conn, batch)?;
    act_where(conn, act, &batch.ids(), |id| unchanged.contains(&id), pace, by, now)
}

fn act_where(
    conn: &Connection,
    act: Action,
    ids: &[i64],
    is_unchanged: impl Fn(i64) -> bool,
    pace: Pace,
    by: &Operator,
    now: i64,
) -> Result<Vec<ActionResult>, Error> {
    by.check()?;
    let (mut result, mut done) = (Vec::with_capacity(ids.len()), 0);
    for id in ids {
        if !is_unchanged(*id) {
            result.push(ActionResult::Changed);
            continue;
        }
        let delay = i64::try_from(pace.delay(done).as_micros()).unwrap_or(i64::MAX);
        let acted = act_on(conn, act, *id, now, now.saturating_add(delay))?;
        done += usize::from(acted == ActionResult::Done);
        result.push(acted);
    }
    audit::write(conn, by, act.as_str(), ids, done, now).map_err(from_sqlite)?;
    Ok(result)
}

/// A run that is planned for later is due now, or at the pace, and never later than planned. A broker's failed message
/// without a redelivery target cannot be retried.
const RETRY: &str = "
UPDATE messagekit_failed_messages
SET state = iif(state = 'dead', 'retry_requested', state), reason = iif(state = 'dead', 'retry_requested', reason),
  due = min(coalesce(due, ?3), ?3), attempts = iif(state = 'dead', 0, attempts),
  crash_count = iif(state = 'dead', 0, crash_count), token = token + 1, changed_at = iif(state = 'dead', ?2, changed_at)
WHERE id = ?1 AND state IN ('retry_scheduled', 'dead', 'retry_requested') AND running_since IS NULL
  AND (due IS NULL OR due > ?2) AND (origin = 'store' OR return_to IS NOT NULL)
RETURNING consumer_id, message_id, parked, topic, key";

/// Also while its handler runs: the token keeps the handler from resolving it.
const DISCARD: &str = "
UPDATE messagekit_failed_messages AS d
SET state = 'discarded', reason = 'discarded', due = NULL, running_since = NULL, token = token + 1, changed_at = ?2
WHERE id = ?1 AND state NOT IN ('resolved', 'discarded') AND NOT EXISTS (
  SELECT 1 FROM messagekit_processed_messages m
  WHERE m.consumer_id = d.consumer_id AND m.message_id = d.message_id AND m.outcome <> ?3)
RETURNING consumer_id, message_id, parked, topic, key";

/// As a discard: only when the message's marker agrees with the failed message, or retention has removed it.
const UNDO: &str = "
UPDATE messagekit_failed_messages AS d SET state = 'dead', reason = 'discard_undone', token = token + 1, changed_at = ?2
WHERE id = ?1 AND state = 'discarded' AND NOT EXISTS (
  SELECT 1 FROM messagekit_processed_messages m
  WHERE m.consumer_id = d.consumer_id AND m.message_id = d.message_id AND m.outcome <> ?3)
RETURNING consumer_id, message_id, parked, topic, key";

/// A message that has not failed itself needs no retry request: its kind still says that its key was blocked. It is due at once,
/// or when the open messages before it in its key are closed. Its attempts do not tell, as a retry sets them to 0.
pub(super) fn reopen_sql() -> String {
    let before = format!(
        "(SELECT (h.partition, h.offset) < (d.partition, d.offset) FROM messagekit_failed_messages h WHERE h.id = {})",
        head_of("d.consumer_id", "d.topic", "d.key")
    );
    format!(
        "UPDATE messagekit_failed_messages AS d
         SET state = CASE WHEN {before} THEN 'blocked' ELSE 'retry_scheduled' END,
             reason = CASE WHEN {before} THEN reason ELSE 'key_freed' END, due = CASE WHEN {before} THEN NULL ELSE ?2 END
         WHERE id = ?1 AND state = 'dead' AND parked = 1 AND kind = 'key_blocked'"
    )
}

/// A retry is due at `due`.
fn act_on(conn: &Connection, act: Action, id: i64, now: i64, due: i64) -> Result<ActionResult, Error> {
    let (update, marker) = match act {
        Action::Retry => (RETRY, None),
        Action::Discard => (DISCARD, Some((HELD, DISCARDED))),
        Action::Undo => (UNDO, Some((DISCARDED, HELD))),
    };
    let (from, to) = marker.unzip();
    let moved = conn
        .prepare_cached(update)
        .and_then(|mut update| match from {
            Some(from) => update.query_row((id, now, from), Moved::read).optional(),
            None => update.query_row((id, now, due), Moved::read).optional(),
        })
        .map_err(from_sqlite)?;
    let Some(moved) = moved else { return refused(conn, act, id) };
    if let Some(to) = to {
        put_marker(conn, moved.consumer, &moved.message, to, now).map_err(from_sqlite)?;
    }
    match act {
        Action::Retry => Ok(()),
        Action::Discard => moved.blocked_key().map_or(Ok(()), |key| blocked_keys::promote(conn, key, 0, now)),
        Action::Undo => {
            conn.prepare_cached(&reopen_sql()).and_then(|mut open| open.execute((id, now))).map(drop)
        }
    }
    .map_err(from_sqlite)?;
    Ok(ActionResult::Done)
}

/// A failed message that an action has moved.
struct Moved {
    consumer: i64,
    message: String,
    parked: bool,
    topic: String,
    key: Option<Vec<u8>>,
}

impl Moved {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            consumer: row.get(0)?,
            message: row.get(1)?,
            parked: row.get(2)?,
            topic: row.get(3)?,
            key: row.get(4)?,
        })
    }

    fn blocked_key(&self) -> Option<BlockedKey<'_>> {
        let key = self.key.as_deref().filter(|_| self.parked)?;
        Some(BlockedKey { consumer: self.consumer, topic: &self.topic, key })
    }
}

/// Returns the state of a failed message, as the transaction sees it.
pub(crate) fn state_of(conn: &Connection, id: i64) -> Result<Option<FailedMessageState>, Error> {
    let state: Option<String> = conn
        .prepare_cached("SELECT state FROM messagekit_failed_messages WHERE id = ?1")
        .and_then(|mut select| select.query_row([id], |row| row.get(0)).optional())
        .map_err(from_sqlite)?;
    state.map(|state| known(id, "state", &state)).transpose()
}

fn refused(conn: &Connection, act: Action, id: i64) -> Result<ActionResult, Error> {
    Ok(match state_of(conn, id)? {
        None => ActionResult::NotFound,
        // The state would allow it, so the marker did not.
        Some(state) if act != Action::Retry && act.of(state).is_some() => ActionResult::Settled,
        Some(state) => ActionResult::WrongState(state),
    })
}
