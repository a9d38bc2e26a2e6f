//! The output of a task. A closed stdout, as with `| head -1`, does not end the task: it has services to stop.

use std::fmt;
use std::io::{self, Write};

/// Writes a line to stdout.
pub(crate) fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// Writes a line to stderr.
pub(crate) fn note(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
