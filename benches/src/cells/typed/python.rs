//! Programs in Python: this project's wheel, queue libraries, and a hand-written table.

use std::path::PathBuf;
use std::process::Command;

use messagekit_sqlite::Synchronous;

use super::fixture::FIGURE;
use crate::frame::{Ledger, Measured, Meter, Outcome};
use crate::resources::folder;
use crate::settings::Settings;

/// Runs one work with one library. The program measures itself, without its start, and counts its records afterwards.
pub(super) fn measure(
    settings: &Settings,
    synchronous: Synchronous,
    records: usize,
    library: &'static str,
    work: &'static str,
) -> Outcome<Measured> {
    let file = tempfile::Builder::new().prefix("bench-").tempdir_in(&settings.folder)?;
    let mode = if synchronous == Synchronous::Full { "FULL" } else { "NORMAL" };
    let meter = Meter::start(Default::default());
    let mut command = Command::new(python(library)?);
    command.arg(folder("peers/topics/peer.py")).args([library, work, mode]);
    let output = command.arg(file.path().join("bench.db")).arg(records.to_string()).output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{library}, {work}: {}", text.trim()).into());
    }
    let result: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let count = |field: &str| result[field].as_u64().ok_or_else(|| format!("{library} printed no {field}"));
    let seconds =
        result["seconds"].as_f64().filter(|seconds| *seconds > 0.0).ok_or("no seconds were printed")?;
    let ledger =
        Ledger { lost: count("lost")?, doubled: count("doubled")?, out_of_order: count("out_of_order")? };
    Ok(Measured::new(ledger).with(FIGURE, records as f64 / seconds).with_all(meter.per_100k(records)))
}

/// Returns the interpreter of the peers, or the system's for the table that needs no library.
fn python(library: &str) -> Outcome<PathBuf> {
    let own = folder("peers/topics").join(".venv/bin/python");
    if own.exists() {
        return Ok(own);
    }
    if library == "shape" {
        return Ok("python3".into());
    }
    Err("not installed: see benches/peers/topics/README.md".into())
}
