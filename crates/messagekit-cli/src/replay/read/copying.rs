//! From an ordered reader to a writer.

use std::time::Duration;

use indicatif::ProgressBar;
use jiff::Timestamp;
use messagekit::log::{OrderedReader, Record};
use messagekit::{Error, ErrorKind, Shutdown, chain};
use messagekit_arrow::{BatchWriter, Columns, Reader, batches};
use tokio::time::{Instant, sleep};

use super::until::{Ending, Until};
use crate::progress;

/// How long a poll waits for a record, and so the longest that an end without one is noticed late.
const WAIT: Duration = Duration::from_millis(100);
/// How often a log that does not answer is asked, and for how long.
const AGAIN: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(30);

/// Writes what a reader returns, until its end.
pub(super) struct Copying {
    reader: OrderedReader,
    writer: BatchWriter,
    columns: Columns,
    until: Until,
    ending: Ending,
    progress: ProgressBar,
    /// Since when the log has not answered.
    silent: Option<Instant>,
}

impl Copying {
    pub(super) fn new(
        reader: OrderedReader,
        writer: BatchWriter,
        columns: Columns,
        until: &Until,
        draws: bool,
    ) -> Self {
        let progress = if draws { progress::rate() } else { ProgressBar::hidden() };
        Self { reader, writer, columns, until: *until, ending: Ending::new(*until), progress, silent: None }
    }

    pub(super) async fn run(mut self, interrupted: &Shutdown) -> Result<(), Error> {
        let is_whole = loop {
            let wait = if self.reader.is_live() && self.until == Until::Live { Duration::ZERO } else { WAIT };
            let polled = tokio::select! {
                biased;
                () = interrupted.requested() => break self.until == Until::Never,
                polled = self.reader.poll(wait) => polled,
            };
            let mut records = match polled {
                Ok(records) => records,
                Err(error) => {
                    self.bear(error, interrupted).await?;
                    continue;
                }
            };
            self.silent = None;
            let has_ended = self.ending.cut(&mut records, self.reader.is_live(), Timestamp::now());
            if self.write(&records)? == Reader::Gone {
                return Ok(());
            }
            if has_ended {
                break true;
            }
        };
        self.finish(is_whole)
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

    fn write(&mut self, records: &[Record]) -> Result<Reader, Error> {
        if records.is_empty() {
            return Ok(Reader::Reads);
        }
        for batch in batches(records, self.columns)? {
            if self.writer.write(&batch)? == Reader::Gone {
                return Ok(Reader::Gone);
            }
        }
        self.progress.inc(records.len() as u64);
        Ok(Reader::Reads)
    }

    /// Writes the end. What was interrupted before its own end is not kept as if it were whole.
    fn finish(self, is_whole: bool) -> Result<(), Error> {
        self.progress.finish_and_clear();
        if !is_whole {
            let text =
                "reading was interrupted before its end: what was written is not all, and no file is kept";
            return Err(Error::new(ErrorKind::WrongState, text));
        }
        self.writer.finish().map(|_| ())
    }
}
