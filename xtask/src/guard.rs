//! A task that stops what it has started, whatever ends it.
//!
//! The program that a user starts runs the task in a second process of itself, the worker, which holds the reading end of a pipe.
//! When the user's program is ended by a signal or dies, the pipe closes: the worker ends the commands that it runs, and then does
//! what a task does after a failure. A SIGINT, SIGTERM or SIGHUP is answered when that is done; a second one is answered at once.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::{emulate_default_handler, signal_name};

use crate::stack::Group;
use crate::terminal::note;

/// Tells a process that it is the worker.
const WORKER: &str = "MESSAGEKIT_XTASK_WORKER";

/// How long a command may take to end after SIGTERM. A task that it runs may have services to stop.
const PATIENCE: Duration = Duration::from_secs(90);

/// What the worker does at the moment.
static WORK: Mutex<Work> = Mutex::new(Work { ended: false, groups: Vec::new() });

struct Work {
    /// The other side of the pipe is gone: no further command is started.
    ended: bool,
    groups: Vec<Group>,
}

/// Runs a task in a worker, and returns its exit code.
pub(crate) fn run(task: impl FnOnce() -> Result<ExitCode, String>) -> Result<ExitCode, String> {
    if std::env::var_os(WORKER).is_none() {
        return wait_for_worker().map_err(|error| format!("cannot run this program a second time: {error}"));
    }
    thread::spawn(|| {
        // Nothing is ever written: this returns when the other side is gone.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        end();
    });
    task()
}

/// Runs a command to its end, or until the task is ended: then the command is ended with all that it has started.
///
/// # Errors
/// When it cannot be started, or the task was ended before.
pub(crate) fn status(command: &mut Command) -> io::Result<ExitStatus> {
    // In a group of its own it is ended as a whole, and no key of the terminal ends it before the task knows.
    command.stdin(Stdio::null()).env_remove(WORKER).process_group(0);
    let (mut child, group) = {
        let mut work = work();
        if work.ended {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "the task was ended"));
        }
        let child = command.spawn()?;
        let group = Group::of(&child);
        work.groups.push(group);
        (child, group)
    };
    let status = child.wait();
    let ended = {
        let mut work = work();
        work.groups.retain(|running| *running != group);
        work.ended
    };
    if ended {
        group.ends_within(PATIENCE);
    }
    // Also what a command that ended by itself has left behind.
    group.kill();
    status
}

/// Whether the task was ended: what waits for something gives up then.
pub(crate) fn is_ended() -> bool {
    work().ended
}

fn wait_for_worker() -> io::Result<ExitCode> {
    // Before there is anything to stop.
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    // Also when the file has been replaced by a newer build.
    let mut worker = Command::new("/proc/self/exe");
    worker.args(std::env::args_os().skip(1)).env(WORKER, "1").stdin(Stdio::piped()).process_group(0);
    let mut worker = worker.spawn()?;
    let mut pipe = worker.stdin.take();
    let ended_by = Arc::new(OnceLock::new());
    let noted = Arc::clone(&ended_by);
    thread::spawn(move || {
        for signal in signals.forever() {
            if pipe.take().is_none() {
                let _ = emulate_default_handler(signal);
            }
            let _ = noted.set(signal);
            let name = signal_name(signal).unwrap_or("a signal");
            note(format_args!(
                "{name}: stopping what was started; a second signal ends this program at once"
            ));
        }
    });
    let status = worker.wait()?;
    let signal = ended_by.get().copied().or(status.signal());
    let code = signal.map_or_else(|| status.code().unwrap_or(1), |signal| 128 + signal);
    Ok(u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from))
}

fn end() {
    let mut work = work();
    work.ended = true;
    work.groups.iter().for_each(|group| group.terminate());
}

fn work() -> MutexGuard<'static, Work> {
    WORK.lock().unwrap_or_else(PoisonError::into_inner)
}
