//! The demo from a user's view: the built program, and the verdict over manipulated files.

mod bad_input;
mod broken;
mod runs;

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// Runs the program.
fn demo(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_messagekit-demo"))
        .args(arguments)
        .output()
        .expect("the program was built")
}

/// Returns the JSON output of a run, and its exit code.
fn json(arguments: &[&str]) -> (Value, Option<i32>) {
    let output = demo(&[arguments, &["--json"]].concat());
    let text = String::from_utf8(output.stdout).expect("JSON is text");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let object = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text:?}, and {said}"));
    (object, output.status.code())
}

/// Returns the single line of a failed run on standard error, and its exit code; standard output must be empty.
fn refused(arguments: &[&str]) -> (String, Option<i32>) {
    let output = demo(arguments);
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    let said = String::from_utf8(output.stderr).expect("errors are text");
    assert_eq!(said.lines().count(), 1, "{said}");
    (said, output.status.code())
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are text")
}
