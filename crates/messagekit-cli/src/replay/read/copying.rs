//! From an ordered reader to a writer.

use indicatif::ProgressBar;
use messagekit::log::Record;
use messagekit::{Error, ErrorKind, Shutdown};
use messagekit_arrow::{BatchWriter, Columns, Reader, batches};

use crate::progress;
use crate::replay::ordered::Polling;

/// Writes what a reader returns, until its end.
pub(super) struct Copying {
    polling: Polling,
    writer: BatchWriter,
    columns: Columns,
    progress: ProgressBar,
}

impl Copying {
    pub(super) fn new(polling: Polling, writer: BatchWriter, columns: Columns, draws: bool) -> Self {
        let progress = if draws { progress::rate() } else { ProgressBar::hidden() };
        Self { polling, writer, columns, progress }
    }

    pub(super) async fn run(mut self, interrupted: &Shutdown) -> Result<(), Error> {
        let is_whole = loop {
            let Some(mut records) = self.polling.next(interrupted).await? else {
                break self.polling.ends_when_interrupted();
            };
            let has_ended = self.polling.cut(&mut records);
            if self.write(&records)? == Reader::Gone {
                return Ok(());
            }
            if has_ended {
                break true;
            }
        };
        self.finish(is_whole)
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
