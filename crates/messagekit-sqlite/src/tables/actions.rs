//! Operators' actions on failed messages: reads what the plan of an action needs to know, and moves what it accepts.

use std::collections::BTreeMap;

use messagekit::Error;
use messagekit::adapter::stored_word;
use messagekit::operations::{
    Action, ActionOrder, ActionPlan, ActionResult, ActionTarget, ChosenMessages, FailedMessageState,
    MarkerOutcome,
};
use rusqlite::{Connection, OptionalExtension, Row};

use super::blocked_keys::{self, BlockedKey, head_of};
use super::processed::{number_of, put_marker};
use super::{audit, selections};
use crate::error::from_sqlite;

/// Applies an action to failed messages, returns the results in order, and writes one row of the audit. Each message is judged before the
/// first one is moved: discarding the first of a key moves the next one up.
pub(crate) fn apply(
    conn: &Connection,
    order: &ActionOrder<'_>,
    now: i64,
) -> Result<Vec<ActionResult>, Error> {
    order.operator.check()?;
    let found = match order.messages {
        ChosenMessages::Ids(ids) => found(conn, ids, now)?,
        ChosenMessages::Batch(batch) => found(conn, &selections::unchanged(conn, batch)?, now)?,
    };
    let ActionPlan { results, moves } = ActionPlan::new(order, found.values().map(|found| found.target));
    for (id, delay) in &moves {
        let delay = i64::try_from(delay.as_micros()).unwrap_or(i64::MAX);
        found[id].act(conn, order.action, now, now.saturating_add(delay)).map_err(from_sqlite)?;
    }
    audit::write(conn, order.operator, order.action.as_str(), &order.messages.ids(), moves.len(), now)?;
    Ok(results)
}

/// The join looks each failed message up by its number.
pub(super) const FIND: &str = "
SELECT d.id, d.state, d.consumer_id, d.message_id, d.parked, d.topic, d.key,
  d.running_since IS NOT NULL OR coalesce(d.due <= ?2, 0), d.origin = 'store' OR d.return_to IS NOT NULL,
  (SELECT m.outcome FROM messagekit_processed_messages m WHERE m.consumer_id = d.consumer_id AND m.message_id = d.message_id)
FROM json_each(?1) j CROSS JOIN messagekit_failed_messages d ON d.id = j.value";

/// A run that is planned for later is due now, or at the pace, and never later than planned.
const RETRY: &str = "
UPDATE messagekit_failed_messages
SET state = iif(state = 'dead', 'retry_requested', state), reason = iif(state = 'dead', 'retry_requested', reason),
  due = min(coalesce(due, ?3), ?3), attempts = iif(state = 'dead', 0, attempts),
  crash_count = iif(state = 'dead', 0, crash_count), token = token + 1, changed_at = iif(state = 'dead', ?2, changed_at)
WHERE id = ?1";

/// Also while its handler runs: the token keeps the handler from resolving it.
const DISCARD: &str = "
UPDATE messagekit_failed_messages
SET state = 'discarded', reason = 'discarded', due = NULL, running_since = NULL, token = token + 1, changed_at = ?2
WHERE id = ?1";

const UNDO: &str = "
UPDATE messagekit_failed_messages SET state = 'dead', reason = 'discard_undone', token = token + 1, changed_at = ?2 WHERE id = ?1";

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

/// A failed message that an action has found.
struct FoundFailedMessage {
    target: ActionTarget,
    consumer: i64,
    message: String,
    parked: bool,
    topic: String,
    key: Option<Vec<u8>>,
}

fn found(conn: &Connection, ids: &[i64], now: i64) -> Result<BTreeMap<i64, FoundFailedMessage>, Error> {
    let ids = serde_json::to_string(ids).expect("numbers are JSON");
    let mut select = conn.prepare_cached(FIND).map_err(from_sqlite)?;
    let mut rows = select.query((ids, now)).map_err(from_sqlite)?;
    let mut found = BTreeMap::new();
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        let message = FoundFailedMessage::read(row)?;
        found.insert(message.target.id, message);
    }
    Ok(found)
}

impl FoundFailedMessage {
    fn read(row: &Row<'_>) -> Result<Self, Error> {
        let words = || Ok((row.get(0)?, row.get::<_, String>(1)?, row.get::<_, Option<i64>>(9)?));
        let (id, state, marker) = words().map_err(from_sqlite)?;
        let state: FailedMessageState = stored_word(id, "state", &state)?;
        let is_contradicted = marker.is_some_and(|marker| marker != number_of(state.marker()));
        let read = || {
            Ok(Self {
                target: ActionTarget {
                    id,
                    state,
                    is_due: row.get(7)?,
                    has_way_back: row.get(8)?,
                    is_contradicted,
                },
                consumer: row.get(2)?,
                message: row.get(3)?,
                parked: row.get(4)?,
                topic: row.get(5)?,
                key: row.get(6)?,
            })
        };
        read().map_err(from_sqlite)
    }

    /// Moves it, its marker and its key. A retry is due at `due`.
    fn act(&self, conn: &Connection, action: Action, now: i64, due: i64) -> rusqlite::Result<()> {
        let id = self.target.id;
        match action {
            Action::Retry => return conn.prepare_cached(RETRY)?.execute((id, now, due)).map(drop),
            Action::Discard => conn.prepare_cached(DISCARD)?.execute((id, now))?,
            Action::Undo => conn.prepare_cached(UNDO)?.execute((id, now))?,
        };
        let outcome = if action == Action::Undo { MarkerOutcome::Held } else { MarkerOutcome::Discarded };
        put_marker(conn, self.consumer, &self.message, number_of(outcome), now)?;
        match self.key.as_deref().filter(|_| self.parked) {
            None => Ok(()),
            Some(_) if action == Action::Undo => {
                conn.prepare_cached(&reopen_sql())?.execute((id, now)).map(drop)
            }
            Some(key) => {
                let key = BlockedKey { consumer: self.consumer, topic: &self.topic, key };
                blocked_keys::promote(conn, key, 0, now)
            }
        }
    }
}

/// Returns the state of a failed message, as the transaction sees it.
pub(crate) fn state_of(conn: &Connection, id: i64) -> Result<Option<FailedMessageState>, Error> {
    let state: Option<String> = conn
        .prepare_cached("SELECT state FROM messagekit_failed_messages WHERE id = ?1")
        .and_then(|mut select| select.query_row([id], |row| row.get(0)).optional())
        .map_err(from_sqlite)?;
    state.map(|state| stored_word(id, "state", &state)).transpose()
}
