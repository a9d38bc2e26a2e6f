//! A task whose stdout is closed, as behind `| head -1`.

use std::io::pipe;
use std::process::ExitStatus;

use super::{Machine, WIPE};

/// Runs a task with closed stdout and stderr.
fn closed(machine: &Machine, line: &str) -> ExitStatus {
    let (reader, writer) = pipe().expect("a pipe");
    drop(reader);
    let errors = writer.try_clone().expect("a pipe");
    machine.command(line).stdout(writer).stderr(errors).status().expect("xtask starts")
}

#[test]
fn a_task_without_a_reader_does_all_that_it_does_with_one() {
    let machine = Machine::with_engine();
    for line in ["check", "test"] {
        assert!(machine.xtask(line).status.success());
        let mut expected = machine.docker_calls();
        let status = closed(&machine, line);
        let mut calls = machine.docker_calls();
        // Some are created in parallel.
        expected.sort_unstable();
        calls.sort_unstable();
        assert_eq!(calls, expected, "{line}");
        assert!(status.success(), "{line}: {status}");
    }
}

#[test]
fn a_test_run_without_a_reader_stops_the_services_when_it_fails() {
    let machine = Machine::with_engine().with("no-kafka", "");
    assert_eq!(closed(&machine, "test").code(), Some(1));
    assert_eq!(machine.calls().last().map(String::as_str), Some(WIPE));
}
