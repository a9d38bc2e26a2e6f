//! A process that the stack has started: its record, its life and its end.
//!
//! A record holds the pid and the start time of the process, because the system may reuse a pid.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::param::clock_ticks_per_second;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::folder;

/// The interval between two checks for the end of a process.
const LOOK: Duration = Duration::from_millis(10);

/// One process, identified by its pid and its start time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    pid: i32,
    started: u64,
}

/// The state of a process, as the kernel reports it.
struct Stat {
    state: char,
    parent: i32,
    group: i32,
    threads: u64,
    /// Clock ticks that it has computed, and those of the children that it has waited for.
    computed: u64,
    /// Clock ticks between the boot and the start of the process.
    started: u64,
}

/// Returns a command that runs in its own session, which protects it from Ctrl-C in the terminal.
pub(crate) fn detached(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("setsid");
    command.arg(program);
    command
}

impl Process {
    /// Starts a [`detached`] command with its output only in `log`, and records it.
    pub(crate) fn start(mut command: Command, log: &Path, record: &Path) -> Result<Self, String> {
        let output = OpenOptions::new().create(true).write(true).truncate(true).open(log);
        let output = output.map_err(|error| format!("cannot write {}: {error}", log.display()))?;
        let errors =
            output.try_clone().map_err(|error| format!("cannot write {}: {error}", log.display()))?;
        let child = command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn();
        let mut child = child
            .map_err(|error| format!("cannot start {}: {error}", command.get_program().to_string_lossy()))?;
        let pid = i32::try_from(child.id()).map_err(|_| format!("the pid {} is out of range", child.id()))?;
        let process = Self::now(pid);
        // Reap the child: it would stay a zombie as long as this program runs.
        thread::spawn(move || child.wait());
        let process = process.ok_or_else(|| format!("the process of {} is gone at once", log.display()))?;
        folder::write(record, &format!("{} {}\n", process.pid, process.started))?;
        Ok(process)
    }

    /// Returns the process that `record` names, if it still runs.
    pub(crate) fn recorded(record: &Path) -> Option<Self> {
        let text = fs::read_to_string(record).ok()?;
        let (pid, started) = text.trim().split_once(' ')?;
        let process = Self { pid: pid.parse().ok()?, started: started.parse().ok()? };
        process.is_alive().then_some(process)
    }

    /// Returns the process that has this pid now.
    fn now(pid: i32) -> Option<Self> {
        stat(pid).map(|stat| Self { pid, started: stat.started })
    }

    /// Returns its pid.
    pub(crate) fn pid(self) -> i32 {
        self.pid
    }

    /// Returns whether it runs. A zombie does not, once all of its threads have ended.
    pub(crate) fn is_alive(self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.started == self.started && !stat.is_dead())
    }

    /// Sends a signal, unless the pid now belongs to another process.
    pub(crate) fn signal(self, signal: Signal) {
        if let (true, Some(pid)) = (self.is_alive(), Pid::from_raw(self.pid)) {
            // It may exit in between; then no signal is needed.
            let _ = kill_process(pid, signal);
        }
    }

    /// Waits for its end, and returns whether it came in time.
    pub(crate) fn ends_within(self, patience: Duration) -> bool {
        let since = Instant::now();
        while self.is_alive() {
            if since.elapsed() > patience {
                return false;
            }
            thread::sleep(LOOK);
        }
        true
    }

    /// Kills it and all its child processes, waits for their end, and returns whether they are gone.
    pub(crate) fn kill(self) -> bool {
        // Stop it first: a child that it starts after the scan would survive.
        self.signal(Signal::STOP);
        let mut family = vec![self];
        family.extend(self.descendants());
        for process in &family {
            process.signal(Signal::KILL);
        }
        family.iter().all(|process| process.ends_within(Duration::from_secs(10)))
    }

    /// Freezes or resumes it and all its child processes.
    pub(crate) fn freeze(self, on: bool) {
        let signal = if on { Signal::STOP } else { Signal::CONT };
        self.signal(signal);
        for process in self.descendants() {
            process.signal(signal);
        }
    }

    /// Returns its descendants.
    fn descendants(self) -> Vec<Self> {
        let all: Vec<(i32, Stat)> = all().collect();
        let mut found = vec![self];
        let mut next = 0;
        while let Some(parent) = found.get(next).map(|process| process.pid) {
            let children = all.iter().filter(|(_, stat)| stat.parent == parent);
            found.extend(children.map(|(pid, stat)| Self { pid: *pid, started: stat.started }));
            next += 1;
        }
        found.split_off(1)
    }
}

/// A command with all its child processes, except those that have left its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Group(Pid);

impl Group {
    /// Returns the group of a command that was started in its own group.
    pub(crate) fn of(child: &Child) -> Self {
        Self(Pid::from_child(child))
    }

    /// Sends SIGTERM to the whole group.
    pub(crate) fn terminate(self) {
        // It may have exited in between.
        let _ = kill_process_group(self.0, Signal::TERM);
    }

    /// Kills the rest of the group, and waits for its end.
    pub(crate) fn kill(self) {
        let _ = kill_process_group(self.0, Signal::KILL);
        self.ends_within(Duration::from_secs(10));
    }

    /// Waits until the whole group has exited, and returns whether that came in time.
    pub(crate) fn ends_within(self, patience: Duration) -> bool {
        let since = Instant::now();
        while all().any(|(_, stat)| stat.group == self.0.as_raw_nonzero().get() && !stat.is_dead()) {
            if since.elapsed() > patience {
                return false;
            }
            thread::sleep(LOOK);
        }
        true
    }
}

impl Stat {
    /// Returns whether it has exited, even if it was not reaped. The first thread of a program may be a zombie while other
    /// threads still run.
    fn is_dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X') && self.threads <= 1
    }
}

/// Returns whether the pid belongs to a process that has exited and was not reaped by its parent.
pub(crate) fn is_zombie(pid: i32) -> bool {
    stat(pid).is_some_and(|stat| stat.is_dead())
}

/// Returns the last lines of a log, for an error message.
pub(crate) fn end_of(log: &Path) -> String {
    const LINES: usize = 25;
    let lines = fs::File::open(log).map(|file| BufReader::new(file).lines().map_while(Result::ok).collect());
    let lines: Vec<String> = lines.unwrap_or_default();
    let end = lines[lines.len().saturating_sub(LINES)..].join("\n    ");
    format!("the end of {}:\n    {end}", log.display())
}

/// Returns every process.
fn all() -> impl Iterator<Item = (i32, Stat)> {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some((pid, stat(pid)?)))
}

/// Returns the processor time of a process and of the children that it has waited for, which may be a zombie.
pub(crate) fn processor_time(pid: Pid) -> Duration {
    let ticks = stat(pid.as_raw_nonzero().get()).map_or(0, |stat| stat.computed);
    Duration::from_millis(1_000 * ticks / clock_ticks_per_second())
}

/// Reads `/proc/PID/stat`. The name in it may contain any character, so the fields are counted from its closing parenthesis.
fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        threads: fields.get(17)?.parse().ok()?,
        computed: fields.get(11..15)?.iter().map(|ticks| ticks.parse().unwrap_or(0)).sum::<u64>(),
        started: fields.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(folder: &Path) -> Process {
        let mut command = detached("sleep");
        command.arg("600");
        Process::start(command, &folder.join("log"), &folder.join("record")).expect("sleep starts")
    }

    #[test]
    fn a_started_process_is_found_by_its_record_until_it_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let process = sleeper(folder.path());
        assert_eq!(Process::recorded(&folder.path().join("record")), Some(process));
        assert!(process.kill());
        assert_eq!(Process::recorded(&folder.path().join("record")), None);
    }

    #[test]
    fn a_pid_with_another_start_time_is_not_signalled() {
        let folder = tempfile::tempdir().unwrap();
        let process = sleeper(folder.path());
        let stranger = Process { started: process.started + 1, ..process };
        stranger.signal(Signal::KILL);
        assert!(stranger.kill(), "a process that is gone counts as killed");
        assert!(process.is_alive());
        assert!(process.kill());
    }

    #[test]
    fn the_children_of_a_killed_process_are_gone_too() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = detached("sh");
        command.args(["-c", "sleep 600 & sleep 600 & wait"]);
        let process =
            Process::start(command, &folder.path().join("log"), &folder.path().join("record")).unwrap();
        let since = Instant::now();
        while process.descendants().len() < 2 {
            assert!(since.elapsed() < Duration::from_secs(120), "the shell has not started its children");
            thread::sleep(LOOK);
        }
        let children = process.descendants();
        assert!(process.kill());
        assert!(children.iter().all(|child| !child.is_alive()));
    }

    #[test]
    fn a_zombie_counts_as_dead() {
        let mut child = Command::new("true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let process = Process::now(pid).expect("nobody has collected it");
        assert!(process.ends_within(Duration::from_secs(120)));
        assert!(is_zombie(pid));
        child.wait().unwrap();
        assert!(!is_zombie(pid));
    }
}
