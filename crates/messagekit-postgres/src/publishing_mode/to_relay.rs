//! Switches from change data capture, or from no publishing, to the relay.

use std::time::Duration;

use messagekit::{Error, ErrorKind};
use sqlx::{Executor, PgConnection};
use tokio::time::Instant;

use super::{Look, PAUSE, STOP_WRITERS, begin, busy, end, is_late, stop};
use crate::SchemaName;
use crate::cdc::Capture;
use crate::migrations::connection::fault;

const TRIGGER: &str = "
ALTER TABLE messagekit.outbox_events DISABLE TRIGGER outbox_refuses_delay;
CREATE TRIGGER outbox_is_pending AFTER INSERT ON messagekit.outbox_events
  REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION messagekit.outbox_is_pending()";

/// Same as the trigger. Events that the trigger has seen are present already, delayed or not.
const ADOPT: &str = "
INSERT INTO messagekit.outbox_pending (shard, copy, seq, key_hash, available_at, event_id, topic)
SELECT (get_byte(h.hash, 0) & 63) - CASE WHEN e.available_at > h.now THEN 64 ELSE 0 END, e.copy, e.seq,
  CASE WHEN e.aggregate_id IS NOT NULL THEN ('x' || encode(substr(h.hash, 1, 8), 'hex'))::bit(64)::bigint END,
  greatest(e.available_at, h.now), e.event_id, e.topic
FROM messagekit.outbox_events e
  CROSS JOIN LATERAL (
    SELECT sha256(convert_to(coalesce(e.aggregate_id, e.event_id), 'UTF8')) AS hash, statement_timestamp() AS now OFFSET 0) h
WHERE NOT EXISTS (
  SELECT FROM messagekit.outbox_pending p
  WHERE p.topic = e.topic AND p.seq = e.seq AND p.shard IN ((get_byte(h.hash, 0) & 63), (get_byte(h.hash, 0) & 63) - 64))";

/// Uses the time as epoch, so that no epoch repeats after a switch there and back.
const OPEN: &str = "
INSERT INTO messagekit.relay_shards (shard, epoch)
SELECT n, extract(epoch FROM clock_timestamp())::bigint FROM generate_series(0, 63) n ON CONFLICT DO NOTHING";

/// The treatment of existing events in an outbox without a slot: it is unknown whether they were published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Existing {
    /// The switch fails, so that an operator decides.
    #[default]
    Refuse,
    /// The relay publishes all of them, in order.
    Publish,
    /// They are never published.
    Leave,
}

/// Makes the relay publish every event from now on, and returns what this call did. Idempotent.
///
/// With a slot, the connector publishes the earlier events. The call waits until the slot has passed them; relays begin
/// then and publish nothing before. Afterwards delete the connector and its slot (`messagekit connector delete --slot`).
/// Otherwise each event is published twice.
///
/// Producers wait for at most a second at a time while the trigger is created.
///
/// # Errors
/// [`ErrorKind::WrongState`] when there are events, no slot, and `existing` is [`Existing::Refuse`], or when the slot has
/// not passed within `limit`: call again to continue the switch; [`ErrorKind::Conflict`] when open transactions prevent
/// the trigger for `limit`, or another process is switching: retry. Otherwise as
/// [`migrations::migrate`](crate::migrations::migrate); [`ErrorKind::Schema`] when that has not been run.
///
/// # Cancel safety
/// A dropped call keeps what it has created; the next call continues.
pub async fn to_relay(
    url: &str,
    schema: &SchemaName,
    existing: Existing,
    limit: Duration,
) -> Result<Vec<String>, crate::Error> {
    let capture = Capture::of(url, schema)?;
    let mut conn = begin(url, schema).await?;
    let done = run(&mut conn, schema, &capture, existing, limit).await;
    end(conn).await;
    Ok(done?)
}

async fn run(
    conn: &mut PgConnection,
    schema: &SchemaName,
    capture: &Capture,
    existing: Existing,
    limit: Duration,
) -> Result<Vec<String>, Error> {
    let until = Instant::now() + limit;
    let mut done = Vec::new();
    let look = Look::at(conn, schema, capture, None).await?;
    if look.is_on && look.is_open {
        return Ok(done);
    }
    undecided(&look, schema, capture, existing)?;
    if !look.is_on {
        while !make_trigger(conn, schema, capture, existing).await? {
            if Instant::now() > until {
                return Err(busy(schema, limit));
            }
            tokio::time::sleep(PAUSE).await;
        }
        done.push("trigger outbox_is_pending".to_owned());
    }
    // A position after every event that the trigger missed: no transaction of a producer was open when it was created.
    let look = Look::at(conn, schema, capture, None).await?;
    if look.has_slot {
        wait_for_slot(conn, schema, capture, &look.here, until, limit).await?;
        done.push(format!("slot {} has passed {}", capture.slot, look.here));
    } else if existing == Existing::Publish {
        let adopted = conn.execute(sqlx::raw_sql(schema.sql(ADOPT))).await.map_err(fault)?.rows_affected();
        done.push(format!("{adopted} events from before"));
    }
    conn.execute(sqlx::raw_sql(schema.sql(OPEN))).await.map_err(fault)?;
    done.push("relays may begin".to_owned());
    Ok(done)
}

/// Refuses events when it is unknown whether they were published.
fn undecided(look: &Look, schema: &SchemaName, capture: &Capture, existing: Existing) -> Result<(), Error> {
    if look.has_slot || !look.has_events || existing != Existing::Refuse {
        return Ok(());
    }
    let text = format!(
        "outbox has events, and there is no slot {} that says which of them have left: say whether the relay publishes \
         them or leaves them",
        capture.slot
    );
    Err(Error::new(ErrorKind::WrongState, text).with("schema", schema))
}

/// Returns false when the table lock was not granted in time.
async fn make_trigger(
    conn: &mut PgConnection,
    schema: &SchemaName,
    capture: &Capture,
    existing: Existing,
) -> Result<bool, Error> {
    let Some(mut tx) = stop(conn, schema, STOP_WRITERS).await? else { return Ok(false) };
    // Events of transactions that were open at the start are now visible.
    let look = Look::at(&mut tx, schema, capture, None).await?;
    if let Err(refused) = undecided(&look, schema, capture, existing) {
        tx.rollback().await.map_err(fault)?;
        return Err(refused);
    }
    match tx.execute(sqlx::raw_sql(schema.sql(TRIGGER))).await {
        Ok(_) => tx.commit().await.map(|()| true).map_err(fault),
        Err(error) if is_late(&error) => tx.rollback().await.map(|()| false).map_err(fault),
        Err(error) => Err(fault(error)),
    }
}

async fn wait_for_slot(
    conn: &mut PgConnection,
    schema: &SchemaName,
    capture: &Capture,
    position: &str,
    until: Instant,
    limit: Duration,
) -> Result<(), Error> {
    loop {
        let look = Look::at(conn, schema, capture, Some(position)).await?;
        let wrong = match look {
            Look { has_passed: true, .. } => return Ok(()),
            Look { has_slot: false, .. } => "is gone before everything was read",
            _ if Instant::now() > until => "has not come that far",
            _ => {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let text = format!(
            "slot {} {wrong} in {limit:?}: see that its connector runs, then switch again; until then events wait for the relay",
            capture.slot
        );
        return Err(Error::new(ErrorKind::WrongState, text).with("position", position));
    }
}
