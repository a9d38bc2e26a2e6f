//! One run, from the command line to the verdict.
#![allow(clippy::print_stderr, reason = "what is wrong is said on standard error")]

use std::fs;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use messagekit::{Error, ErrorKind, Shutdown, chain};
use messagekit_sqlite::SqliteStore;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tracing_subscriber::filter::LevelFilter;

use crate::input::{self, Input};
use crate::ledger::{LEDGER, Ledger};
use crate::options::{Options, Part};
use crate::order_service::DATABASE;
use crate::plan::Plan;
use crate::progress::Bars;
use crate::report::{Calls, Report};
use crate::schedule::{KILLS, Schedule};
use crate::supervisor::Billing;
use crate::{billing_service, invoices, order_service, supervisor, verdict};

/// The log of the billing service in the folder of a run.
const LOG: &str = "billing.log";
/// How many invalid lines are printed individually.
const BAD_LINES_SAID: usize = 20;

/// Runs the demo, prints its report and returns the exit code.
///
/// The billing service is this program, started again with the words of `path` before its own arguments. `path` is
/// empty for a program that contains only the demo, and `["demo"]` for one that offers it under that name. That
/// program must also pass such a command line to this function.
///
/// # Panics
/// Panics outside a tokio runtime with time and signals.
pub async fn run(options: Options, path: &[&str]) -> ExitCode {
    log_to_standard_error();
    if let Some(Part::BillingService(billing)) = options.part {
        return match billing_service::run(billing).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed("billing service", &error),
        };
    }
    let shutdown = match Shutdown::on_signal() {
        Ok(shutdown) => shutdown,
        Err(error) => return failed("demo", &error),
    };
    match demo(&options, path, &shutdown).await {
        Ok(report) if options.json => {
            report.print_json();
            exit_code(&report)
        }
        Ok(report) => {
            report.print(&if path.is_empty() { Calls::FROM_SOURCE } else { Calls::INSTALLED });
            exit_code(&report)
        }
        Err(_) if shutdown.is_requested() => {
            match &options.keep {
                Some(folder) => eprintln!("demo: interrupted; what was written is in {}", folder.display()),
                None => eprintln!("demo: interrupted; nothing is left behind"),
            }
            ExitCode::from(130)
        }
        Err(error) => failed("demo", &error),
    }
}

/// Logs warnings and errors, unless `RUST_LOG` sets another level; does not replace a log that the program has set
/// up.
fn log_to_standard_error() {
    let level =
        std::env::var("RUST_LOG").ok().and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::WARN);
    let log = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr);
    let _ = log.with_ansi(std::io::stderr().is_terminal()).try_init();
}

fn exit_code(report: &Report) -> ExitCode {
    if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn failed(what: &str, error: &Error) -> ExitCode {
    eprintln!("{what}: {}", chain(error));
    ExitCode::FAILURE
}

async fn demo(options: &Options, path: &[&str], shutdown: &Shutdown) -> Result<Report, Error> {
    let Input { events, bad } = match &options.input {
        Some(file) => input::read(file)?,
        None => Input { events: invoices::of_the_year(options.orders)?, bad: Vec::new() },
    };
    for line in bad.iter().take(BAD_LINES_SAID) {
        eprintln!("demo: line {} of the input is left out: {}", line.line, line.reason);
    }
    if bad.len() > BAD_LINES_SAID {
        eprintln!("demo: {} more lines are left out", bad.len() - BAD_LINES_SAID);
    }
    let folder = Folder::make(options.keep.as_deref())?;
    let plan = Plan::new(events, options.seed);
    let slowed = supervisor::is_slowed(plan.records());
    let elapsed = work(plan, options.seed, folder.path(), path, shutdown).await?;
    let verdict = verdict(folder.path()).await?;
    let kept = options.keep.clone();
    Ok(Report { verdict, seed: options.seed, elapsed, bad_lines: bad, slowed, kept })
}

/// Runs both services until all events are handled, and returns the time that took.
async fn work(
    plan: Plan,
    seed: u64,
    folder: &Path,
    path: &[&str],
    shutdown: &Shutdown,
) -> Result<Duration, Error> {
    let database = folder.join(DATABASE);
    let ledger = Arc::new(Ledger::create(&folder.join(LEDGER))?);
    let store = SqliteStore::open(&database).await?;
    order_service::create_table(&store).await?;
    billing_service::create_tables(&store).await?;
    let records = plan.records();
    let billing = Billing::new(path, &database, &folder.join(LOG), records)?;
    let schedule = Schedule::new(records, seed);
    let bars = Bars::new(plan.committed(), records, KILLS);
    let (mut orders, stop) = (JoinSet::new(), Shutdown::new());
    let started = Instant::now();
    orders.spawn({
        let (store, ledger, stop) = (store.clone(), Arc::clone(&ledger), stop.clone());
        async move { order_service::run(&store, plan, &ledger, &stop).await }
    });
    let worked = supervisor::run(&billing, &store, &ledger, &bars, schedule, &mut orders, shutdown).await;
    let elapsed = started.elapsed();
    bars.clear();
    // After a failure the order service still writes to files that are about to be deleted.
    stop.request();
    while orders.join_next().await.is_some() {}
    let closed = store.close().await;
    worked?;
    closed?;
    Ok(elapsed)
}

/// The folder with the files of a run.
enum Folder {
    Kept(PathBuf),
    /// Deleted at the end in every case.
    Temporary(TempDir),
}

impl Folder {
    /// Creates a folder, or checks that the folder for kept files is unused.
    fn make(keep: Option<&Path>) -> Result<Self, Error> {
        let Some(folder) = keep else {
            let made = tempfile::Builder::new().prefix("messagekit-demo-").tempdir();
            return made.map(Self::Temporary).map_err(|error| {
                Error::new(ErrorKind::Unavailable, "no temporary folder can be made").caused_by(error)
            });
        };
        if let Some(found) = [DATABASE, LEDGER, LOG].into_iter().find(|file| folder.join(file).exists()) {
            let text = "folder holds the files of an earlier run: remove them or name another one";
            return Err(Error::new(ErrorKind::WrongState, text).with("path", folder.join(found).display()));
        }
        fs::create_dir_all(folder).map_err(|error| {
            Error::new(ErrorKind::Unavailable, "folder cannot be made: name one that can be written")
                .with("path", folder.display())
                .caused_by(error)
        })?;
        Ok(Self::Kept(folder.to_owned()))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(folder) => folder,
            Self::Temporary(folder) => folder.path(),
        }
    }
}
