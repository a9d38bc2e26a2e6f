//! Programs in Python: this project's wheel, queue libraries, and a hand-written table.

use std::path::PathBuf;
use std::process::Command;

use messagekit_sqlite::Synchronous;

use super::super::embedded::judged;
use super::fixture::UNITS;
use crate::frame::{Measured, Meter, Outcome};
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
    command.arg(file.path().join("bench.db")).arg(records.to_string());
    let ran = judged(&mut command, library, records)?;
    Ok(Measured::new(ran.ledger).with(UNITS.rate, ran.rate).with_all(meter.per_100k(records)))
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
