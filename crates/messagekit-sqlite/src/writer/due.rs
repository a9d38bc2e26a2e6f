//! Appends delayed events to their topics when they are due. Every process that has the file open does so; no separate
//! program is needed.

use std::rc::Rc;
use std::time::{Duration, Instant};

use messagekit::adapter::Wake;
use messagekit::{Error, chain};

use super::guard::Guarded;
use crate::tables::append::Appended;
use crate::tables::{delayed, now};

/// How often the writer checks for events that another process has delayed and did not live to append. An idle process must cost nothing.
const EVERY: Duration = Duration::from_secs(1);
/// The pause after a failed check.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// The time of the writer's next check.
pub(super) struct Due {
    partitions_of_new: u32,
    news: Wake,
    at: Instant,
}

impl Due {
    pub(super) fn new(partitions_of_new: u32, news: Wake) -> Self {
        Self { partitions_of_new, news, at: Instant::now() }
    }

    /// Returns the time until the next check.
    pub(super) fn wait(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
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

    fn try_append(&self, guarded: &Rc<Guarded>) -> Result<(Option<Appended>, Duration), Error> {
        let wait = |due: Option<i64>| match due {
            Some(due) => Duration::from_micros(due.saturating_sub(now()).try_into().unwrap_or(0)),
            None => EVERY,
        };
        let next = wait(delayed::next(guarded.conn())?);
        if !next.is_zero() {
            return Ok((None, next));
        }
        let open = guarded.begin(None)?;
        let appended = delayed::append_due(open.conn(), self.partitions_of_new, now())?;
        let next = delayed::next(open.conn())?;
        open.commit()?;
        Ok((Some(appended), wait(next)))
    }
}
