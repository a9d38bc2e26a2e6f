//! Reports whether events leave the file.

use std::time::Duration;

use messagekit::Error;
use messagekit::adapter::BoxFuture;
use messagekit::operations::{OutboxHealth, OutboxLag, SourceState, rejected_problem, source_problems};
use messagekit::relay::RejectedEvents;
use messagekit_topic_store::TableSources;
use rusqlite::Connection;

use crate::error::from_sqlite;
use crate::table_sources::install;
use crate::tables::{delayed, micros, now, pending, rejected, shards};
use crate::{SqliteStore, migrations};

/// The time for a relay's restart, which is not a problem yet.
const RESTART: Duration = Duration::from_secs(30);
/// The waiting time after which an event is overdue.
const OVERDUE: Duration = Duration::from_secs(10);

impl OutboxHealth for SqliteStore {
    fn ping(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.query(|conn| migrations::version(conn)?.check(migrations::this_program(), "file")))
    }

    fn rejected_events(&self) -> Option<&dyn RejectedEvents> {
        Some(self)
    }

    /// Returns the lag of relayed topics. Empty without such a topic: events are in their topics with their commit.
    fn lag(&self) -> BoxFuture<'_, Result<OutboxLag, Error>> {
        Box::pin(async move {
            self.ping().await?;
            self.query(|conn| {
                let snapshot = conn.unchecked_transaction().map_err(from_sqlite)?;
                lag(&snapshot)
            })
            .await
        })
    }

    fn source_states(&self) -> BoxFuture<'_, Result<Vec<SourceState>, Error>> {
        Box::pin(async { Ok(self.sources().await?.into_iter().map(SourceState::from).collect()) })
    }

    fn checkpoint(&self, _every: Duration) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }
}

/// Measures the outbox of a file, with the faults of its table sources. Status answers from it too.
pub(crate) fn lag(conn: &Connection) -> Result<OutboxLag, Error> {
    let mut lag = lag_of_relays(conn, now()).map_err(from_sqlite)?;
    lag.problems.extend(source_problems(&install::known(conn)?));
    Ok(lag)
}

fn lag_of_relays(conn: &Connection, now: i64) -> rusqlite::Result<OutboxLag> {
    let (pending, overdue, oldest) = pending::waiting(conn, now - micros(OVERDUE))?;
    let mut problems = Vec::new();
    if shards::any_topic_leaves(conn)? {
        let restart = now - micros(RESTART);
        let has_relay = shards::last_life(conn, now)?.is_some_and(|until| until > restart);
        if !has_relay && oldest.is_some_and(|since| since <= restart) {
            problems.push("no relay lives: run `messagekit relay`, or a `Relay` in your service".to_owned());
        }
        let (refused, behind) = rejected::counts(conn)?;
        if refused > 0 {
            problems.push(rejected_problem(refused, behind));
        }
    }
    let unreadable = delayed::unreadable(conn)?;
    if unreadable > 0 {
        problems.push(format!(
            "{unreadable} delayed events cannot be read and are never due: correct their rows of messagekit_outbox_delayed"
        ));
    }
    let age = |since: i64| Duration::from_micros(now.saturating_sub(since).try_into().unwrap_or(0));
    Ok(OutboxLag { pending, overdue, oldest: oldest.map(age), problems, ..OutboxLag::default() })
}
