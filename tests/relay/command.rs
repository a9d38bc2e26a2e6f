//! The other commands of `messagekit`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// Returns the path of the program that was built together with these tests.
pub(crate) fn program() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_worker")).with_file_name("messagekit");
    assert!(path.exists(), "{} is not built: run `cargo build --workspace`", path.display());
    path
}

/// Runs a command on a database, requires success, and returns its output.
pub(crate) fn messagekit(arguments: &[&str], database: &str) -> String {
    let mut command = Command::new(program());
    command.args(arguments).args(["--database", database]).stdin(Stdio::null());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "messagekit {}: {said}", arguments.join(" "));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command that prints JSON.
pub(crate) fn asked(arguments: &[&str], database: &str) -> Value {
    serde_json::from_str(&messagekit(arguments, database)).unwrap()
}
