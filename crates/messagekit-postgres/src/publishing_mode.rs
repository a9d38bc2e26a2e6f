//! Changes the publishing mode of an outbox under load without losing an event: from change data capture to the relay,
//! and back.
//!
//! During the change an event may be published in both ways under the same id; every event is published at least once.
//! The order of a key holds: the relay begins when everything before it has left. Start a connector only after [`to_cdc`]
//! returns.

mod to_cdc;
mod to_relay;

use std::time::Duration;

use messagekit::{Error, ErrorKind};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Postgres, Row, Transaction};

use crate::SchemaName;
use crate::cdc::Capture;
use crate::migrations::connection::{self, fault};

pub use to_cdc::to_cdc;
pub use to_relay::{Existing, to_relay};

/// The lock space of the switch's advisory lock; the second part is the hash of the schema's name.
const LOCK_SPACE: i32 = 0x6d6b_7377;

/// How long producers may wait for one attempt: those that arrive while an attempt waits for an open transaction wait
/// with it.
pub(crate) const LOCK_WAIT: Duration = Duration::from_secs(1);

/// The pause before the next attempt, in which producers continue.
pub(crate) const PAUSE: Duration = Duration::from_millis(200);

/// Takes the table lock that blocks producers; reads continue.
const STOP_WRITERS: &str = "LOCK TABLE messagekit.outbox_events IN SHARE ROW EXCLUSIVE MODE";

const LOOK: &str = "
SELECT EXISTS (SELECT FROM pg_trigger
    WHERE tgrelid = 'messagekit.outbox_events'::regclass AND tgname = 'outbox_is_pending') AS is_on,
  EXISTS (SELECT FROM messagekit.relay_shards) AS is_open,
  (SELECT confirmed_flush_lsn >= $2::pg_lsn FROM pg_replication_slots
    WHERE slot_name = $1 AND slot_type = 'logical' AND database = current_database()) AS has_passed,
  EXISTS (SELECT FROM pg_replication_slots
    WHERE slot_name = $1 AND slot_type = 'logical' AND database = current_database()
      AND wal_status IS DISTINCT FROM 'lost') AS has_slot,
  EXISTS (SELECT FROM messagekit.outbox_events) AS has_events,
  EXISTS (SELECT FROM messagekit.relay_members WHERE until > clock_timestamp()) AS has_relay,
  pg_current_wal_insert_lsn()::text AS here";

/// The last delayed event decides the waiting time. It is capped at a day, because an infinite time cannot be subtracted.
const WAITING: &str = "
SELECT (SELECT count(*) FROM messagekit.outbox_pending WHERE shard >= 0) AS ready,
  (SELECT count(*) FROM messagekit.outbox_pending WHERE shard < 0) AS delayed,
  (SELECT count(*) FROM messagekit.outbox_rejected) AS rejected,
  l.event_id, l.topic, l.available_at::text AS due,
  extract(epoch FROM greatest(least(l.available_at, now() + interval '1 day') - now(), interval '0'))::float8 AS seconds
FROM (SELECT) one LEFT JOIN LATERAL (
  SELECT p.event_id, p.topic, p.available_at FROM messagekit.outbox_pending p
  WHERE p.shard < 0 ORDER BY p.available_at DESC LIMIT 1) l ON true";

/// The current publishing state of an outbox.
#[derive(Debug)]
struct Look {
    /// Every written event becomes pending.
    is_on: bool,
    /// Relays may take shards.
    is_open: bool,
    /// A slot exists and still keeps written events.
    has_slot: bool,
    /// The slot is confirmed up to the requested position.
    has_passed: bool,
    has_events: bool,
    has_relay: bool,
    /// The current position of the log.
    here: String,
}

impl Look {
    async fn at(
        conn: &mut PgConnection,
        schema: &SchemaName,
        capture: &Capture,
        position: Option<&str>,
    ) -> Result<Self, Error> {
        let look = sqlx::query(schema.sql(LOOK)).persistent(false).bind(&capture.slot).bind(position);
        let row = look.fetch_one(conn).await.map_err(fault)?;
        let read = || {
            Ok(Self {
                is_on: row.try_get("is_on")?,
                is_open: row.try_get("is_open")?,
                has_slot: row.try_get("has_slot")?,
                has_passed: row.try_get::<Option<bool>, _>("has_passed")? == Some(true),
                has_events: row.try_get("has_events")?,
                has_relay: row.try_get("has_relay")?,
                here: row.try_get("here")?,
            })
        };
        read().map_err(fault)
    }
}

/// Events that have not left.
#[derive(Clone, Debug)]
struct Waiting {
    ready: i64,
    delayed: i64,
    rejected: i64,
    /// The last of the delayed events.
    last: Option<Delayed>,
}

/// An event that is not due yet.
#[derive(Clone, Debug)]
struct Delayed {
    event_id: String,
    topic: String,
    due: String,
    /// The time from now until it is due, at most a day.
    wait: Duration,
}

impl Waiting {
    async fn count(conn: &mut PgConnection, schema: &SchemaName) -> Result<Self, Error> {
        let count = sqlx::query(schema.sql(WAITING)).persistent(false).fetch_one(conn).await;
        let row = count.map_err(fault)?;
        let read = || {
            let last = match row.try_get("event_id")? {
                None => None,
                Some(event_id) => {
                    let wait = Duration::try_from_secs_f64(row.try_get("seconds")?).unwrap_or_default();
                    Some(Delayed { event_id, topic: row.try_get("topic")?, due: row.try_get("due")?, wait })
                }
            };
            let (ready, delayed) = (row.try_get("ready")?, row.try_get("delayed")?);
            Ok(Self { ready, delayed, rejected: row.try_get("rejected")?, last })
        };
        read().map_err(fault)
    }

    fn is_none(&self) -> bool {
        self.ready == 0 && self.delayed == 0 && self.rejected == 0
    }

    /// Returns whether an event stays longer than this, whatever relays do.
    fn outlasts(&self, time: Duration) -> bool {
        self.rejected > 0 || self.last.as_ref().is_some_and(|last| last.wait > time)
    }
}

/// Opens a connection that excludes other switches of the same outbox.
pub(crate) async fn begin(url: &str, schema: &SchemaName) -> Result<PgConnection, Error> {
    let mut conn = connection::open(url).await?;
    crate::migrations::check(&mut conn, schema).await?;
    if crate::advisory_lock::take(&mut conn, LOCK_SPACE, schema.as_str()).await.map_err(fault)? {
        return Ok(conn);
    }
    connection::close(conn).await;
    let text = "another process is switching this outbox: wait for it, then look at its outcome";
    Err(Error::new(ErrorKind::Conflict, text).with("schema", schema))
}

/// Releases the lock and closes. The server may notice a closed connection only after the caller's next call.
pub(crate) async fn end(mut conn: PgConnection) {
    let unlock = sqlx::query("SELECT pg_advisory_unlock_all()").persistent(false).execute(&mut conn).await;
    if unlock.is_ok() {
        connection::close(conn).await;
    }
}

/// Begins a transaction that holds the locks of `lock`, such as [`STOP_WRITERS`]. Returns `None` when other transactions
/// take too long.
pub(crate) async fn stop<'c>(
    conn: &'c mut PgConnection,
    schema: &SchemaName,
    lock: &'static str,
) -> Result<Option<Transaction<'c, Postgres>>, Error> {
    let mut tx = conn.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await.map_err(fault)?;
    let limit = AssertSqlSafe(format!("SET LOCAL lock_timeout = {}", LOCK_WAIT.as_millis()));
    tx.execute(sqlx::raw_sql(limit)).await.map_err(fault)?;
    match tx.execute(sqlx::raw_sql(schema.sql(lock))).await {
        Ok(_) => Ok(Some(tx)),
        Err(error) if is_late(&error) => {
            tx.rollback().await.map_err(fault)?;
            Ok(None)
        }
        Err(error) => Err(fault(error)),
    }
}

/// Returns whether a lock was not granted in time.
pub(crate) fn is_late(error: &sqlx::Error) -> bool {
    matches!(connection::code(error), Some("55P03" | "40P01"))
}

pub(crate) fn busy(schema: &SchemaName, limit: Duration) -> Error {
    let text = format!(
        "open transactions that have written events left no moment for the switch in {limit:?}: try again, or end them"
    );
    Error::new(ErrorKind::Conflict, text).with("schema", schema)
}
