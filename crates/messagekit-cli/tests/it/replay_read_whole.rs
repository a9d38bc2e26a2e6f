//! `messagekit replay read`: what a file, a pipe and a terminal get.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use messagekit::Message;

use crate::analysis::append;
use crate::shell::Shell;

const ENDLESS: [&str; 6] = ["--source", "orders:earliest", "--until", "never", "--format", "parquet"];

async fn with_an_order() -> Shell {
    let shell = Shell::new();
    append(&shell, &[Message::new("orders", r#"{"n":1}"#)]).await;
    shell
}

fn is_parquet(path: &Path) -> bool {
    let bytes = fs::read(path).unwrap();
    bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1")
}

#[tokio::test]
async fn a_file_gets_its_name_when_it_is_whole() {
    let shell = with_an_order().await;
    let path = shell.path("orders.parquet");
    let file = path.display().to_string();
    let running = shell.reading(&[&ENDLESS[..], &["--output", &file]].concat());
    shell.until_file("orders");
    assert!(!path.exists());
    running.signal("INT");
    assert_eq!(running.ends(), (Some(0), String::new()));
    assert_eq!(shell.files_with("orders"), ["orders.parquet"]);
    assert!(is_parquet(&path));
    let again = ["--source", "orders:earliest", "--format", "parquet", "--output", &file];
    shell.read(&again).refused(1, &["would replace a file", "orders.parquet"]);
}

#[tokio::test]
async fn a_killed_reader_leaves_no_file_of_the_name() {
    let shell = with_an_order().await;
    let path = shell.path("orders.parquet");
    let running = shell.reading(&[&ENDLESS[..], &["--output", &path.display().to_string()]].concat());
    shell.until_file("orders");
    running.signal("KILL");
    assert_eq!(running.ends().0, None);
    assert!(!path.exists(), "{:?}", shell.files_with("orders"));
}

#[tokio::test]
async fn a_reader_that_is_stopped_early_keeps_no_file() {
    let shell = with_an_order().await;
    let file = shell.path("orders.csv").display().to_string();
    let read = ["--source", "orders:earliest", "--until", "2100-01-01", "--format", "csv", "--output", &file];
    let running = shell.reading(&read);
    shell.until_file("orders");
    running.signal("TERM");
    let (code, errors) = running.ends();
    assert!(code == Some(1) && errors.contains("interrupted before its end"), "{code:?}: {errors}");
    assert_eq!(shell.files_with("orders"), [""; 0]);
}

#[tokio::test]
async fn a_reader_of_the_pipe_may_go() {
    let shell = with_an_order().await;
    let orders: Vec<_> = (0..2_000).map(|_| Message::new("orders", vec![b'x'; 1_000])).collect();
    let store = messagekit_sqlite::SqliteStore::open(shell.file()).await.unwrap();
    let mut tx = messagekit::Store::begin(&store).await.unwrap();
    messagekit::adapter::OutboxRows::write(&store, &mut tx, &orders).await.unwrap();
    messagekit::Store::commit(&store, tx).await.unwrap();
    store.close().await.unwrap();
    for format in ["ndjson", "csv", "arrow", "parquet"] {
        let line = format!(
            "'{}' replay read --source orders:earliest --batch-size 10 --format {format} --database 'sqlite:{}' | head -c 5",
            env!("CARGO_BIN_EXE_messagekit"),
            shell.file().display()
        );
        let mut bash = Command::new("bash");
        let output = bash.args(["-o", "pipefail", "-c", &line]).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.stdout.len(), 5, "{format}");
        assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]), "{format}");
    }
}

#[tokio::test]
async fn a_terminal_gets_text_only() {
    // Python's terminal: every machine of the tests has it.
    const TERMINAL: &str =
        "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    let shell = with_an_order().await;
    let database = format!("sqlite:{}", shell.file().display());
    for (format, code, says) in [
        ("arrow", 2, "arrow is nothing for a terminal: write --output FILE"),
        ("parquet", 2, "parquet is nothing for a terminal"),
        ("ndjson", 0, r#""value":{"n":1}"#),
    ] {
        let mut python = Command::new("python3");
        python.args(["-c", TERMINAL, env!("CARGO_BIN_EXE_messagekit"), "replay", "read"]);
        python.args(["--source", "orders:earliest", "--format", format, "--database", &database]);
        let output = python.stdin(Stdio::null()).output().unwrap();
        let shown = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{format}: {shown}");
        assert!(shown.contains(says), "{format}: {shown}");
    }
    let file = shell.path("orders.parquet");
    let mut python = Command::new("python3");
    python.args(["-c", TERMINAL, env!("CARGO_BIN_EXE_messagekit"), "replay", "read", "--format", "parquet"]);
    python.args(["--source", "orders:earliest", "--database", &database, "--output"]).arg(&file);
    assert!(python.stdin(Stdio::null()).output().unwrap().status.success());
    assert!(is_parquet(&file));
}

#[test]
fn an_export_has_the_same_columns() {
    let shell = Shell::with(&["notes"]);
    shell.topics(&["append", "notes", r#"{"n":1}"#, r#"{"n":2}"#]).text();
    shell.topics(&["consume", "notes", "--max", "1"]).text();
    let export = |arguments: &[&str]| shell.topics(&[&["export", "notes"], arguments].concat());
    let csv = export(&["--format", "csv", "--new"]).text();
    let lines: Vec<_> = csv.lines().collect();
    assert_eq!(lines[0], "key,key_encoding,value,value_encoding,topic,partition,offset,timestamp");
    assert!(lines.len() == 2 && lines[1].contains(r#""{""n"":2}",utf8,notes,0,1,"#), "{csv}");
    assert_eq!(export(&["--format", "csv", "--all"]).text().lines().count(), 3);
    let path = shell.path("notes.parquet");
    let output = ["--format", "parquet", "--output", &path.display().to_string()];
    assert_eq!(export(&output).text(), "");
    assert!(is_parquet(&path));
    export(&output).refused(1, &["would replace a file", "notes.parquet"]);
    assert_eq!(export(&["--format", "ndjson"]).text(), export(&[]).text());
    shell.topics(&["export", "absent", "--format", "csv"]).refused(1, &["no such topic", "absent"]);
}
