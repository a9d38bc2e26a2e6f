//! Stops everything that a task has started, however the task ends.
//!
//! The program that a user starts runs the task in a second process of itself, the worker, which holds the reading end of a
//! pipe. When a signal ends the user's program or it crashes, the pipe closes. The worker then ends the commands that it runs,
//! and cleans up as after a failure. The program exits on SIGINT, SIGTERM or SIGHUP when that is done, and on a second signal
//! at once.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::panic::resume_unwind;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::{emulate_default_handler, signal_name};

use crate::stack::process::{Group, processor_time};
use crate::terminal::note;

/// Marks a process as the worker.
const WORKER: &str = "MESSAGEKIT_XTASK_WORKER";

/// The time that a command has to exit after SIGTERM. A task that it runs may have services to stop.
const PATIENCE: Duration = Duration::from_secs(90);

/// The current work of the worker.
static WORK: Mutex<Work> = Mutex::new(Work { ended: false, groups: Vec::new() });

struct Work {
    /// The other end of the pipe is closed: no further command is started.
    ended: bool,
    groups: Vec<Group>,
}

/// Runs a task in a worker, and returns its exit code.
pub(crate) fn run(task: impl FnOnce() -> Result<ExitCode, String>) -> Result<ExitCode, String> {
    if std::env::var_os(WORKER).is_none() {
        return wait_for_worker().map_err(|error| format!("cannot run this program a second time: {error}"));
    }
    thread::spawn(|| {
        // Nothing is ever written: this call returns when the other end is closed.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        end();
    });
    task()
}

/// Runs a command to its end, or until the task is ended. Then it ends the command and all its child processes.
///
/// # Errors
/// Returns an error when the command cannot be started, or when the task was ended before.
pub(crate) fn status(command: &mut Command) -> io::Result<ExitStatus> {
    let (child, group) = start(command)?;
    wait(child, group)
}

/// How a command ended.
pub(crate) struct Ended {
    /// `None` if it was killed after the limit.
    pub(crate) status: Option<ExitStatus>,
    /// The processor time of the command and of the children that it has waited for.
    pub(crate) computed: Duration,
}

/// Runs a command like [`status`], and ends it with all its child processes after the limit.
///
/// # Errors
/// Returns an error when the command cannot be started, or when the task was ended before.
pub(crate) fn status_within(limit: Duration, command: &mut Command) -> io::Result<Ended> {
    let (child, group) = start(command)?;
    let pid = Pid::from_child(&child);
    let (ended, end) = mpsc::channel::<()>();
    let watch = thread::spawn(move || {
        let is_late = end.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
        if is_late {
            group.kill();
        }
        is_late
    });
    // Only a process that nothing has waited for has its times.
    let computed = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
        .map(|_| processor_time(pid))
        .unwrap_or_default();
    let status = wait(child, group);
    drop(ended);
    let is_late = watch.join().unwrap_or_else(|panic| resume_unwind(panic));
    Ok(Ended { status: Some(status?).filter(|_| !is_late), computed })
}

fn start(command: &mut Command) -> io::Result<(Child, Group)> {
    // In its own group it can be ended as a whole, and no key of the terminal ends it before the task knows.
    command.stdin(Stdio::null()).env_remove(WORKER).process_group(0);
    let mut work = work();
    if work.ended {
        return Err(io::Error::new(io::ErrorKind::Interrupted, "the task was ended"));
    }
    let child = command.spawn()?;
    let group = Group::of(&child);
    work.groups.push(group);
    Ok((child, group))
}

fn wait(mut child: Child, group: Group) -> io::Result<ExitStatus> {
    let status = child.wait();
    let ended = {
        let mut work = work();
        work.groups.retain(|running| *running != group);
        work.ended
    };
    if ended {
        group.ends_within(PATIENCE);
    }
    // Also kill child processes of a command that exited by itself.
    group.kill();
    status
}

/// Returns whether the task was ended. Loops that wait stop then.
pub(crate) fn is_ended() -> bool {
    work().ended
}

fn wait_for_worker() -> io::Result<ExitCode> {
    // Before anything is started.
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    // Works also when a newer build has replaced the file.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_takes_too_long_is_ended_with_its_children() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 & sleep 600"]);
        let ended = status_within(Duration::from_millis(100), &mut command).expect("sh starts");
        assert_eq!(ended.status, None);
        let ended = status_within(Duration::from_secs(600), &mut Command::new("true")).expect("it starts");
        assert!(ended.status.expect("it is in time").success());
    }

    #[test]
    fn what_a_command_and_its_children_compute_is_counted() {
        let mut command = Command::new("sh");
        command.args(["-c", "sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done'; true"]);
        let ended = status_within(Duration::from_secs(600), &mut command).expect("sh starts");
        assert!(ended.computed >= Duration::from_millis(20), "{:?}", ended.computed);
    }
}
