//! Output of one text per line, which notices that the reader has gone.

use std::io::{self, BufWriter, Write};

use messagekit::{Error, ErrorKind};

/// What becomes of a record that cannot be printed.
pub(super) const FAILED: &str = "; it is a failed message now: messagekit dlq list";

/// Whether there is still a reader of what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    Reads,
    Gone,
}

/// A file or standard output.
pub(super) struct Lines(BufWriter<Box<dyn Write>>);

impl Lines {
    pub(super) fn to(target: impl Write + 'static) -> Self {
        Self(BufWriter::new(Box::new(target)))
    }

    pub(super) fn to_stdout() -> Self {
        Self::to(io::stdout())
    }

    /// Writes a line, which may wait for the next flush.
    pub(super) fn write(&mut self, line: impl std::fmt::Display) -> Result<Reader, Error> {
        outcome(writeln!(self.0, "{line}"))
    }

    /// Hands everything to the reader.
    pub(super) fn flush(&mut self) -> Result<Reader, Error> {
        outcome(self.0.flush())
    }
}

fn outcome(written: io::Result<()>) -> Result<Reader, Error> {
    match written {
        Ok(()) => Ok(Reader::Reads),
        // As in `… | head -1`: no failure, but what follows is not read.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => {
            Err(Error::new(ErrorKind::Unavailable, "the records cannot be written").caused_by(error))
        }
    }
}
