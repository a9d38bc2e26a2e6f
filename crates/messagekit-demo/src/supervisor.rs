//! Starts the billing service, kills it while it has work, and restarts it.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use messagekit::{Error, ErrorKind, Shutdown};
use messagekit_sqlite::SqliteStore;
use tokio::task::JoinSet;

use crate::ledger::{Entry, Kill, Ledger};
use crate::progress::{Bars, Look, look};
use crate::schedule::Schedule;

/// The interval between reads of the tables.
const GLANCE: Duration = Duration::from_millis(5);
/// How long a run may stall: longer than the lease of a failed message whose process crashed.
const STALLED: Duration = Duration::from_secs(60);
/// How long the last service may take to stop.
const STOPPING: Duration = Duration::from_secs(40);
/// From this number of records on, a kill interrupts work without slowing the service down.
const ENOUGH: u64 = 6_000;
/// The least duration of a slowed service.
const SLOWED: Duration = Duration::from_millis(1_500);
/// The number of batches of a slowed service.
const SLOWED_BATCHES: u64 = 60;

/// Returns whether the service is slowed down, because a kill would otherwise come too late.
pub(crate) fn is_slowed(records: u64) -> bool {
    records < ENOUGH
}

/// How to start the billing service.
#[derive(Debug)]
pub(crate) struct Billing {
    /// This program.
    program: PathBuf,
    /// All arguments.
    arguments: Vec<String>,
    database: PathBuf,
    log: PathBuf,
    /// The time between two batches of a slowed service.
    pace: Option<Duration>,
}

impl Billing {
    /// Prepares the start: this program again, with `prefix` before the arguments that make it the service.
    pub(crate) fn new(prefix: &[&str], database: &Path, log: &Path, records: u64) -> Result<Self, Error> {
        let program = std::env::current_exe().map_err(|error| {
            Error::new(ErrorKind::Unavailable, "this program cannot find itself").caused_by(error)
        })?;
        let mut arguments: Vec<String> = prefix.iter().map(|word| (*word).to_owned()).collect();
        arguments.push("billing-service".to_owned());
        let batch = (records / SLOWED_BATCHES).max(1);
        let batches = u32::try_from(records.div_ceil(batch).max(1)).unwrap_or(u32::MAX);
        let pace = is_slowed(records).then(|| SLOWED / batches);
        if pace.is_some() {
            arguments.extend(["--paced".to_owned(), "--batch".to_owned(), batch.to_string()]);
        }
        Ok(Self { program, arguments, database: database.to_owned(), log: log.to_owned(), pace })
    }

    fn start(&self) -> Result<Process, Error> {
        let spawn = || -> std::io::Result<Child> {
            let log: File = OpenOptions::new().append(true).create(true).open(&self.log)?;
            let mut command = Command::new(&self.program);
            command.args(&self.arguments).arg("--database").arg(&self.database);
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
            // Ctrl-C must reach only this process, which then ends the service.
            #[cfg(unix)]
            std::os::unix::process::CommandExt::process_group(&mut command, 0);
            command.spawn()
        };
        let child = spawn().map_err(|error| {
            Error::new(ErrorKind::Unavailable, "billing service cannot be started")
                .with("program", self.program.display())
                .caused_by(error)
        })?;
        Ok(Process(child))
    }

    /// Returns the error for a service that ended without a request.
    fn ended_by_itself(&self, status: ExitStatus) -> Error {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let said = log.lines().next_back().unwrap_or("it said nothing").to_owned();
        Error::new(ErrorKind::Other, format!("billing service ended by itself ({status}): {said}"))
    }
}

/// A running service; dropping it kills it.
#[derive(Debug)]
struct Process(Child);

impl Process {
    /// Sends SIGKILL: no destructor runs, nothing is flushed, no transaction ends in order. Returns the exit status:
    /// of the kill, or of an exit a moment earlier.
    fn kill(&mut self) -> std::io::Result<ExitStatus> {
        self.0.kill()?;
        self.0.wait()
    }

    /// Lets a slowed service take a batch.
    fn beat(&mut self) {
        // The next check detects a service that has ended.
        let _ = self.0.stdin.as_mut().map(|input| input.write_all(b"."));
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().ok().flatten()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A service that has already ended needs no kill.
        let _ = self.kill();
    }
}

/// Keeps the service running and kills it by the schedule, until it has handled everything that `orders` writes.
pub(crate) async fn run(
    billing: &Billing,
    store: &SqliteStore,
    ledger: &Ledger,
    bars: &Bars,
    mut schedule: Schedule,
    orders: &mut JoinSet<Result<(), Error>>,
    shutdown: &Shutdown,
) -> Result<(), Error> {
    let (mut kills, mut starts) = (0, 1);
    let mut progress = Progress { last: Look::default(), moved: Instant::now() };
    let mut beaten = Instant::now();
    let mut process = billing.start()?;
    loop {
        check_running(billing, &mut process, orders, shutdown)?;
        let now = look(store).await?;
        bars.show(&now, kills);
        if now.starts == starts && schedule.is_due(&now) {
            let unfinished = kill(billing, &mut process, store, &now).await?;
            ledger.note(&Entry::Killed(Kill { unfinished }))?;
            if unfinished > 0 {
                schedule.done();
                kills += 1;
                bars.killed(unfinished);
            }
            process = billing.start()?;
            starts += 1;
        } else if orders.is_empty() && now.records == now.handled && now.open_failed_messages == 0 {
            bars.show(&now, kills);
            return stop(process, billing).await;
        }
        // Paced by the reads of the tables, so that the service cannot finish before its kill.
        if let Some(pace) = billing.pace
            && beaten.elapsed() >= pace
        {
            process.beat();
            beaten = Instant::now();
        }
        progress.check(now)?;
        tokio::time::sleep(GLANCE).await;
    }
}

/// Fails after an interrupt, and when a service has ended by itself.
fn check_running(
    billing: &Billing,
    process: &mut Process,
    orders: &mut JoinSet<Result<(), Error>>,
    shutdown: &Shutdown,
) -> Result<(), Error> {
    if shutdown.is_requested() {
        return Err(Error::new(ErrorKind::Closed, "interrupted"));
    }
    if let Some(ended) = orders.try_join_next() {
        ended.map_err(|error| Error::new(ErrorKind::Other, "order service").caused_by(error))??;
    }
    process.ended().map_or(Ok(()), |status| Err(billing.ended_by_itself(status)))
}

/// Kills the service, and returns how many records it left unfinished: those that were written before the kill and are
/// not handled after it.
async fn kill(
    billing: &Billing,
    process: &mut Process,
    store: &SqliteStore,
    before: &Look,
) -> Result<i64, Error> {
    let ended = process
        .kill()
        .map_err(|error| Error::new(ErrorKind::Other, "billing service cannot be killed").caused_by(error))?;
    if ended.code().is_some() {
        return Err(billing.ended_by_itself(ended));
    }
    Ok(before.records - look(store).await?.handled)
}

/// The last change of the tables.
struct Progress {
    last: Look,
    moved: Instant,
}

impl Progress {
    /// Fails when nothing has changed for a minute.
    fn check(&mut self, now: Look) -> Result<(), Error> {
        if now != self.last {
            *self = Self { last: now, moved: Instant::now() };
        } else if self.moved.elapsed() > STALLED {
            let text = "nothing has moved for a minute: run again with --keep and look";
            return Err(Error::new(ErrorKind::Other, text)
                .with("handled", now.handled)
                .with("records", now.records)
                .with("open_failed_messages", now.open_failed_messages));
        }
        Ok(())
    }
}

/// Requests the service to stop by closing its input, and waits for it.
async fn stop(mut process: Process, billing: &Billing) -> Result<(), Error> {
    drop(process.0.stdin.take());
    let asked = Instant::now();
    while asked.elapsed() < STOPPING {
        match process.ended() {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(billing.ended_by_itself(status)),
            None => tokio::time::sleep(GLANCE).await,
        }
    }
    Err(Error::new(ErrorKind::Other, "billing service did not stop when it was asked to"))
}
