//! Appends delayed events to their topics when they are due, and changes of tables. Every process that has the file open does so; no
//! separate program is needed.

use std::rc::Rc;
use std::time::{Duration, Instant};

use messagekit::adapter::Wake;
use messagekit::{Error, chain};

use super::guard::Guarded;
use crate::error::from_sqlite;
use crate::table_sources::install::refresh;
use crate::tables::append::Appended;
use crate::tables::{delayed, now, table_sources, waiting_changes};

/// How often the writer checks for events that another process has delayed and did not live to append, and for changes of tables by
/// programs that know nothing of us. An idle process must cost nothing.
const EVERY: Duration = Duration::from_secs(1);
/// The pause after a failed check.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// The time of the writer's next check.
pub(super) struct Due {
    partitions_of_new: u32,
    news: Wake,
    at: Instant,
    /// The version of the schema of the file at the last check.
    schema_version: i64,
    /// There was a table source then.
    has_sources: bool,
}

impl Due {
    pub(super) fn new(partitions_of_new: u32, news: Wake) -> Self {
        Self { partitions_of_new, news, at: Instant::now(), schema_version: 0, has_sources: false }
    }

    /// Returns the time until the next check.
    pub(super) fn wait(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// Checks at once what a commit of this process may have left.
    pub(super) fn after_commit(&mut self) {
        if self.has_sources {
            self.at = Instant::now();
        }
    }

    /// Appends due events if it is time to check; returns whether a transaction was committed.
    pub(super) fn append(&mut self, guarded: &Rc<Guarded>) -> bool {
        if !self.wait().is_zero() {
            return false;
        }
        match self.try_append(guarded) {
            Ok((appended, wait)) => {
                self.at = Instant::now() + wait.min(EVERY);
                let appended = appended.filter(|appended| !appended.positions.is_empty());
                if appended.as_ref().is_some_and(|appended| appended.leaves) {
                    self.news.wake();
                }
                appended.is_some()
            }
            Err(error) => {
                tracing::warn!(error = chain(&error), "delayed events that are due wait for the next look");
                self.at = Instant::now() + AFTER_FAILURE;
                false
            }
        }
    }

    fn try_append(&mut self, guarded: &Rc<Guarded>) -> Result<(Option<Appended>, Duration), Error> {
        self.look_at_sources(guarded)?;
        let is_waiting = waiting_changes::is_any(guarded.conn()).map_err(from_sqlite)?;
        let next = wait(delayed::next(guarded.conn())?);
        if !next.is_zero() && !is_waiting {
            return Ok((None, next));
        }
        let open = guarded.begin(None)?;
        let mut appended = delayed::append_due(open.conn(), self.partitions_of_new, now())?;
        let changes = waiting_changes::append(open.conn(), self.partitions_of_new, now())?;
        appended.positions.extend(changes.appended.positions);
        appended.leaves |= changes.appended.leaves;
        let next = wait(delayed::next(open.conn())?);
        open.commit()?;
        Ok((Some(appended), if changes.is_full { Duration::ZERO } else { next }))
    }

    /// Follows tables whose columns have changed since the last check.
    fn look_at_sources(&mut self, guarded: &Rc<Guarded>) -> Result<(), Error> {
        let version = guarded.conn().pragma_query_value(None, "schema_version", |row| row.get(0));
        let version: i64 = version.map_err(from_sqlite)?;
        self.has_sources = table_sources::is_any(guarded.conn()).map_err(from_sqlite)?;
        if version == self.schema_version || !self.has_sources {
            return Ok(());
        }
        let open = guarded.begin(None)?;
        if refresh(open.conn())? > 0 {
            open.commit()?;
        }
        self.schema_version = version;
        Ok(())
    }
}

fn wait(due: Option<i64>) -> Duration {
    match due {
        Some(due) => Duration::from_micros(due.saturating_sub(now()).try_into().unwrap_or(0)),
        None => EVERY,
    }
}
