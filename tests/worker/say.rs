//! Output for the ledger.

use std::io::Write;

/// Prints a line with one unbuffered write: a line before a kill is in the pipe, and no line is incomplete.
pub(crate) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // A closed stdout means the end of the test, which closes stdin too.
    out.write_all(format!("{line}\n").as_bytes()).ok();
    out.flush().ok();
}
