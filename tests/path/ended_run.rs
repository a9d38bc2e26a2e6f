//! A test run that is ended while its services are up leaves no process and no data behind.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use messagekit_testkit::{DEADLINE, block_on, eventually};
use messagekit_tests::services;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tempfile::TempDir;

/// A stand-in for cargo whose tests never end.
const CARGO: &str = r#"#!/bin/sh
[ "$1" != metadata ] || { echo '{"packages": []}'; exit 0; }
echo $$ >"$STARTED.new" && mv "$STARTED.new" "$STARTED"
exec sleep 600
"#;

/// Returns the pid at the beginning of a file.
fn pid(file: &Path) -> Option<Pid> {
    let text = fs::read_to_string(file).ok()?;
    Pid::from_raw(text.split_whitespace().next()?.parse().ok()?)
}

#[test]
fn interrupted_test_run_stops_its_processes_and_deletes_data() {
    let folder = TempDir::new().unwrap();
    let (cargo, started, stack) =
        (folder.path().join("cargo"), folder.path().join("started"), folder.path().join("stack"));
    fs::write(&cargo, CARGO).unwrap();
    fs::set_permissions(&cargo, Permissions::from_mode(0o755)).unwrap();
    let mut run = Command::new(services::program());
    run.args(["test", "--services", "postgres"]).stdin(Stdio::null());
    run.env("CARGO", cargo).env("STARTED", &started);
    // A CI run leaves the data to its machine, which ends with it.
    run.env("MESSAGEKIT_STACK", "native").env("MESSAGEKIT_STACK_DIR", &stack).env_remove("CI");
    let mut run = run.spawn().unwrap();

    let record = stack.join("run/postgres.pid");
    let mut pids = Vec::new();
    block_on(eventually("the tests run on a database", DEADLINE, async || {
        pids = [&started, &record].into_iter().filter_map(|file| pid(file)).collect();
        pids.len() == 2
    }));
    kill_process(Pid::from_child(&run), Signal::TERM).unwrap();
    let status = run.wait().unwrap();

    assert_eq!(status.code(), Some(128 + Signal::TERM.as_raw()));
    for pid in pids {
        // A zombie counts as gone.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        assert!(test_kill_process(pid).is_err() || stat.contains(") Z "), "left behind: {stat}");
    }
    assert!(!record.exists() && !stack.join("ports").exists(), "what the services wrote is left behind");
}
