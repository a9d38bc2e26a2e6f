//! `messagekit replay bench`: its report, its plot, and its exit code.

use std::path::Path;
use std::process::Command;

use messagekit::Message;
use serde_json::{Value, json};

use crate::analysis::{append, run};
use crate::shell::Shell;

const BOTH: [&str; 4] = ["--source", "orders:earliest", "--source", "bills:earliest"];

/// Two topics in turns, nine records in all.
async fn in_turns() -> Shell {
    let shell = Shell::new();
    let message = |at: i64| Message::new(if at % 2 == 1 { "orders" } else { "bills" }, at.to_string());
    append(&shell, &(1..=9).map(message).collect::<Vec<_>>()).await;
    shell
}

/// Returns what a plot shows.
fn shown(plot: &Path) -> Value {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/read_svg.py");
    let text = run(Command::new("python3").arg(program).arg(plot), "the plot is read");
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn a_run_is_measured_and_its_order_checked() {
    let shell = in_turns().await;
    let report = shell.bench(&[&BOTH[..], &["--batch-size", "2", "--json"]].concat()).json();
    assert_eq!(
        [&report["records"], &report["largest_batch"], &report["batch_size"], &report["late"]],
        [9, 2, 2, 0]
    );
    let none = json!({
        "batch_too_large": 0, "offset_repeated": 0, "offset_backwards": 0, "time_backwards": 0, "first": null
    });
    assert_eq!(report["violations"], none);
    assert!(report["bytes"].as_u64().unwrap() >= 9 && report["batches"].as_u64().unwrap() >= 5, "{report}");
    let number = |name: &str| report[name].as_f64().unwrap();
    assert!(0.0 < number("seconds_to_first_batch"), "{report}");
    assert!(number("seconds_to_first_batch") < number("seconds_to_live"), "{report}");
    assert!(number("seconds_to_live") <= number("seconds"), "{report}");
    let rate = number("records") / number("seconds_to_last_batch");
    assert!((number("records_per_second") - rate).abs() < 1e-6 * rate, "{report}");
    let table = shell.bench(&BOTH).text();
    for row in [
        "records                       ┆ 9",
        "largest batch                 ┆ 9 of 10,000",
        "violations                    ┆ 0",
    ] {
        assert!(table.contains(row), "{row}: {table}");
    }
}

#[tokio::test]
async fn an_end_before_all_records_measures_what_a_read_returns() {
    let shell = in_turns().await;
    let before = shell.bench(&[&BOTH[..], &["--until", "2020-01-01", "--json"]].concat()).json();
    assert_eq!((&before["records"], &before["seconds_to_last_batch"]), (&json!(0), &Value::Null), "{before}");
    for cutoff in ["2020-01-01", "2100-01-01"] {
        let behind = shell.bench(&[&BOTH[..], &["--cutoff", cutoff, "--json"]].concat()).json();
        assert_eq!(
            (&behind["records"], &behind["violations"]["first"]),
            (&json!(9), &Value::Null),
            "{behind}"
        );
    }
    let idle = shell.bench(&[&BOTH[..], &["--idle-timeout", "1h", "--json"]].concat()).json();
    assert_eq!(idle["is_time_checked_across_partitions"], false);
}

#[tokio::test]
async fn a_plot_has_a_line_that_rises_for_each_topic() {
    let shell = in_turns().await;
    let path = shell.path("run.svg");
    let file = path.display().to_string();
    let plotted = [&BOTH[..], &["--batch-size", "1", "--plot", &file]].concat();
    shell.bench(&plotted).text();
    let shown = shown(&path);
    assert_eq!(shown["legend"], json!({"t0": "bills", "t1": "orders"}));
    for (line, records) in [("t0", 4), ("t1", 5)] {
        let points: Vec<(f64, f64)> = serde_json::from_value(shown["lines"][line].clone()).unwrap();
        assert_eq!(points.len(), records, "{line}: {shown}");
        let rises = points.windows(2).all(|pair| pair[0].0 <= pair[1].0 && pair[0].1 > pair[1].1);
        assert!(rises, "{line}: {points:?}");
    }
    let texts = shown["texts"].as_array().unwrap();
    for text in ["seconds since the start", "live", "orders"] {
        assert!(texts.contains(&json!(text)), "{text}: {texts:?}");
    }
    assert_eq!(shell.files_with("svg"), ["run.svg"]);
    shell.bench(&plotted).refused(1, &["would replace a file", "run.svg"]);
}

#[test]
fn a_topic_without_records_has_a_report_and_a_plot() {
    let shell = Shell::with(&["notes"]);
    let path = shell.path("run.svg");
    let read = ["--source", "notes:earliest", "--json", "--plot", &path.display().to_string()];
    let report = shell.bench(&read).json();
    assert_eq!((&report["records"], &report["seconds_to_first_batch"]), (&json!(0), &Value::Null));
    assert!(report["seconds_to_live"].is_number(), "{report}");
    assert!(shown(&path)["texts"].as_array().unwrap().contains(&json!("no records")));
}

#[tokio::test]
async fn an_interrupted_run_reports_and_keeps_no_plot() {
    let shell = in_turns().await;
    let path = shell.path("run.svg");
    let plot = ["--until", "2100-01-01", "--plot", &path.display().to_string(), "--json"];
    let running = shell.benching(&[&BOTH[..], &plot].concat());
    // The file of the plot is made when a signal ends the command cleanly.
    shell.until_file(".run.svg.");
    running.signal("TERM");
    let report: Value = serde_json::from_str(&running.line()).unwrap();
    assert_eq!(report["violations"]["first"], Value::Null);
    let (code, errors) = running.ends();
    assert!(code == Some(1) && errors.contains("interrupted before its end"), "{code:?}: {errors}");
    assert_eq!(shell.files_with("svg"), [""; 0]);
}

#[test]
fn a_mistake_of_a_run_is_explained_as_that_of_a_read() {
    let shell = Shell::with(&["notes"]);
    shell.bench(&[]).refused(2, &["--source"]);
    shell.bench(&["--source", "notes:soon"]).refused(2, &["'notes:soon'", "committed=CONSUMER"]);
    shell.bench(&["--source", "absent:earliest"]).refused(1, &["no such topic", "absent"]);
}
