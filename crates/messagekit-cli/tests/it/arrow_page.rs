//! The commands and programs of the page on Arrow, unchanged and in their order.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::analysis::python;

/// Each command of the page, and what it must print.
const COMMANDS: &[(&str, &str)] = &[
    ("messagekit topics create orders", "topic orders created"),
    ("messagekit topics create bills", "topic bills created"),
    (r#"messagekit topics append orders '{"order": "o-1", "pence": 1250}'"#, "1\n"),
    (r#"messagekit topics append bills '{"order": "o-1", "paid": true}'"#, "2\n"),
    (
        "messagekit replay read --source orders:earliest --source bills:ago=1h",
        r#""value":{"order":"o-1","pence":1250},"topic":"orders","partition":0,"offset":0,"timestamp":"20"#,
    ),
    (
        "messagekit replay read --source orders:earliest --source bills:earliest --format parquet --output shop.parquet",
        "",
    ),
    (
        "messagekit replay read --source orders:earliest --columns headers,event-id --format arrow > orders.arrows",
        "",
    ),
    ("messagekit topics export orders --format csv --output orders.csv", ""),
];

/// What each program of the page prints.
const PROGRAMS: &[&str] = &[
    "1250 pence\n[('bills', 1), ('orders', 1)]\n['key', 'value', 'topic', 'partition', 'offset', 'timestamp', 'headers', 'event_id']\n",
    "2 records until 20",
];

fn blocks(language: &str) -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/arrow.md");
    let page = fs::read_to_string(page).unwrap();
    let blocks = page.split("\n```").skip(1).step_by(2);
    blocks.filter_map(|block| block.strip_prefix(&format!("{language}\n"))).map(str::to_owned).collect()
}

/// Runs a program as a reader of the page does, and returns what it prints.
fn run(folder: &TempDir, program: &Path, arguments: &[&str]) -> String {
    let ours = Path::new(env!("CARGO_BIN_EXE_messagekit")).parent().unwrap();
    let path = format!("{}:{}", ours.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder.path()).stdin(Stdio::null());
    command.env("PATH", path).env("MESSAGEKIT_DATABASE_URL", "sqlite:shop.db");
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", text(output.stderr));
    assert_eq!(text(output.stderr), "", "{arguments:?}");
    text(output.stdout)
}

#[test]
fn commands_and_programs_of_the_page_on_arrow_run() {
    let written: Vec<String> =
        blocks("sh").iter().flat_map(|block| block.lines()).map(str::to_owned).collect();
    let known: Vec<&str> = COMMANDS.iter().map(|(line, _)| *line).collect();
    assert_eq!(written, known, "the page has other commands than its test");
    let folder = TempDir::new().unwrap();
    for (line, prints) in COMMANDS {
        let printed = run(&folder, Path::new("sh"), &["-euc", line]);
        assert!(printed.contains(prints), "{line}: {printed}");
    }
    let programs = blocks("python");
    assert_eq!(programs.len(), PROGRAMS.len());
    for (program, prints) in programs.iter().zip(PROGRAMS) {
        let printed = run(&folder, &python(), &["-W", "error", "-c", program]);
        assert!(printed.starts_with(prints), "{program}\n{printed}");
    }
}
