//! Child processes that abort at a crash point, or are killed at a random time.
//!
//! A sweep starts your program once per crash point in [`POINTS`]. A program built with messagekit's feature `crash-points`
//! aborts when it reaches the point. Afterwards the caller starts the program again without a point, and checks with the
//! [`ledger`](crate::ledger) that nothing was lost or applied twice.

use std::io;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// Every crash point, in the order in which a message reaches them.
pub use messagekit::crash::POINTS;

/// The environment variable that holds the crash point.
pub const VARIABLE: &str = "MESSAGEKIT_CRASH_AT";

/// The end of a child process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It aborted at its crash point, if it had one.
    Aborted,
    /// The test killed it.
    Killed,
    /// It exited with this code, or `None` if a signal that the test did not send ended it.
    Exited(Option<i32>),
    /// It ran past the deadline, and the test killed it.
    TimedOut,
}

/// Runs a program that aborts at `point`: `name`, or `name:7` for the seventh time that the point is reached.
///
/// # Errors
/// Returns the error of the operating system when the program cannot be started.
pub fn run_until(point: &str, command: &mut Command, deadline: Duration) -> io::Result<Ended> {
    wait(&mut command.env(VARIABLE, point).spawn()?, deadline)
}

/// Runs a program once for each of [`POINTS`]; `command` builds the command for a point.
///
/// # Errors
/// Returns the error of the operating system when the program cannot be started.
pub fn sweep(
    mut command: impl FnMut(&'static str) -> Command,
    deadline: Duration,
) -> io::Result<Vec<(&'static str, Ended)>> {
    POINTS.into_iter().map(|point| Ok((point, run_until(point, &mut command(point), deadline)?))).collect()
}

/// Waits for a child process, and kills it when it runs past the deadline.
///
/// # Errors
/// Returns the error of the operating system when the exit status cannot be read or the process cannot be killed.
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
    /// The exit code of `abort` on Windows.
    const FAST_FAIL: i32 = 0xC000_0409_u32 as i32;
    if status.code() == Some(FAST_FAIL) { Ended::Aborted } else { Ended::Exited(status.code()) }
}

/// Kills a program repeatedly at random times; the same seed gives the same times.
#[derive(Debug)]
pub struct KillLoop {
    random: fastrand::Rng,
    shortest: Duration,
    longest: Duration,
}

impl KillLoop {
    /// Creates a loop that lets each run of the program last between `shortest` and `longest`.
    ///
    /// # Panics
    /// Panics when `shortest` is longer than `longest`.
    pub fn new(seed: u64, shortest: Duration, longest: Duration) -> Self {
        assert!(shortest <= longest, "{shortest:?} is longer than {longest:?}");
        Self { random: fastrand::Rng::with_seed(seed), shortest, longest }
    }

    /// Starts the program and kills it (SIGKILL on Unix) at a random time, or returns how it ended before that time.
    ///
    /// # Errors
    /// Returns the error of the operating system when the program cannot be started or killed.
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
