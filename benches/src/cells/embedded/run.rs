//! A run over one file, and what came of it.

use std::path::Path;
use std::sync::Arc;

use messagekit::adapter::BoxFuture;
use messagekit_sqlite::Synchronous;

use crate::frame::{Ledger, Measured, Meter, Outcome};
use crate::settings::Settings;

/// The path of the file, its commit mode, and the number of events.
#[derive(Clone, Copy)]
pub(in crate::cells) struct Run<'a> {
    pub(in crate::cells) folder: &'a Path,
    pub(in crate::cells) synchronous: Synchronous,
    pub(in crate::cells) events: usize,
}

/// The result of a run over one file.
pub(in crate::cells) struct Ran {
    pub(in crate::cells) rate: f64,
    pub(in crate::cells) ledger: Ledger,
    /// Events per commit, where it is counted.
    pub(in crate::cells) group: Option<f64>,
}

/// The work of a contender over one file.
pub(in crate::cells) type Work = for<'a> fn(Run<'a>) -> BoxFuture<'a, Outcome<Ran>>;

/// The names of the figures of a cell.
#[derive(Clone, Copy)]
pub(in crate::cells) struct Units {
    pub(in crate::cells) rate: &'static str,
    pub(in crate::cells) group: &'static str,
}

/// Measures a work over a file of its own.
pub(in crate::cells) async fn measure(
    settings: Arc<Settings>,
    units: Units,
    synchronous: Synchronous,
    events: usize,
    work: Work,
) -> Outcome<Measured> {
    let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(&settings.folder)?;
    let meter = Meter::start(Default::default());
    let ran = work(Run { folder: folder.path(), synchronous, events }).await?;
    let measured = Measured::new(ran.ledger).with(units.rate, ran.rate).with_all(meter.per_100k(events));
    Ok(match ran.group {
        Some(group) => measured.with(units.group, group),
        None => measured,
    })
}
