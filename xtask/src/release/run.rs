//! A command of a release.

use std::path::Path;
use std::process::Command;

use crate::guard;
use crate::terminal::say;

/// Prints a command, and runs it in a folder.
///
/// # Errors
/// Returns an error with the command if it fails.
pub(super) fn run(command: &mut Command, folder: &Path) -> Result<(), String> {
    command.current_dir(folder);
    let program = command.get_program().to_string_lossy().into_owned();
    say(format_args!("\n== {command:?}"));
    let status = guard::status(command).map_err(|error| format!("cannot start {program}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{program} failed ({status}): {command:?}")) }
}
