//! Child processes that end at a named place, or at any time.
//!
//! A sweep starts a program of yours once per place in [`POINTS`]; built with messagekit's feature `crash-points`, it
//! aborts when it gets there. Afterwards the caller starts it again without a place and asks the
//! [`ledger`](crate::ledger) whether anything was lost or doubled.

use std::io;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// Every place where a process can be told to end, in the order in which a message meets them.
pub use messagekit::crash::POINTS;

/// The environment variable that names the place.
pub const VARIABLE: &str = "MESSAGEKIT_CRASH_AT";

/// How a child process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It aborted: at its place, if it was told one.
    Aborted,
    /// It was killed by us.
    Killed,
    /// It ended with this code; `None` when a signal of somebody else ended it.
    Exited(Option<i32>),
    /// It went on past the deadline and was killed then.
    TimedOut,
}

/// Runs a program that is told to end at `point`: `name`, or `name:7` for the seventh time.
///
/// # Errors
/// When the program cannot be started.
pub fn run_until(point: &str, command: &mut Command, deadline: Duration) -> io::Result<Ended> {
    wait(&mut command.env(VARIABLE, point).spawn()?, deadline)
}

/// Runs a program once for each of [`POINTS`]; `command` makes it for a place.
///
/// # Errors
/// When the program cannot be started.
pub fn sweep(
    mut command: impl FnMut(&'static str) -> Command,
    deadline: Duration,
) -> io::Result<Vec<(&'static str, Ended)>> {
    POINTS.into_iter().map(|point| Ok((point, run_until(point, &mut command(point), deadline)?))).collect()
}

/// Waits for a child process, and kills it when it goes on past the deadline.
///
/// # Errors
/// When the system does not tell how it ended.
pub fn wait(child: &mut Child, deadline: Duration) -> io::Result<Ended> {
    match wait_until(child, Instant::now() + deadline)? {
        Some(status) => Ok(ended(status)),
        None => {
            child.kill()?;
            child.wait()?;
            Ok(Ended::TimedOut)
        }
    }
}

fn wait_until(child: &mut Child, end: Instant) -> io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        std::thread::sleep(left.min(Duration::from_millis(2)));
    }
}

#[cfg(unix)]
fn ended(status: ExitStatus) -> Ended {
    use std::os::unix::process::ExitStatusExt;

    /// The signal of `abort` on every Unix.
    const SIGABRT: i32 = 6;
    if status.signal() == Some(SIGABRT) { Ended::Aborted } else { Ended::Exited(status.code()) }
}

#[cfg(not(unix))]
fn ended(status: ExitStatus) -> Ended {
    /// What `abort` ends with on Windows.
    const FAST_FAIL: i32 = 0xC000_0409_u32 as i32;
    if status.code() == Some(FAST_FAIL) { Ended::Aborted } else { Ended::Exited(status.code()) }
}

/// Kills a program again and again at random times; the same seed gives the same times.
#[derive(Debug)]
pub struct KillLoop {
    random: fastrand::Rng,
    shortest: Duration,
    longest: Duration,
}

impl KillLoop {
    /// Makes one that lets each life of the program last between `shortest` and `longest`.
    ///
    /// # Panics
    /// When `shortest` is longer than `longest`.
    pub fn new(seed: u64, shortest: Duration, longest: Duration) -> Self {
        assert!(shortest <= longest, "{shortest:?} is longer than {longest:?}");
        Self { random: fastrand::Rng::with_seed(seed), shortest, longest }
    }

    /// Starts the program and kills it (SIGKILL on Unix) at a random time; says so when it ended by itself before.
    ///
    /// # Errors
    /// When the program cannot be started or killed.
    pub fn one_life(&mut self, command: &mut Command) -> io::Result<Ended> {
        let life = self.shortest + (self.longest - self.shortest).mul_f64(self.random.f64());
        let mut child = command.spawn()?;
        match wait_until(&mut child, Instant::now() + life)? {
            Some(status) => Ok(ended(status)),
            None => {
                child.kill()?;
                child.wait()?;
                Ok(Ended::Killed)
            }
        }
    }
}
