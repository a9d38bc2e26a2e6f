//! What a task prints. A reader who has left, as `| head -1` does, is no reason to end it: it has services to stop.

use std::fmt;
use std::io::{self, Write};

/// Writes a line to the standard output.
pub(crate) fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// Writes a line to the standard error.
pub(crate) fn note(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
