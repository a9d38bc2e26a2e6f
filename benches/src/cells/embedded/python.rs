//! Python programs with one commit per event: hand-written ones, and queue libraries.

use std::process::Command;

use super::fixture::{database, judge};
use super::run::{Ran, Run};
use crate::frame::{Ledger, Outcome};
use crate::resources::folder;

/// Returns events per second. The program measures them itself, without its start.
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

/// Measures a queue library of PyPI, which counts its own events afterwards.
pub(super) fn queue(run: &Run<'_>, name: &str) -> Outcome<Ran> {
    let place = folder("peers/queues");
    let python = place.join(".venv/bin/python");
    if !python.exists() {
        return Err("not installed: see benches/peers/queues/README.md".into());
    }
    let mut command = Command::new(python);
    command.arg(place.join("peer.py")).arg(name).arg(run.folder.join("queue")).arg(run.events.to_string());
    judged(&mut command, name, run.events)
}

/// Runs a program that measures itself, without its start, and counts its events afterwards.
pub(in crate::cells) fn judged(command: &mut Command, name: &str, events: usize) -> Outcome<Ran> {
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
    }
    let result: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let count = |field: &str| result[field].as_u64().ok_or_else(|| format!("{name} printed no {field}"));
    let seconds =
        result["seconds"].as_f64().filter(|seconds| *seconds > 0.0).ok_or("no seconds were printed")?;
    let ledger =
        Ledger { lost: count("lost")?, doubled: count("doubled")?, out_of_order: count("out_of_order")? };
    Ok(Ran { rate: events as f64 / seconds, ledger, group: None })
}
