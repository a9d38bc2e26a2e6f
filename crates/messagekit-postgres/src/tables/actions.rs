//! Operators' actions on failed messages.
//!
//! An action first locks the keys of parked failed messages in key order, then the failed messages in id order. It moves
//! them by compare-and-set. It moves their markers last, because the claim of a late duplicate waits from there to the
//! commit. Each action increments the token, which fences out a process that runs the failed message at that moment.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::zip;
use std::time::Duration;

use messagekit::operations::{
    Action, ActionOrder, ActionPlan, ActionResult, ActionTarget, ChosenMessages, FailedMessageState,
    no_failed_message,
};
use messagekit::{Error, ErrorKind};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::audit::{self, AuditRow};
use super::blocked_keys::{self, BlockedKey};
use super::{failed_message_row, micros, selections};
use crate::SchemaName;
use crate::error::from_sqlx;

/// What an action reads of the failed messages that it locks. A message that is leased counts as due. The clock is that of the
/// moment of the lock: a retry that waited behind another one finds that the message is due. No process consumes as a table source, so a row of it that
/// was set aside has no way back, either.
macro_rules! locked {
    () => {
        "
SELECT d.id, d.state, d.consumer, d.message_id, d.topic, d.key_hash, d.parked,
  d.running_since IS NOT NULL OR coalesce(d.due <= clock_timestamp(), false) AS is_due,
  (d.origin = 'store' OR d.return_to IS NOT NULL) AND NOT starts_with(d.consumer, 'route:') AS has_way_back,
  (SELECT p.outcome FROM messagekit.processed_messages p WHERE p.consumer = d.consumer AND p.message_id = d.message_id
    AND p.day = messagekit.day_of(d.message_id)) AS marker"
    };
}

pub(super) use locked;

pub(crate) const LOCK: &str = concat!(
    locked!(),
    "
FROM messagekit.failed_messages d WHERE d.id = ANY($1::bigint[]) ORDER BY d.id FOR UPDATE OF d"
);

/// The delays are in microseconds. A run that is planned for later keeps its state and its counts, and is never postponed.
pub(crate) const RETRY: &str = "
UPDATE messagekit.failed_messages d
SET state = CASE d.state WHEN 'dead' THEN 'retry_requested' ELSE d.state END,
  reason = CASE d.state WHEN 'dead' THEN 'retry_requested' ELSE d.reason END,
  attempts = CASE d.state WHEN 'dead' THEN 0 ELSE d.attempts END,
  crash_count = CASE d.state WHEN 'dead' THEN 0 ELSE d.crash_count END,
  changed_at = CASE d.state WHEN 'dead' THEN clock_timestamp() ELSE d.changed_at END,
  token = d.token + 1,
  due = least(d.due, now() + ($2::float8[])[array_position($1::bigint[], d.id)] * interval '1 microsecond')
WHERE id = ANY($1::bigint[]) AND state IN ('retry_scheduled', 'dead', 'retry_requested') AND running_since IS NULL";

pub(crate) const DISCARD: &str = "
UPDATE messagekit.failed_messages
SET state = 'discarded', reason = 'discarded', due = NULL, running_since = NULL, token = token + 1,
  changed_at = clock_timestamp()
WHERE id = ANY($1::bigint[]) AND state IN ('retry_scheduled', 'blocked', 'dead', 'retry_requested')";

/// A parked message that has not failed itself becomes blocked behind its key again: its kind still says that its key was
/// blocked. Its attempts do not tell, as a retry sets them to 0.
pub(crate) const UNDO: &str = "
UPDATE messagekit.failed_messages
SET state = CASE WHEN parked AND kind = 'key_blocked' THEN 'blocked' ELSE 'dead' END, reason = 'discard_undone',
  due = NULL, running_since = NULL, token = token + 1, changed_at = clock_timestamp()
WHERE id = ANY($1::bigint[]) AND state = 'discarded'";

/// Moves markers. Creates those that retention has removed; otherwise a late copy would be applied after the action.
pub(crate) const MARK: &str = r#"
INSERT INTO messagekit.processed_messages AS p (consumer, message_id, day, outcome)
SELECT m.consumer, m.id, messagekit.day_of(m.id), $3 FROM unnest($1::text[], $2::text[]) AS m (consumer, id)
ORDER BY m.consumer COLLATE "C", m.id COLLATE "C"
ON CONFLICT ON CONSTRAINT processed_messages_pkey DO UPDATE SET outcome = excluded.outcome, processed_at = now() WHERE p.outcome = $4
RETURNING consumer, message_id"#;

/// A failed message that the action has locked.
struct LockedMessage {
    target: ActionTarget,
    consumer: String,
    message_id: String,
    /// The key whose order it belongs to.
    held: Option<BlockedKey>,
}

/// Applies an action to failed messages; returns the results in the order of their numbers.
pub(crate) async fn apply(
    connection: &mut PgConnection,
    schema: &SchemaName,
    order: &ActionOrder<'_>,
) -> Result<Vec<ActionResult>, Error> {
    let (action, ids) = (order.action, order.messages.ids());
    let ids = &*ids;
    let keys = match action {
        Action::Retry => Vec::new(),
        Action::Discard | Action::Undo => blocked_keys::lock(connection, schema, ids).await?,
    };
    let rows = match order.messages {
        ChosenMessages::Batch(batch) => selections::lock(connection, schema, batch).await?,
        ChosenMessages::Ids(ids) => {
            sqlx::query(schema.sql(LOCK)).bind(ids).fetch_all(&mut *connection).await.map_err(from_sqlx)?
        }
    };
    let mut locked =
        rows.iter().map(LockedMessage::read).collect::<Result<BTreeMap<i64, LockedMessage>, Error>>()?;
    let ActionPlan { results, moves } = ActionPlan::new(order, locked.values().map(|locked| locked.target));
    let moving: Vec<LockedMessage> = moves.iter().filter_map(|(id, _)| locked.remove(id)).collect();
    check_keys(action, &moving, &keys)?;
    move_failed_messages(connection, schema, action, &moves).await?;
    move_keys(connection, schema, action, &moving, &keys).await?;
    if let Some((from, to)) = markers_of(action) {
        mark(connection, schema, &moving, from, to).await?;
    }
    let refusals: BTreeMap<i64, &str> =
        zip(ids, &results).filter_map(|(id, result)| Some((*id, result.refusal()?))).collect();
    let row =
        AuditRow { action: action.as_str(), failed_messages: Some(ids), subject: None, done: moving.len() };
    audit::write(connection, schema, order.operator, &row, Some(serde_json::json!(refusals))).await?;
    Ok(results)
}

/// Returns the state that a failed message has after what this transaction did. It has locked the row, so another reader finds
/// the same after the commit.
pub(crate) async fn state_of(
    connection: &mut PgConnection,
    schema: &SchemaName,
    id: i64,
) -> Result<FailedMessageState, Error> {
    let row = sqlx::query(schema.sql(LOCK)).bind(vec![id]).fetch_optional(connection).await;
    let row = row.map_err(from_sqlx)?.ok_or_else(|| no_failed_message(id))?;
    failed_message_row::state_of(&row)
}

/// Returns the outcome of a marker before and after an action that moves it.
fn markers_of(act: Action) -> Option<(&'static str, &'static str)> {
    match act {
        Action::Retry => None,
        Action::Discard => Some(("held", "discarded")),
        Action::Undo => Some(("discarded", "held")),
    }
}

impl LockedMessage {
    /// Reads a row of [`LOCK`], with its number.
    fn read(row: &PgRow) -> Result<(i64, Self), Error> {
        let state = failed_message_row::state_of(row)?;
        let read = || {
            let id = row.try_get("id")?;
            let marker: Option<&str> = row.try_get("marker")?;
            let is_contradicted = marker.is_some_and(|marker| marker != state.marker().as_str());
            let (is_due, has_way_back) = (row.try_get("is_due")?, row.try_get("has_way_back")?);
            let consumer: String = row.try_get("consumer")?;
            let held = match row.try_get("parked")? {
                true => Some(BlockedKey {
                    consumer: consumer.clone(),
                    topic: row.try_get("topic")?,
                    hash: row.try_get("key_hash")?,
                }),
                false => None,
            };
            let target = ActionTarget { id, state, is_due, has_way_back, is_contradicted };
            Ok((id, Self { target, message_id: row.try_get("message_id")?, consumer, held }))
        };
        read().map_err(from_sqlx)
    }
}

/// Refuses to move a message that was parked after the keys were locked.
fn check_keys(action: Action, moving: &[LockedMessage], keys: &[BlockedKey]) -> Result<(), Error> {
    let is_unlocked = |message: &&LockedMessage| message.held.as_ref().is_some_and(|key| !keys.contains(key));
    match moving.iter().find(is_unlocked).filter(|_| action != Action::Retry) {
        None => Ok(()),
        Some(message) => {
            let text = "failed message was parked a moment ago, and its key is not locked";
            Err(Error::new(ErrorKind::Conflict, text).with("failed_message", message.target.id))
        }
    }
}

async fn move_failed_messages(
    connection: &mut PgConnection,
    schema: &SchemaName,
    action: Action,
    moves: &[(i64, Duration)],
) -> Result<(), Error> {
    if moves.is_empty() {
        return Ok(());
    }
    let (ids, delays): (Vec<i64>, Vec<f64>) = moves.iter().map(|(id, delay)| (*id, micros(*delay))).unzip();
    let update = match action {
        Action::Retry => sqlx::query(schema.sql(RETRY)).bind(ids).bind(delays),
        Action::Discard => sqlx::query(schema.sql(DISCARD)).bind(ids),
        Action::Undo => sqlx::query(schema.sql(UNDO)).bind(ids),
    };
    let moved = update.execute(connection).await.map_err(from_sqlx)?.rows_affected();
    if usize::try_from(moved) == Ok(moves.len()) {
        return Ok(());
    }
    let text = "failed messages changed although they were locked";
    Err(Error::new(ErrorKind::Corrupt, text).with("act", action))
}

/// Counts the failed messages out of their keys or in again, and schedules the next message of each key.
async fn move_keys(
    connection: &mut PgConnection,
    schema: &SchemaName,
    action: Action,
    moving: &[LockedMessage],
    keys: &[BlockedKey],
) -> Result<(), Error> {
    let change = match action {
        Action::Retry => return Ok(()),
        Action::Discard => -1,
        Action::Undo => 1,
    };
    let mut failed_messages: BTreeMap<&BlockedKey, i32> = BTreeMap::new();
    for held in moving.iter().filter_map(|failed_message| failed_message.held.as_ref()) {
        *failed_messages.entry(held).or_default() += change;
    }
    let failed_messages: Vec<(&BlockedKey, i32)> = failed_messages.into_iter().collect();
    blocked_keys::count(connection, schema, &failed_messages).await?;
    blocked_keys::settle(connection, schema, keys).await
}

async fn mark(
    connection: &mut PgConnection,
    schema: &SchemaName,
    moving: &[LockedMessage],
    from: &str,
    to: &str,
) -> Result<(), Error> {
    if moving.is_empty() {
        return Ok(());
    }
    let insert = sqlx::query(schema.sql(MARK))
        .bind(moving.iter().map(|failed_message| &*failed_message.consumer).collect::<Vec<_>>())
        .bind(moving.iter().map(|failed_message| &*failed_message.message_id).collect::<Vec<_>>())
        .bind(to)
        .bind(from);
    let rows = insert.fetch_all(connection).await.map_err(from_sqlx)?;
    if rows.len() == moving.len() {
        return Ok(());
    }
    let read = |row: &PgRow| Ok((row.try_get(0)?, row.try_get(1)?));
    let moved: BTreeSet<(String, String)> =
        rows.iter().map(read).collect::<sqlx::Result<_>>().map_err(from_sqlx)?;
    let left = moving.iter().find(|failed_message| {
        !moved
            .iter()
            .any(|(consumer, id)| *consumer == failed_message.consumer && *id == failed_message.message_id)
    });
    let error = Error::new(
        ErrorKind::Conflict,
        format!(
            "message of a failed message was {from} a moment ago, and is settled by now: it cannot become {to}"
        ),
    );
    Err(left.map_or(error.clone(), |failed_message| {
        error.with("failed_message", failed_message.target.id).with("id", &failed_message.message_id)
    }))
}
