//! cargo run --release -p messagekit-benches --bin embedded
//!
//! The embedded engine beside what the same statements cost without it. Machines are noisy, so everything is run in turn,
//! several rounds, and only ratios within one run mean something. Every cell counts its rows afterwards: a run that lost or
//! doubled one has failed, whatever its speed.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a measurement prints")]

mod append;
mod bare;
mod consume;
mod fixture;
mod python;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use report::{Cell, Report};

/// The embedded engine beside what the same statements cost without it.
#[derive(Debug, Parser)]
struct Options {
    /// Rounds; the medians are compared
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=50))]
    rounds: u32,
    /// Events per cell and round; cells with one commit per event take a quarter
    #[arg(long, default_value_t = 40_000, value_parser = clap::value_parser!(u32).range(1_000..=1_000_000))]
    events: u32,
    /// Where the databases are made; on the disk that is to be measured
    #[arg(long, default_value = ".")]
    folder: PathBuf,
    /// One JSON object instead of tables
    #[arg(long)]
    json: bool,
}

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> ExitCode {
    match measure(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("embedded: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(options: Options) -> Outcome<()> {
    let mut report = Report::default();
    let events = options.events as usize;
    let few = events / 4;
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        let folder = || tempfile::Builder::new().prefix("bench-").tempdir_in(&options.folder);

        let engine = append::engine(folder()?.path(), events, 64).await?;
        let group = engine.group.round().max(1.0) as usize;
        report.add(Cell::AppendEngine64, engine.rate);
        report.add(Cell::AppendGroup, engine.group);
        report.add(Cell::AppendBare, bare::append(folder()?.path(), events, group).await?);
        report.add(Cell::AppendPythonWal, python::append(folder()?.path(), few, "wal")?);
        report.add(Cell::AppendPythonDelete, python::append(folder()?.path(), few / 4, "delete")?);
        report.add(Cell::AppendEngine1, append::engine(folder()?.path(), few, 1).await?.rate);
        report.add(Cell::AppendBare1, bare::append(folder()?.path(), few, 1).await?);

        report.add(Cell::ConsumeEngine, consume::engine(folder()?.path(), events, false).await?);
        report.add(Cell::ConsumeBare, bare::consume(folder()?.path(), events, 200).await?);
        report.add(Cell::ConsumeOneByOne, consume::engine(folder()?.path(), few, true).await?);
    }
    if options.json {
        println!("{}", report.json());
    } else {
        println!("{report}");
    }
    Ok(())
}
