//! Operators' actions on failed messages.
//!
//! An action first locks the keys of parked failed messages in key order, then the failed messages in id order. It moves
//! them by compare-and-set. It moves their markers last, because the claim of a late duplicate waits from there to the
//! commit. Each action increments the token, which fences out a process that runs the failed message at that moment.

use std::collections::{BTreeMap, BTreeSet};

use messagekit::operations::{
    Action, ActionResult, FailedMessageState, Operator, Pace, SelectionBatch, no_failed_message,
};
use messagekit::{Error, ErrorKind};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::audit::{self, Entry};
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
  d.due <= clock_timestamp() OR d.running_since IS NOT NULL AS is_due,
  d.origin <> 'store' AND d.return_to IS NULL OR starts_with(d.consumer, 'route:') AS no_way_back,
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

/// What a retry changes. A run that is planned for later keeps its state and its counts, and is never postponed.
macro_rules! retried {
    ($due:literal) => {
        concat!(
            "
UPDATE messagekit.failed_messages d
SET state = CASE d.state WHEN 'dead' THEN 'retry_requested' ELSE d.state END,
  reason = CASE d.state WHEN 'dead' THEN 'retry_requested' ELSE d.reason END,
  attempts = CASE d.state WHEN 'dead' THEN 0 ELSE d.attempts END,
  crash_count = CASE d.state WHEN 'dead' THEN 0 ELSE d.crash_count END,
  changed_at = CASE d.state WHEN 'dead' THEN clock_timestamp() ELSE d.changed_at END,
  token = d.token + 1, due = least(d.due, ",
            $due,
            ")
WHERE id = ANY($1::bigint[]) AND state IN ('retry_scheduled', 'dead', 'retry_requested') AND running_since IS NULL"
        )
    };
}

pub(crate) const RETRY: &str = retried!("now()");

/// The same, each with a delay in microseconds.
pub(crate) const RETRY_AT_PACE: &str =
    retried!("now() + ($2::float8[])[array_position($1::bigint[], d.id)] * interval '1 microsecond'");

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

/// A failed message that the action moves.
struct Moving {
    id: i64,
    consumer: String,
    message_id: String,
    /// The key whose order it belongs to.
    held: Option<BlockedKey>,
}

/// Applies an action to failed messages; returns the results in the order of `ids`. Retries are due at the given pace, or all at
/// once. The ids are those of the batch if there is one, and of it only messages that have not changed are moved.
pub(crate) async fn act(
    connection: &mut PgConnection,
    schema: &SchemaName,
    (act, pace): (Action, Option<Pace>),
    (ids, batch): (&[i64], Option<SelectionBatch<'_>>),
    by: &Operator,
) -> Result<Vec<ActionResult>, Error> {
    let keys = match act {
        Action::Retry => Vec::new(),
        Action::Discard | Action::Undo => blocked_keys::lock(connection, schema, ids).await?,
    };
    let rows = match batch {
        Some(batch) => selections::lock(connection, schema, batch).await?,
        None => {
            sqlx::query(schema.sql(LOCK)).bind(ids).fetch_all(&mut *connection).await.map_err(from_sqlx)?
        }
    };
    let (answers, moving) = judge(act, &rows, &keys)?;
    let delays = pace.map(|pace| delays(pace, ids, &answers));
    move_failed_messages(connection, schema, act, &moving, delays).await?;
    move_keys(connection, schema, act, &moving, &keys).await?;
    if let Some((from, to)) = markers_of(act) {
        mark(connection, schema, &moving, from, to).await?;
    }
    let absent = if batch.is_some() { ActionResult::Changed } else { ActionResult::NotFound };
    let answers: Vec<ActionResult> =
        ids.iter().map(|id| answers.get(id).copied().unwrap_or(absent)).collect();
    let entry = Entry { act: act.as_str(), failed_messages: Some(ids), subject: None, done: moving.len() };
    audit::write(connection, schema, by, &entry, Some(serde_json::json!(refusals(ids, &answers)))).await?;
    Ok(answers)
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

/// Returns the result for each locked failed message, and those that the action moves. It has locked the keys.
fn judge(
    act: Action,
    rows: &[PgRow],
    keys: &[BlockedKey],
) -> Result<(BTreeMap<i64, ActionResult>, Vec<Moving>), Error> {
    let (mut answers, mut moving) = (BTreeMap::new(), Vec::new());
    for row in rows {
        let state: FailedMessageState = failed_message_row::state_of(row)?;
        let read = || {
            let marker: Option<&str> = row.try_get("marker")?;
            let has_no_retry =
                row.try_get("no_way_back")? || row.try_get::<Option<bool>, _>("is_due")? == Some(true);
            Ok((row.try_get::<i64, _>("id")?, has_no_retry, marker))
        };
        let (id, has_no_retry, marker) = read().map_err(from_sqlx)?;
        if act.of(state).is_none() || (act == Action::Retry && has_no_retry) {
            answers.insert(id, ActionResult::WrongState(state));
            continue;
        }
        if let (Some((from, _)), Some(marker)) = (markers_of(act), marker)
            && marker != from
        {
            answers.insert(id, ActionResult::Settled);
            continue;
        }
        let moved = moving_of(id, row).map_err(from_sqlx)?;
        if act != Action::Retry && moved.held.as_ref().is_some_and(|held| !keys.contains(held)) {
            let error = Error::new(
                ErrorKind::Conflict,
                "failed message was parked a moment ago, and its key is not locked",
            );
            return Err(error.with("failed_message", id));
        }
        answers.insert(id, ActionResult::Done);
        moving.push(moved);
    }
    Ok((answers, moving))
}

/// Returns why failed messages were not moved, for the audit.
fn refusals<'a>(ids: &[i64], answers: &'a [ActionResult]) -> BTreeMap<i64, &'a str> {
    std::iter::zip(ids, answers)
        .filter_map(|(id, result)| match result {
            ActionResult::Done => None,
            ActionResult::NotFound => Some((*id, "not found")),
            ActionResult::WrongState(state) => Some((*id, state.as_str())),
            ActionResult::Settled => Some((*id, "settled")),
            ActionResult::Changed => Some((*id, "changed")),
        })
        .collect()
}

/// Returns the delay of each accepted retry, in the order of the request.
fn delays(pace: Pace, ids: &[i64], answers: &BTreeMap<i64, ActionResult>) -> BTreeMap<i64, f64> {
    let accepted = ids.iter().filter(|id| answers.get(id) == Some(&ActionResult::Done));
    accepted.enumerate().map(|(rank, id)| (*id, micros(pace.delay(rank)))).collect()
}

async fn move_failed_messages(
    connection: &mut PgConnection,
    schema: &SchemaName,
    act: Action,
    moving: &[Moving],
    delays: Option<BTreeMap<i64, f64>>,
) -> Result<(), Error> {
    if moving.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = moving.iter().map(|failed_message| failed_message.id).collect();
    let update = match (act, delays) {
        (Action::Retry, Some(delays)) => {
            let (ids, delays): (Vec<i64>, Vec<f64>) = delays.into_iter().unzip();
            sqlx::query(schema.sql(RETRY_AT_PACE)).bind(ids).bind(delays)
        }
        (Action::Retry, None) => sqlx::query(schema.sql(RETRY)).bind(ids),
        (Action::Discard, _) => sqlx::query(schema.sql(DISCARD)).bind(ids),
        (Action::Undo, _) => sqlx::query(schema.sql(UNDO)).bind(ids),
    };
    let moved = update.execute(connection).await.map_err(from_sqlx)?.rows_affected();
    if usize::try_from(moved) == Ok(moving.len()) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Corrupt, "failed messages changed although they were locked").with("act", act))
}

fn moving_of(id: i64, row: &PgRow) -> sqlx::Result<Moving> {
    let consumer: String = row.try_get("consumer")?;
    let held = match row.try_get("parked")? {
        true => Some(BlockedKey {
            consumer: consumer.clone(),
            topic: row.try_get("topic")?,
            hash: row.try_get("key_hash")?,
        }),
        false => None,
    };
    Ok(Moving { id, message_id: row.try_get("message_id")?, consumer, held })
}

/// Counts the failed messages out of their keys or in again, and schedules the next message of each key.
async fn move_keys(
    connection: &mut PgConnection,
    schema: &SchemaName,
    act: Action,
    moving: &[Moving],
    keys: &[BlockedKey],
) -> Result<(), Error> {
    let change = match act {
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
    moving: &[Moving],
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
        error.with("failed_message", failed_message.id).with("id", &failed_message.message_id)
    }))
}
