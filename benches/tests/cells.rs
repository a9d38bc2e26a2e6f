//! Every cell of the benchmark at its smallest size: one that is seldom started must still run when it is.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// Multiplies every size. Sizes that would be too small to show anything have a least one.
const SCALE: &str = "0.001";

const EMBEDDED: [&str; 4] = ["D1", "E1", "E2", "E3"];
const DATABASE: [&str; 11] = ["A1", "A2", "A3", "C1", "C2", "C3", "C5", "O1", "W1", "W2", "W3"];
const BROKERS: [&str; 10] = ["B1", "C4", "K1", "L1", "L2", "M1", "R1", "R1Q", "R4", "R5"];
/// They wait for minutes, whatever the size. Without `MESSAGEKIT_FULL=1` only the named contender runs. The scale is for a full run: a
/// bridge that has done its work within five seconds is not killed.
const KILLED: [(&str, &str, &str); 2] = [
    ("B2", "messagekit bridge, without kills", "0.5"),
    ("K2", "kill -9 of one, started again at once messagekit consumer, with instance ids", SCALE),
];
/// They measure what another one does, at other rates or with other settings: R4, C1 and R1.
const ALIKE: [&str; 4] = ["R2", "R3", "T1", "T2"];
/// It writes the log of the server until slots are lost, those of other tests too.
const APART: [&str; 1] = ["A4"];

fn bench() -> Command {
    Command::new(env!("CARGO_BIN_EXE_bench"))
}

/// Asserts that the contenders of these cells with a text in their name have a figure and a clean ledger. A peer may be missing.
fn assert_sound(cells: &[&str], only: &str, scale: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, out) = (folder.path().join("results.json"), folder.path().join("out"));
    let mut command = bench();
    command.args(cells).args(["--only", only, "--rounds", "1", "--scale", scale]);
    command.arg("--folder").arg(folder.path()).arg("--json").arg(&file).arg("--out").arg(&out);
    // What it prints goes to the log at once, which shows the cell that hangs.
    let status = command.stdout(Stdio::null()).status().expect("the program starts");
    let faults = faults(&file, cells);
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(status.success(), "{status}");
    assert!(out.join("results.md").exists(), "tables and plots were not written");
}

/// Returns what is wrong in the results of these cells.
fn faults(file: &Path, cells: &[&str]) -> Vec<String> {
    let Ok(text) = fs::read(file) else { return vec!["there are no results".to_owned()] };
    let results: Value = serde_json::from_slice(&text).expect("results are JSON");
    let all = list(&results["cells"]);
    let missing = cells.iter().filter(|id| !all.iter().any(|cell| cell["id"] == ***id));
    let mut faults: Vec<String> = missing.map(|id| format!("{id} did not run")).collect();
    for cell in all {
        for contender in list(&cell["contenders"]).iter().filter(|contender| contender["role"] != "peer") {
            // Its value may be no number: a hundred events can arrive at once.
            let has_figure =
                cell["figure"].as_str().is_some_and(|name| contender["figures"][name].is_object());
            if !has_figure || !contender["failed"].is_null() {
                let [id, group, name] = [&cell["id"], &contender["group"], &contender["name"]];
                faults.push(format!("{id} {group} {name}: {}", contender["failed"]));
            }
        }
    }
    faults
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[test]
fn cells_of_embedded_databases_run() {
    assert_sound(&EMBEDDED, "", SCALE);
}

#[test]
fn cells_of_a_database_server_run() {
    assert_sound(&DATABASE, "", SCALE);
}

#[test]
fn cells_of_brokers_run() {
    assert_sound(&BROKERS, "", SCALE);
}

#[test]
fn cells_of_killed_processes_run() {
    let is_full = std::env::var_os("MESSAGEKIT_FULL").is_some_and(|value| value == "1");
    for (cell, one, full) in KILLED {
        let (only, scale) = if is_full { ("", full) } else { (one, SCALE) };
        assert_sound(&[cell], only, scale);
    }
}

#[test]
fn no_cell_is_left_out() {
    let output = bench().arg("--list").output().expect("the program starts");
    let printed = String::from_utf8(output.stdout).expect("text");
    let there: BTreeSet<&str> = printed.lines().filter_map(|line| line.split(' ').next()).collect();
    let killed = KILLED.map(|(cell, ..)| cell);
    let groups: [&[&str]; 6] = [&EMBEDDED, &DATABASE, &BROKERS, &killed, &ALIKE, &APART];
    let named: BTreeSet<&str> = groups.into_iter().flatten().copied().collect();
    assert_eq!(there, named);
}
