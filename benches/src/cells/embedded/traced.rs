//! O1 on one SQLite file, with the commit mode NORMAL.

use std::path::Path;

use messagekit::Message;
use messagekit_sqlite::Synchronous;

use super::fixture::{judge_effects, open};
use super::run::Run;
use crate::frame::{Ledger, Outcome};

fn run(folder: &Path, events: usize) -> Run<'_> {
    Run { folder, synchronous: Synchronous::Normal, events }
}

pub(crate) async fn fill(folder: &Path, messages: &[Message]) -> Outcome<()> {
    Ok(super::consume::fill_with(&run(folder, messages.len()), messages).await?.close().await?)
}

pub(crate) async fn consume(folder: &Path, events: usize) -> Outcome<f64> {
    super::consume::consume(open(&run(folder, events)).await?, events, false).await
}

pub(crate) fn judge(folder: &Path, events: usize) -> Outcome<Ledger> {
    judge_effects(&run(folder, events))
}
