//! Delayed events take their places when they are due: whoever has the file open looks, so that none waits for a program of
//! its own.

use std::rc::Rc;
use std::time::{Duration, Instant};

use messagekit::{Error, Wake, chain};

use super::guard::Guarded;
use crate::tables::append::Appended;
use crate::tables::{delayed, now};

/// So often it is looked for what another process has delayed.
const EVERY: Duration = Duration::from_millis(200);
/// After a look that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// When the writer looks next.
pub(super) struct Due {
    partitions_of_new: u32,
    news: Wake,
    at: Instant,
}

impl Due {
    pub(super) fn new(partitions_of_new: u32, news: Wake) -> Self {
        Self { partitions_of_new, news, at: Instant::now() }
    }

    /// Returns how long there is nothing to do.
    pub(super) fn wait(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// Appends what is due, if it is time to look; returns whether something was committed.
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
