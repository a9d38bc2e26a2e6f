//! The parts of tables that are divided by day, and emptying one of them.
//!
//! Whether a part may be emptied is asked of its rows and not of its day: a wheel that has come round once has rows of two days
//! in a part. The answers come from summaries of blocks and from small indexes, so they cost the same for a day of any size;
//! they are asked for before the part is locked, and again while nobody can write to it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff_sqlx::Timestamp;
use messagekit::cleanup::{CleanupTarget, MARGIN, NOTED_WITHIN};
use messagekit::{Error, ErrorKind};
use sqlx::{Executor, PgConnection, Row};

use super::cleanup::Left;
use super::micros;
use crate::SchemaName;
use crate::error::from_sqlx;
use crate::migrations::link::code;

/// How many days the wheel has, as `messagekit.day_of` counts them.
const WHEEL: i16 = 32;

/// The part of ids that tell no day.
const OTHER: i16 = -1;

pub(crate) const IS_DIVIDED: &str =
    "SELECT relkind = 'p' FROM pg_class WHERE oid = 'messagekit.outbox_events'::regclass";

/// Others wait as long as this for a part, if anybody wants it at that moment. What a walk through a table is said to cost while
/// it is forbidden would have the server compile each plan, which takes a hundred times as long as running it.
pub(crate) const LOCKS: &str = "
SELECT set_config('lock_timeout', '40ms', true), set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true)";

/// Rows that stayed two days beyond their time because of others in their part.
const LATE: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// Before a part is used again.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Of one part, whose name takes the place of the table's.
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

/// The consumers of one part, from one to the next in one step of its index, and before when its markers may go.
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

/// Of one part. What the others of a consumer's day wait for is not one that keeps its markers for longer than the wheel takes.
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

/// Of one part whose markers all go. Their newest is not looked for: it is older than this.
pub(crate) const NOTE_EMPTIED: &str = concat!(
    bounds!(),
    "UPDATE messagekit.consumer_windows w
SET complete_since = greatest(w.complete_since, (SELECT before FROM bounds) + $1 * interval '1 microsecond')
FROM names n WHERE w.consumer = n.consumer"
);

/// The tables that have parts.
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

/// A part of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part(i16);

impl Part {
    pub(crate) const FIRST: Self = Self(0);

    /// Returns the part behind this one; that of other ids is the last.
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

    /// Puts the part's name into a statement that names the whole table.
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

/// What became of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Emptied {
    /// Nobody needed any of its rows, and they are gone, or would be.
    Whole,
    /// It has no rows or young ones, or an open transaction uses it: its time will come.
    Stays,
    /// Some of its rows have kept the others for too long, or nobody may empty it: it goes row by row.
    Late,
}

/// Says whether the tables are divided.
pub(crate) async fn is_divided(connection: &mut PgConnection, schema: &SchemaName) -> Result<bool, Error> {
    let look = sqlx::query_scalar(schema.sql(IS_DIVIDED)).persistent(false);
    look.fetch_one(connection).await.map_err(from_sqlx)
}

/// Empties the part of a day, when all of its rows may go.
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
        // Nobody writes to it any more, and whoever reads goes on while it is looked at.
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
        // Without the right to empty a table its rows can be removed.
        Some("42501") => Emptied::Late,
        _ => return Err(from_sqlx(error)),
    };
    connection.execute("ROLLBACK TO SAVEPOINT before_lock").await.map_err(from_sqlx)?;
    Ok(in_its_place)
}

async fn run(connection: &mut PgConnection, schema: &SchemaName, sql: String) -> Result<(), sqlx::Error> {
    sqlx::query(schema.sql(sql)).persistent(false).execute(connection).await.map(drop)
}

/// Says of the consumers of a part of markers since when the others are complete, in the transaction that empties it.
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

/// Where a step of a cleanup begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// `None` in a table without parts.
    pub(crate) part: Option<Part>,
    pub(crate) block: i64,
}

impl Position {
    pub(crate) fn first(is_divided: bool) -> Self {
        Self { part: is_divided.then_some(Part::FIRST), block: 0 }
    }

    /// Returns the part of a day that begins here.
    pub(crate) fn whole_day(self) -> Option<Part> {
        self.part.filter(|part| part.is_a_day() && self.block == 0)
    }

    /// Returns where the part behind this one begins.
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
            _ => Err(Error::new(
                ErrorKind::InvalidConfiguration,
                "not a place where a step of a cleanup has ended",
            )
            .with("from", text)),
        }
    }
}
