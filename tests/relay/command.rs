//! The other commands of `messagekit`.

use messagekit_tests::command;
use serde_json::Value;

/// Runs a command on a database, requires success, and returns its output.
pub(crate) fn messagekit(arguments: &[&str], database: &str) -> String {
    let output = command("messagekit").args(arguments).args(["--database", database]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "messagekit {}: {said}", arguments.join(" "));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command that prints JSON.
pub(crate) fn asked(arguments: &[&str], database: &str) -> Value {
    serde_json::from_str(&messagekit(arguments, database)).unwrap()
}
