//! Child processes, with a shell in place of a program.
#![cfg(unix)]

use std::process::Command;
use std::time::Duration;

use messagekit_testkit::crash::{Ended, KillLoop, POINTS, run_until, sweep};

const LONG: Duration = Duration::from_secs(60);

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

#[test]
fn aborted_child_is_distinguished_from_an_exited_one() {
    let script = r#"ulimit -c 0; test "$MESSAGEKIT_CRASH_AT" = here && kill -ABRT $$; exit 7"#;
    assert_eq!(run_until("here", &mut shell(script), LONG).unwrap(), Ended::Aborted);
    assert_eq!(run_until("elsewhere", &mut shell(script), LONG).unwrap(), Ended::Exited(Some(7)));
}

#[test]
fn a_child_that_hangs_is_ended_at_the_deadline() {
    let ended = run_until("here", &mut shell("exec sleep 600"), Duration::from_millis(50)).unwrap();
    assert_eq!(ended, Ended::TimedOut);
}

#[test]
fn a_crash_run_visits_every_crash_point() {
    let swept = sweep(|_| shell("exit 0"), LONG).unwrap();
    assert_eq!(swept, POINTS.map(|point| (point, Ended::Exited(Some(0)))));
}

#[test]
fn the_kill_loop_kills_what_runs_and_tells_what_ended_before() {
    let mut kills = KillLoop::new(1, Duration::from_millis(1), Duration::from_millis(20));
    for _ in 0..5 {
        assert_eq!(kills.one_life(&mut shell("exec sleep 600")).unwrap(), Ended::Killed);
    }
    let mut patient = KillLoop::new(1, LONG, LONG);
    assert_eq!(patient.one_life(&mut shell("exit 3")).unwrap(), Ended::Exited(Some(3)));
}
