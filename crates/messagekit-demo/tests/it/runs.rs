//! Successful runs.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{demo, json, text};

#[test]
fn a_small_run_keeps_every_promise_and_prints_one_object() {
    let (report, code) = json(&["--orders", "400"]);
    assert_eq!((&report["verdict"], code), (&Value::from("kept"), Some(0)), "{report}");
    let number = |name: &str| report[name].as_i64().unwrap_or_else(|| panic!("{name} in {report}"));
    assert_eq!(number("written") + number("rolled_back"), 400);
    assert_eq!(number("published"), number("written") + number("duplicates_delivered"));
    assert_eq!(number("handled"), number("written"));
    assert_eq!(number("duplicates_suppressed"), number("duplicates_delivered"));
    assert_eq!(number("pence_ordered"), number("pence_billed") + number("pence_set_aside"));
    assert!(number("duplicates_delivered") >= 1 && number("kills") >= 3);
    assert!(number("rolled_back") > 10 && number("elapsed_ms") > 0 && number("events_per_second") > 0);
    assert_eq!((number("dead_letters"), number("ignored"), number("seed")), (0, 0, 2010));
    assert_eq!((&report["bad_lines"], &report["kept_in"]), (&Value::from(Vec::<Value>::new()), &Value::Null));

    let promises = report["promises"].as_array().expect("a list");
    let names: Vec<&str> = promises.iter().filter_map(|promise| promise["name"].as_str()).collect();
    assert_eq!(
        names,
        [
            "billed_once",
            "nothing_of_rolled_back",
            "published_exactly",
            "sums_equal",
            "duplicates_suppressed",
            "order_kept",
            "dead_letters_exact",
            "killed_at_work",
            "delivered_twice"
        ]
    );
    assert!(promises.iter().all(|promise| promise["outcome"] == "kept"), "{report}");
}

/// The size that the README names, without options.
#[test]
fn a_whole_year_keeps_every_promise() {
    let run = demo(&[]);
    let table = String::from_utf8_lossy(&run.stdout);
    assert_eq!(run.status.code(), Some(0), "{table}{}", String::from_utf8_lossy(&run.stderr));
    assert!(table.contains("Every promise held"), "{table}");
}

#[test]
fn the_smallest_run_is_killed_and_repeated_too() {
    let (report, code) = json(&["--orders", "1", "--seed", "3"]);
    assert_eq!((&report["verdict"], code), (&Value::from("kept"), Some(0)), "{report}");
    assert_eq!((&report["written"], &report["published"]), (&Value::from(1), &Value::from(2)));
}

#[test]
fn what_is_chosen_depends_on_the_seed_alone() {
    let chosen = |seed: &str| {
        let (report, _) = json(&["--orders", "60", "--seed", seed]);
        ["written", "rolled_back", "published", "pence_ordered"].map(|name| report[name].clone())
    };
    assert_eq!(chosen("5"), chosen("5"));
    assert_ne!(chosen("5"), chosen("6"));
}

#[test]
fn people_get_a_table_a_line_per_promise_and_what_to_try_next() {
    let output = demo(&["--orders", "60"]);
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8(output.stdout).expect("text");
    for part in
        ["pence billed", "PASS  every committed order is billed once", "Every promise held", "Try next:"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains('\x1b'), "colours are for terminals");
}

#[test]
fn kept_files_are_named_and_never_overwritten() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = folder.path().join("new");
    let (report, code) = json(&["--orders", "50", "--keep", text(&kept)]);
    assert_eq!((report["kept_in"].as_str(), code), (Some(text(&kept)), Some(0)));
    let before = std::fs::read(kept.join("shop.db")).expect("the database");
    assert!(kept.join("ledger.ndjson").exists());

    let (said, code) = crate::refused(&["--orders", "50", "--keep", text(&kept)]);
    assert_eq!(code, Some(1));
    assert!(said.contains("earlier run") && said.contains("shop.db"), "{said}");
    assert_eq!(std::fs::read(kept.join("shop.db")).expect("the database"), before);
}

#[test]
fn the_billing_service_ends_when_the_demo_dies() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut parent = Command::new(env!("CARGO_BIN_EXE_messagekit-demo"))
        .args(["--orders", "5000", "--keep", text(folder.path())])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program was built");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let database = folder.path().join("shop.db");
    let pid = eventually(|| runtime.block_on(running(&database)));
    parent.kill().expect("it runs");
    parent.wait().expect("it runs no more");
    eventually(|| has_ended(pid).then_some(()));
}

/// Returns the process id of a billing service that has started.
async fn running(database: &Path) -> Option<u32> {
    if !database.exists() {
        return None;
    }
    let store = messagekit_sqlite::SqliteStore::open(database).await.ok()?;
    let newest = "SELECT pid FROM billing_runs ORDER BY run DESC LIMIT 1";
    let pid = store.read(|c| c.query_row(newest, [], |row| row.get(0))).await.ok();
    store.close().await.ok();
    pid
}

/// A process that its parent has not reaped is a zombie and has ended too. Outside Linux this shows nothing.
fn has_ended(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status
        .rsplit(')')
        .next()
        .is_none_or(|rest| rest.trim_start().is_empty() || rest.trim_start().starts_with('Z'))
}

fn eventually<T>(mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        if let Some(met) = condition() {
            return met;
        }
        assert!(Instant::now() < deadline, "not within two minutes");
        std::thread::sleep(Duration::from_millis(10));
    }
}
