//! cargo run --release -p messagekit-benches --bin embedded
//!
//! The embedded engine beside what the same statements cost without it.

mod append;
mod bare;
mod cells;
mod consume;
mod fixture;
mod python;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use messagekit_benches::{Outcome, Report, Rounds, exit_code};

use cells::{Measured, RATIOS};

/// The embedded engine beside what the same statements cost without it.
#[derive(Debug, Parser)]
struct Options {
    #[command(flatten)]
    rounds: Rounds,
    /// Events per cell and round; cells with one commit per event take a quarter
    #[arg(long, default_value_t = 40_000, value_parser = clap::value_parser!(u32).range(1_000..=1_000_000))]
    events: u32,
    /// Where the databases are made; on the disk that is to be measured
    #[arg(long, default_value = ".")]
    folder: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    exit_code("embedded", measure(Options::parse()).await)
}

async fn measure(options: Options) -> Outcome<()> {
    let mut report = Report::new("synchronous=FULL", &RATIOS);
    let events = options.events as usize;
    let few = events / 4;
    for _ in options.rounds.run() {
        let folder = || tempfile::Builder::new().prefix("bench-").tempdir_in(&options.folder);

        let engine = append::engine(folder()?.path(), events, 64).await?;
        let group = engine.group.round().max(1.0) as usize;
        report.add(Measured::AppendEngine64, engine.rate);
        report.add(Measured::AppendGroup, engine.group);
        report.add(Measured::AppendBare, bare::append(folder()?.path(), events, group).await?);
        report.add(Measured::AppendPythonWal, python::append(folder()?.path(), few, "wal")?);
        report.add(Measured::AppendPythonDelete, python::append(folder()?.path(), few / 4, "delete")?);
        report.add(Measured::AppendEngine1, append::engine(folder()?.path(), few, 1).await?.rate);
        report.add(Measured::AppendBare1, bare::append(folder()?.path(), few, 1).await?);

        report.add(Measured::ConsumeEngine, consume::engine(folder()?.path(), events, false).await?);
        report.add(Measured::ConsumeBare, bare::consume(folder()?.path(), events, 200).await?);
        report.add(Measured::ConsumeOneByOne, consume::engine(folder()?.path(), few, true).await?);
    }
    options.rounds.print(&report);
    Ok(())
}
