//! Where a writer writes.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether what is written is still read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Reader {
    /// It is.
    Reads,
    /// The other end of a pipe is closed, as in `… | head -1`: no failure, but further rows would be lost.
    Gone,
}

/// A buffered output, which notes when nothing reads it any more.
pub(crate) struct Target {
    output: BufWriter<Box<dyn Write + Send>>,
    is_gone: Arc<AtomicBool>,
}

impl Target {
    /// Returns the target, and what it notes.
    pub(crate) fn to(output: impl Write + Send + 'static) -> (Self, Arc<AtomicBool>) {
        let is_gone = Arc::new(AtomicBool::new(false));
        let output = BufWriter::with_capacity(1 << 16, Box::new(output) as Box<dyn Write + Send>);
        (Self { output, is_gone: is_gone.clone() }, is_gone)
    }

    fn noted<T>(&self, done: io::Result<T>) -> io::Result<T> {
        if done.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
            self.is_gone.store(true, Ordering::Relaxed);
        }
        done
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.output.write(bytes);
        self.noted(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.output.flush();
        self.noted(flushed)
    }
}
