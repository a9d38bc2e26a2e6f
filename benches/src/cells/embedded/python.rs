//! A Python program with one commit per event, as people write it without this project.

use std::process::Command;

use super::fixture::{database, judge};
use super::{Ran, Run};
use crate::frame::Outcome;
use crate::place::folder;

/// Returns events per second, measured by the program itself without its start.
pub(super) fn append(run: &Run<'_>, journal: &str) -> Outcome<Ran> {
    let events = run.events;
    let output = Command::new("python3")
        .arg(folder("python/append.py"))
        .arg(database(run.folder))
        .args([events.to_string().as_str(), journal])
        .output()
        .map_err(|error| format!("python3 does not start: {error}"))?;
    if !output.status.success() {
        return Err(format!("append.py: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
    }
    let result: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let seconds =
        result["seconds"].as_f64().filter(|seconds| *seconds > 0.0).ok_or("append.py printed no seconds")?;
    let ledger = judge(run, "events", "event_id")?;
    Ok(Ran { rate: events as f64 / seconds, ledger, group: None })
}
