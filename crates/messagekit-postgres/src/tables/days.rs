//! The partitions of tables that are partitioned by day, and emptying one of them.
//!
//! The rows of a partition, not its day, decide whether it may be emptied: after one round of the ring, a partition holds
//! rows of two days. The answers come from block summaries and small indexes, so they cost the same for a day of any
//! size. They are read before the partition is locked, and again under the lock that blocks writers.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff_sqlx::Timestamp;
use messagekit::Error;
use messagekit::cleanup::{CleanupTarget, MARGIN, NOTED_WITHIN, no_cleanup_step};
use sqlx::{Executor, PgConnection, Row};

use super::left::Left;
use super::micros;
use crate::SchemaName;
use crate::error::from_sqlx;
use crate::migrations::connection::code;

/// The number of days in the ring, as `messagekit.day_of` counts them.
const WHEEL: i16 = 32;

/// The partition of ids without a day.
const OTHER: i16 = -1;

pub(crate) const IS_DIVIDED: &str =
    "SELECT relkind = 'p' FROM pg_class WHERE oid = 'messagekit.outbox_events'::regclass";

/// How long other transactions may wait for a partition. A forbidden scan gets such a high cost that the server would
/// compile each plan, which takes a hundred times as long as running it; so `jit` is off.
pub(crate) const LOCKS: &str = "
SELECT set_config('lock_timeout', '40ms', true), set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true)";

/// How long rows may stay beyond their time because of other rows in their partition.
const LATE: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// The longest dedup window that other consumers' markers wait for; a partition is used again a little later.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// For one partition, whose name replaces the table's.
pub(crate) const EVENTS: &str = "
SELECT EXISTS (SELECT FROM messagekit.outbox_events) AS has_rows,
  CASE WHEN EXISTS (SELECT FROM messagekit.outbox_events) THEN NOT (EXISTS (SELECT FROM messagekit.outbox_events WHERE created_at >= now() - $1 * interval '1 microsecond')
    OR EXISTS (SELECT FROM messagekit.outbox_events WHERE created_at >= $3)
    OR EXISTS (SELECT FROM messagekit.outbox_events WHERE seq > $4)
    OR EXISTS (SELECT FROM messagekit.outbox_pending WHERE messagekit.day_of(event_id) = $5)
    OR EXISTS (SELECT FROM messagekit.outbox_rejected WHERE messagekit.day_of(event_id) = $5)
    OR EXISTS (SELECT FROM messagekit.replay_jobs WHERE state = 'running')) END AS is_free,
  EXISTS (SELECT FROM messagekit.outbox_events
    WHERE created_at < now() - ($1 + $2) * interval '1 microsecond') AS is_late";

/// The consumers of one partition, read by index skips, and the time before which their markers may be removed.
macro_rules! bounds {
    () => {
        "WITH RECURSIVE limits AS MATERIALIZED (
  SELECT w.consumer, now() - (max(w.seconds) * interval '1 second' + $1 * interval '1 microsecond') AS before
  FROM messagekit.consumer_windows w
  WHERE w.noted_at > (SELECT max(n.noted_at) FROM messagekit.consumer_windows n WHERE n.consumer = w.consumer)
    - $2 * interval '1 microsecond'
  GROUP BY w.consumer),
names (consumer) AS (
  (SELECT consumer FROM messagekit.processed_messages ORDER BY consumer LIMIT 1)
  UNION ALL
  SELECT (SELECT m.consumer FROM messagekit.processed_messages m WHERE m.consumer > n.consumer ORDER BY m.consumer LIMIT 1)
  FROM names n WHERE n.consumer IS NOT NULL),
bounds AS MATERIALIZED (
  SELECT min(l.before) AS before, bool_or(l.before IS NULL) AS has_endless,
    coalesce(min(l.before) FILTER (WHERE l.before > now() - $3 * interval '1 microsecond'), max(l.before)) AS patient
  FROM names n LEFT JOIN limits l ON l.consumer = n.consumer WHERE n.consumer IS NOT NULL)
"
    };
}

/// For one partition. Lateness ignores a consumer that keeps its markers for longer than one round of the ring: the
/// markers of other consumers do not wait for it.
pub(crate) const MARKERS: &str = concat!(
    bounds!(),
    "SELECT EXISTS (SELECT FROM messagekit.processed_messages) AS has_rows,
  NOT (coalesce((SELECT has_endless FROM bounds), false)
    OR EXISTS (SELECT FROM messagekit.processed_messages WHERE processed_at >= (SELECT before FROM bounds))
    OR EXISTS (SELECT FROM messagekit.processed_messages m WHERE m.outcome <> 'done' AND (m.outcome = 'held'
      OR (SELECT true FROM messagekit.failed_messages d
        WHERE d.consumer = m.consumer AND d.message_id = m.message_id) IS NOT NULL))) AS is_free,
  EXISTS (SELECT FROM messagekit.processed_messages
    WHERE processed_at < (SELECT patient FROM bounds) - $4 * interval '1 microsecond') AS is_late"
);

/// For one partition that is emptied completely. Its newest marker is older than this bound and is not read.
pub(crate) const NOTE_EMPTIED: &str = concat!(
    bounds!(),
    "UPDATE messagekit.consumer_windows w
SET complete_since = greatest(w.complete_since, (SELECT before FROM bounds) + $1 * interval '1 microsecond')
FROM names n WHERE w.consumer = n.consumer"
);

/// The partitioned tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Divided {
    Events,
    Markers,
}

impl Divided {
    pub(crate) fn of(what: CleanupTarget) -> Option<Self> {
        match what {
            CleanupTarget::Events => Some(Self::Events),
            CleanupTarget::Markers => Some(Self::Markers),
            CleanupTarget::FailedMessages => None,
        }
    }

    fn table(self) -> &'static str {
        match self {
            Self::Events => "messagekit.outbox_events",
            Self::Markers => "messagekit.processed_messages",
        }
    }
}

/// A partition of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part(i16);

impl Part {
    pub(crate) const FIRST: Self = Self(0);

    /// Returns the next partition; the partition of other ids is the last.
    pub(crate) fn next(self) -> Option<Self> {
        match self.0 {
            OTHER => None,
            day if day + 1 < WHEEL => Some(Self(day + 1)),
            _ => Some(Self(OTHER)),
        }
    }

    pub(crate) fn is_a_day(self) -> bool {
        self.0 != OTHER
    }

    /// Puts the partition's name into a statement on the whole table.
    pub(crate) fn of(self, table: Divided, sql: &str) -> String {
        sql.replace(table.table(), &format!("{}_{self}", table.table()))
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            OTHER => f.write_str("other"),
            day => write!(f, "{day:02}"),
        }
    }
}

impl FromStr for Part {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "other" => Ok(Self(OTHER)),
            day => day.parse().ok().filter(|day| (0..WHEEL).contains(day)).map(Self).ok_or(()),
        }
    }
}

/// The result for one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Emptied {
    /// All of its rows were expired, and they are removed, or would be in a trial.
    Whole,
    /// It has no rows or young ones, or an open transaction uses it: a later run retries.
    Stays,
    /// Some of its rows have kept the others for too long, or the user lacks the right to empty it: remove it row by row.
    Late,
}

/// Returns whether the tables are partitioned.
pub(crate) async fn is_divided(connection: &mut PgConnection, schema: &SchemaName) -> Result<bool, Error> {
    let look = sqlx::query_scalar(schema.sql(IS_DIVIDED)).persistent(false);
    look.fetch_one(connection).await.map_err(from_sqlx)
}

/// Empties the partition of a day when all of its rows may be removed.
pub(crate) async fn empty(
    connection: &mut PgConnection,
    schema: &SchemaName,
    table: Divided,
    part: Part,
    kept: Duration,
    left: Option<&Left>,
    is_trial: bool,
) -> Result<Emptied, Error> {
    sqlx::query(schema.sql(LOCKS)).execute(&mut *connection).await.map_err(from_sqlx)?;
    let before = look(connection, schema, table, part, kept, left).await?;
    if before != Emptied::Whole || is_trial {
        return Ok(before);
    }
    let part_of = format!("{}_{part}", table.table());
    connection.execute("SAVEPOINT before_lock").await.map_err(from_sqlx)?;
    let emptied = async {
        // Blocks writers; reads continue during the check.
        run(connection, schema, format!("LOCK TABLE {part_of} IN SHARE ROW EXCLUSIVE MODE")).await?;
        let now = look(connection, schema, table, part, kept, left).await;
        if matches!(now, Ok(Emptied::Whole)) {
            note_emptied(connection, schema, table, part).await?;
            run(connection, schema, format!("LOCK TABLE {part_of} IN ACCESS EXCLUSIVE MODE")).await?;
            run(connection, schema, format!("TRUNCATE {part_of}")).await?;
        }
        Ok(now)
    };
    let error = match emptied.await {
        Ok(now) => return now,
        Err(error) => error,
    };
    let in_its_place = match code(&error) {
        Some("55P03" | "40P01") => Emptied::Stays,
        // Without the right to empty a table, its rows can still be deleted.
        Some("42501") => Emptied::Late,
        _ => return Err(from_sqlx(error)),
    };
    connection.execute("ROLLBACK TO SAVEPOINT before_lock").await.map_err(from_sqlx)?;
    Ok(in_its_place)
}

async fn run(connection: &mut PgConnection, schema: &SchemaName, sql: String) -> Result<(), sqlx::Error> {
    sqlx::query(schema.sql(sql)).persistent(false).execute(connection).await.map(drop)
}

/// Records for the consumers of a marker partition since when their remaining markers are complete, in the emptying
/// transaction.
async fn note_emptied(
    connection: &mut PgConnection,
    schema: &SchemaName,
    table: Divided,
    part: Part,
) -> Result<(), sqlx::Error> {
    if table != Divided::Markers {
        return Ok(());
    }
    let note = sqlx::query(schema.sql(part.of(table, NOTE_EMPTIED))).persistent(false);
    let note = note.bind(micros(MARGIN)).bind(micros(NOTED_WITHIN)).bind(micros(LONGEST));
    note.execute(connection).await.map(drop)
}

async fn look(
    connection: &mut PgConnection,
    schema: &SchemaName,
    table: Divided,
    part: Part,
    kept: Duration,
    left: Option<&Left>,
) -> Result<Emptied, Error> {
    let row = match table {
        Divided::Events => {
            let of_slot = left.filter(|left| left.has_slot);
            let before: Option<Timestamp> = of_slot.and_then(|left| left.before);
            let look = sqlx::query(schema.sql(part.of(table, EVENTS)))
                .persistent(false)
                .bind(micros(kept))
                .bind(micros(LATE));
            let look = look.bind(before).bind(of_slot.and_then(|left| left.last_seq)).bind(part.0);
            look.fetch_one(connection).await
        }
        Divided::Markers => {
            let look = sqlx::query(schema.sql(part.of(table, MARKERS))).persistent(false);
            let look = look.bind(micros(MARGIN)).bind(micros(NOTED_WITHIN)).bind(micros(LONGEST));
            look.bind(micros(LATE)).fetch_one(connection).await
        }
    };
    let row = row.map_err(from_sqlx)?;
    let read = |name| row.try_get::<Option<bool>, _>(name).map(|is| is == Some(true)).map_err(from_sqlx);
    Ok(match (read("has_rows")?, read("is_free")?, read("is_late")?) {
        (true, true, _) => Emptied::Whole,
        (true, false, true) => Emptied::Late,
        _ => Emptied::Stays,
    })
}

/// The start of a cleanup step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// `None` in a table without partitions.
    pub(crate) part: Option<Part>,
    pub(crate) block: i64,
}

impl Position {
    pub(crate) fn first(is_divided: bool) -> Self {
        Self { part: is_divided.then_some(Part::FIRST), block: 0 }
    }

    /// Returns the partition of a day that begins here.
    pub(crate) fn whole_day(self) -> Option<Part> {
        self.part.filter(|part| part.is_a_day() && self.block == 0)
    }

    /// Returns whether the position is in the partition of a day.
    pub(crate) fn is_in_a_day(self) -> bool {
        self.part.is_some_and(Part::is_a_day)
    }

    /// Returns the start of the next partition.
    pub(crate) fn next_part(self) -> Option<Self> {
        Some(Self { part: Some(self.part?.next()?), block: 0 })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            None => write!(f, "{}", self.block),
            Some(part) => write!(f, "{part}:{}", self.block),
        }
    }
}

impl FromStr for Position {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (part, block) = match text.split_once(':') {
            None => (Ok(None), text),
            Some((part, block)) => (part.parse().map(Some), block),
        };
        match (part, block.parse()) {
            (Ok(part), Ok(block)) => Ok(Self { part, block }),
            _ => Err(no_cleanup_step(text)),
        }
    }
}
