//! A task that is ended from outside leaves no process behind.

use std::fs;
use std::path::Path;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{Machine, WIPE, fakes};

/// The time limit of a step on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < DEADLINE, "{what} did not come within {DEADLINE:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, fields)| !fields.starts_with('Z'))
}

/// A task that runs a command without end, with the processes of that command.
struct Run {
    machine: Machine,
    program: Child,
    started: Vec<String>,
}

impl Run {
    fn start(line: &str) -> Self {
        let machine = Machine::with_engine().with("hang", "");
        let program = machine.command(line).spawn().expect("xtask starts");
        Self::of(machine, program)
    }

    fn of(machine: Machine, program: Child) -> Self {
        let pids = machine.0.path().join("pids");
        let read = || fs::read_to_string(&pids).unwrap_or_default();
        until("the command", || read().lines().count() == 2);
        let started: Vec<String> = read().lines().map(ToOwned::to_owned).collect();
        assert!(started.iter().all(|pid| is_alive(pid)));
        Self { machine, program, started }
    }

    fn end(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.program), signal).expect("it runs");
    }

    /// Sends SIGTERM, and waits until the task and all its child processes have exited.
    fn ends(&mut self) {
        self.end(Signal::TERM);
        let mut status = None;
        until("its end", || {
            status = self.program.try_wait().expect("a child can be waited for");
            status.is_some()
        });
        assert!(!self.started.iter().any(|pid| is_alive(pid)));
        assert_eq!(status.and_then(|status| status.code()), Some(128 + Signal::TERM.as_raw()));
    }

    fn nothing_is_left(&self) {
        until("the end of what was started", || !self.started.iter().any(|pid| is_alive(pid)));
        until("the end of the services", || self.machine.calls().last().is_some_and(|call| call == WIPE));
    }
}

#[test]
fn signalled_run_has_stopped_everything_when_it_exits() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut run = Run::start("test");
        run.end(signal);
        let status = run.program.wait().expect("a child can be waited for");
        assert_eq!(status.code(), Some(128 + signal.as_raw()));
        assert!(!run.started.iter().any(|pid| is_alive(pid)), "{signal:?}");
        assert_eq!(run.machine.calls().last().map(String::as_str), Some(WIPE), "{signal:?}");
    }
}

#[test]
fn a_run_that_is_killed_stops_everything_all_the_same() {
    let mut run = Run::start("test");
    run.end(Signal::KILL);
    run.program.wait().expect("a child can be waited for");
    run.nothing_is_left();
}

#[test]
fn a_gate_that_is_killed_takes_the_run_inside_it_along() {
    let mut run = Run::start("ci");
    run.end(Signal::KILL);
    run.program.wait().expect("a child can be waited for");
    run.nothing_is_left();
    assert!(Path::new(&run.machine.stack()).exists());
}

#[test]
fn a_stack_that_is_ended_while_it_downloads_ends_the_download() {
    let machine = Machine::without_engine();
    let program = machine.command("stack up --services kafka").spawn().expect("xtask starts");
    Run::of(machine, program).ends();
}

#[test]
fn a_stack_ended_during_its_start_stops_only_what_it_started() {
    let machine = Machine::with_engine();
    machine.prints("stack up --services postgres");
    let machine = machine.with("hang-up", "");
    let program = machine.command("stack up").spawn().expect("xtask starts");
    let mut run = Run::of(machine, program);
    run.ends();
    let down = "compose -f docker-compose.yml down kafka connect rabbitmq".to_owned();
    assert_eq!(run.machine.calls().last(), Some(&down));
}

/// The test needs a system with only the stand-ins, which only root may change.
#[test]
fn packages_that_are_being_installed_are_given_up_with_the_task() {
    let machine = Machine::without_engine().with("hang", "");
    let mut command = machine.command("check");
    command.env("PATH", fakes()).env_remove("OPENSSL_DIR");
    if rustix::process::geteuid().is_root() {
        let program = command.spawn().expect("xtask starts");
        Run::of(machine, program).ends();
    } else {
        assert_eq!(command.status().expect("xtask starts").code(), Some(1), "nothing is begun");
    }
}
