//! Writes complete failed messages.

use messagekit::adapter::{Failure, Next, ReceivedMessage, SetAsideOutcome, headers_to_json, lost_marker};
use messagekit::operations::{FailedMessageState, Origin, StateReason};
use messagekit::{Error, headers};
use rusqlite::{Connection, params};

use super::{failed_runs, micros, processed};
use crate::error::from_sqlite;

/// Returns the state that a failure leads to, and when the failed message is due.
pub(crate) fn after(failure: &Failure, now: i64) -> (FailedMessageState, Option<i64>) {
    match failure.next {
        Next::Retry(delay) => (FailedMessageState::RetryScheduled, Some(now.saturating_add(micros(delay)))),
        Next::Dead => (FailedMessageState::Dead, None),
    }
}

/// The origin of a failed message, and its redelivery target.
#[derive(Clone, Debug, Default)]
pub(crate) struct Way {
    pub(crate) origin: Origin,
    pub(crate) return_to: Option<String>,
}

/// Claims a message as held and stores it completely.
pub(crate) fn set_aside(
    conn: &Connection,
    consumer: i64,
    way: &Way,
    received: &ReceivedMessage,
    failure: &Failure,
    now: i64,
) -> Result<SetAsideOutcome, Error> {
    if !processed::hold(conn, consumer, &received.id, failure.generation, now).map_err(from_sqlite)? {
        return Ok(SetAsideOutcome::AlreadySettled);
    }
    let (state, due) = after(failure, now);
    let entry = Entry { way, received, failure, parked: false, state, reason: StateReason::SetAside, due };
    insert(conn, consumer, &entry, now)?;
    Ok(SetAsideOutcome::SetAside)
}

/// A failed message to write.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) way: &'a Way,
    pub(super) received: &'a ReceivedMessage,
    pub(super) failure: &'a Failure,
    /// It belongs to the order of its key.
    pub(super) parked: bool,
    pub(super) state: FailedMessageState,
    pub(super) reason: StateReason,
    pub(super) due: Option<i64>,
}

/// Writes a failed message. Replaces a closed one of the same message, whose marker retention may have removed.
///
/// The caller holds the marker, so an existing open failed message contradicts it.
pub(super) fn insert(conn: &Connection, consumer: i64, entry: &Entry<'_>, now: i64) -> Result<(), Error> {
    let Entry { way, received, failure, parked, state, reason, due } = entry;
    let message = &received.message;
    let headers = headers_to_json(&message.headers)?;
    let event_type =
        message.headers.text(headers::EVENT_TYPE).or_else(|| message.headers.text(headers::CE_TYPE));
    let position = received.position.as_ref();
    let position_topic = position.map(|position| &*position.topic).filter(|topic| **topic != *message.topic);
    // A dead letter of a broker has failed elsewhere.
    let attempts = if way.origin == Origin::Store { failure.attempts } else { 0 };
    let runs = failed_runs::first(now, attempts, &failure.error);
    let insert = || {
        conn.prepare_cached(
            "INSERT INTO messagekit_failed_messages AS d
               (consumer_id, message_id, topic, position_topic, partition, offset, event_type, state, attempts, due,
                kind, error, fingerprint, set_aside_at, changed_at, key, headers, payload, origin, return_to,
                parked, reason, failed_runs)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?14, ?15, ?16, ?17, ?18, ?19,
                ?20, ?21, ?22)
             ON CONFLICT (consumer_id, message_id) DO UPDATE SET
               topic = excluded.topic, position_topic = excluded.position_topic, partition = excluded.partition,
               offset = excluded.offset, event_type = excluded.event_type, state = excluded.state,
               reason = excluded.reason, attempts = excluded.attempts, crash_count = 0, alone = 0, due = excluded.due,
               running_since = NULL, token = d.token + 1,
               kind = excluded.kind, error = excluded.error, fingerprint = excluded.fingerprint,
               changed_at = excluded.changed_at, key = excluded.key, headers = excluded.headers,
               payload = excluded.payload, origin = excluded.origin, return_to = excluded.return_to,
               parked = excluded.parked, failed_runs = excluded.failed_runs
             WHERE d.state IN ('resolved', 'discarded')",
        )?
        .execute(params![
            consumer,
            received.id.as_str(),
            &*message.topic,
            position_topic,
            position.map(|position| position.partition),
            position.map(|position| position.offset),
            event_type,
            state.as_str(),
            failure.attempts,
            due,
            failure.kind.as_str(),
            failure.error,
            failure.fingerprint(),
            now,
            message.key.as_deref(),
            headers,
            &*message.payload,
            way.origin.as_str(),
            way.return_to,
            parked,
            reason.as_str(),
            runs,
        ])
    };
    if insert().map_err(from_sqlite)? == 1 {
        return Ok(());
    }
    Err(lost_marker(&received.id))
}
