//! A Python program with one commit per event, as people write it without this project.

use std::path::Path;
use std::process::Command;

use messagekit_benches::Outcome;

use crate::fixture::database;

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python/append.py");

/// Returns events per second, measured by the program itself without its start.
pub(crate) fn append(folder: &Path, events: usize, journal: &str) -> Outcome<f64> {
    let output = Command::new("python3")
        .arg(PROGRAM)
        .arg(database(folder))
        .args([events.to_string().as_str(), journal])
        .output()
        .map_err(|error| format!("python3 does not start: {error}"))?;
    if !output.status.success() {
        return Err(format!("append.py: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
    }
    let result: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let seconds =
        result["seconds"].as_f64().filter(|seconds| *seconds > 0.0).ok_or("append.py printed no seconds")?;
    Ok(events as f64 / seconds)
}
