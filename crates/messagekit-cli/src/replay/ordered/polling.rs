//! Polls of a reader until its end, through what passes by itself.

use std::time::Duration;

use jiff::Timestamp;
use messagekit::log::{OrderedReader, Record};
use messagekit::{Error, Shutdown, chain};
use tokio::time::{Instant, sleep};

use super::until::{Ending, Until};

/// How long a poll waits for a record, and so the longest that an end without one is noticed late.
const WAIT: Duration = Duration::from_millis(100);
/// How often a log that does not answer is asked, and for how long.
const AGAIN: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(30);

/// A reader with its end.
pub(in crate::replay) struct Polling {
    reader: OrderedReader,
    until: Until,
    ending: Ending,
    /// Since when the log has not answered.
    silent: Option<Instant>,
}

impl Polling {
    pub(super) fn new(reader: OrderedReader, until: Until) -> Self {
        Self { reader, until, ending: Ending::new(until), silent: None }
    }

    /// Returns what the next poll brings, and `None` when the command is interrupted.
    pub(in crate::replay) async fn next(
        &mut self,
        interrupted: &Shutdown,
    ) -> Result<Option<Vec<Record>>, Error> {
        loop {
            let wait = if self.reader.is_live() && self.until == Until::Live { Duration::ZERO } else { WAIT };
            let polled = tokio::select! {
                biased;
                () = interrupted.requested() => return Ok(None),
                polled = self.reader.poll(wait) => polled,
            };
            match polled {
                Ok(records) => {
                    self.silent = None;
                    return Ok(Some(records));
                }
                Err(error) => self.bear(error, interrupted).await?,
            }
        }
    }

    /// Removes the records that lie behind the end, and returns whether it is reached.
    pub(in crate::replay) fn cut(&mut self, records: &mut Vec<Record>) -> bool {
        self.ending.cut(records, self.reader.is_live(), Timestamp::now())
    }

    /// Returns whether an interrupt is the end that was asked for.
    pub(in crate::replay) fn ends_when_interrupted(&self) -> bool {
        self.until == Until::Never
    }

    pub(in crate::replay) fn reader(&self) -> &OrderedReader {
        &self.reader
    }

    /// Waits if the error may pass.
    async fn bear(&mut self, error: Error, interrupted: &Shutdown) -> Result<(), Error> {
        let since = *self.silent.get_or_insert_with(Instant::now);
        if !error.is_transient() || since.elapsed() >= PATIENCE {
            return Err(error);
        }
        tracing::warn!(error = chain(&error), "the log does not answer: it is asked again");
        tokio::select! {
            () = interrupted.requested() => {}
            () = sleep(AGAIN) => {}
        }
        Ok(())
    }
}
