//! Switches from the relay to change data capture.

use std::time::Duration;

use messagekit::{Error, ErrorKind};
use sqlx::{Executor, PgConnection};
use tokio::time::Instant;

use super::{Delayed, Look, PAUSE, STOP_WRITERS, Waiting, begin, busy, end, is_late, stop};
use crate::SchemaName;
use crate::cdc::{self, Capture};
use crate::migrations::connection::fault;

/// How long producers wait while the relay publishes the rest.
const DRAIN: Duration = Duration::from_secs(1);

const END: &str = "
DROP TRIGGER outbox_is_pending ON messagekit.outbox_events;
ALTER TABLE messagekit.outbox_events ENABLE TRIGGER outbox_refuses_delay;
DELETE FROM messagekit.relay_shards";

/// Creates what capture needs, as [`cdc::set_up`] does, and ends the relay; returns what this call did. Idempotent.
///
/// The call first creates the slot. It ends the relay at a moment when nothing is pending and no producer writes. Each
/// event is kept by the slot, was published by the relay, or both. Let the relays run until this call returns, and apply
/// the connector afterwards.
///
/// # Errors
/// [`ErrorKind::WrongState`] while a relay still has to publish events, while events are rejected, or when the switch to
/// the relay is not complete. The relay continues, and a slot that this call created is dropped again. The call does not
/// wait for an event that is delayed beyond `limit`: the error comes at once and names the last such event.
/// [`ErrorKind::Conflict`] when open transactions of producers leave no moment within `limit`, or another process is
/// switching: retry. Otherwise as [`cdc::set_up`].
///
/// # Cancel safety
/// A dropped call keeps what it has created; the next call continues. A slot keeps the log from its creation on: call
/// again, or call [`cdc::drop_slot`].
pub async fn to_cdc(
    url: &str,
    schema: &SchemaName,
    password: Option<&str>,
    limit: Duration,
) -> Result<Vec<String>, crate::Error> {
    let capture = Capture::of(url, schema)?;
    let mut conn = begin(url, schema).await?;
    let look = Look::at(&mut conn, schema, &capture, None).await;
    let answer = match look {
        Ok(look) if look.is_on => run(&mut conn, url, &capture, &look, password, limit).await,
        Ok(_) => cdc::set_up(url, schema, password).await,
        Err(error) => Err(error.into()),
    };
    end(conn).await;
    answer
}

async fn run(
    conn: &mut PgConnection,
    url: &str,
    capture: &Capture,
    look: &Look,
    password: Option<&str>,
    limit: Duration,
) -> Result<Vec<String>, crate::Error> {
    let schema = &capture.schema;
    if !look.is_open {
        let text = "switch to the relay is not complete: end it with `messagekit migrate --relay` first";
        return Err(Error::new(ErrorKind::WrongState, text).with("schema", schema).into());
    }
    let waiting = Waiting::count(conn, schema).await?;
    if waiting.outlasts(limit) || !waiting.is_none() && !look.has_relay {
        return Err(refused(schema, waiting, look.has_relay).into());
    }
    let mut done = cdc::set_up(url, schema, password).await?;
    usable(&Look::at(conn, schema, capture, None).await?, capture)?;
    if let Err(error) = end_relay(conn, capture, limit).await {
        if !look.has_slot {
            // All its events are pending too, and an unread slot keeps the log without limit. The slot stays if a
            // connector has begun to read it.
            let _ = cdc::drop_slot(url, schema).await;
        }
        return Err(error.into());
    }
    done.push("end of the relay".to_owned());
    Ok(done)
}

/// Retries until nothing is pending at a moment without producers.
async fn end_relay(conn: &mut PgConnection, capture: &Capture, limit: Duration) -> Result<(), Error> {
    let schema = &capture.schema;
    let until = Instant::now() + limit;
    loop {
        let waiting = try_to_end(conn, capture).await?;
        let left = until.saturating_duration_since(Instant::now());
        match waiting {
            Some(waiting) if waiting.is_none() => return Ok(()),
            Some(waiting) if left.is_zero() || waiting.outlasts(left) => {
                return Err(refused(schema, waiting, true));
            }
            None if left.is_zero() => return Err(busy(schema, limit)),
            _ => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Returns the events that waited at the end of the attempt, or `None` without a moment free of producers.
async fn try_to_end(conn: &mut PgConnection, capture: &Capture) -> Result<Option<Waiting>, Error> {
    let schema = &capture.schema;
    let Some(mut tx) = stop(conn, schema, STOP_WRITERS).await? else { return Ok(None) };
    let until = Instant::now() + DRAIN;
    let waiting = loop {
        let waiting = Waiting::count(&mut tx, schema).await?;
        let left = until.saturating_duration_since(Instant::now());
        if waiting.is_none() || left.is_zero() || waiting.outlasts(left) {
            break waiting;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    if !waiting.is_none() {
        return tx.rollback().await.map(|()| Some(waiting)).map_err(fault);
    }
    if let Err(lost) = usable(&Look::at(&mut tx, schema, capture, None).await?, capture) {
        tx.rollback().await.map_err(fault)?;
        return Err(lost);
    }
    match tx.execute(sqlx::raw_sql(schema.sql(END))).await {
        Ok(_) => tx.commit().await.map(|()| Some(waiting)).map_err(fault),
        // Another transaction has read the table for longer than the lock wait.
        Err(error) if is_late(&error) => tx.rollback().await.map(|()| None).map_err(fault),
        Err(error) => Err(fault(error)),
    }
}

/// Refuses to end the relay without a slot that keeps later events.
fn usable(look: &Look, capture: &Capture) -> Result<(), Error> {
    if look.has_slot {
        return Ok(());
    }
    let text = format!(
        "slot {} is lost or gone: delete it with `messagekit connector delete --slot`, then switch again; the relay goes on",
        capture.slot
    );
    Err(Error::new(ErrorKind::WrongState, text))
}

fn refused(schema: &SchemaName, waiting: Waiting, has_relay: bool) -> Error {
    let Waiting { ready, delayed, rejected, last } = waiting;
    let cure = match (rejected, delayed, has_relay) {
        (1.., ..) => "mend what was refused: `messagekit outbox rejected list`".to_owned(),
        (_, _, false) => "let a relay run".to_owned(),
        (_, 1.., _) => format!(
            "try again when the last delayed one is due, or let the relay publish them now: \
             UPDATE {}.outbox_pending SET available_at = now() WHERE shard < 0",
            schema.quoted()
        ),
        _ => "let the relay come after the writers, and try again".to_owned(),
    };
    let text = format!("outbox still has events of the relay: {cure}");
    let error = Error::new(ErrorKind::WrongState, text)
        .with("ready", ready)
        .with("delayed", delayed)
        .with("rejected", rejected);
    match last {
        None => error,
        Some(Delayed { event_id, topic, due, .. }) => {
            error.with("last", event_id).with("topic", topic).with("due", due)
        }
    }
}
