//! Readers in Python: this project's wheel, kafkarrow, and a heap over confluent-kafka.

use std::process::Command;

use super::fixture::{BATCH, FIGURE, Shared};
use crate::cells::embedded::judged;
use crate::frame::{Measured, Meter, Outcome};
use crate::resources::folder;

/// Reads the topic with one library. The program measures itself, without its start, and judges what it has read afterwards.
pub(super) async fn read(shared: Shared, library: &'static str) -> Outcome<Measured> {
    let (name, brokers, records) = (shared.name().await?, shared.brokers()?, shared.records);
    let home = folder("peers/replay");
    let python = home.join(".venv/bin/python");
    if !python.exists() {
        return Err("not installed: see benches/peers/replay/README.md".into());
    }
    let meter = Meter::start(shared.settings().parts());
    let mut command = Command::new(python);
    command.arg(home.join("peer.py")).args([library, &brokers, &name]);
    command.args([records.to_string(), BATCH.to_string()]);
    let ran = tokio::task::spawn_blocking(move || judged(&mut command, library, records)).await??;
    Ok(Measured::new(ran.ledger).with(FIGURE, ran.rate).with_all(meter.per_100k(records)))
}
