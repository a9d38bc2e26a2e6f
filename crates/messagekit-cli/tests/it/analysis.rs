//! pyarrow, Polars and DuckDB open what the program writes. They are installed once per version, into a folder below `target`.

use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use messagekit::Message;
use messagekit::Store;
use messagekit::adapter::OutboxRows;
use messagekit_sqlite::SqliteStore;

use crate::shell::Shell;

/// Returns the interpreter that has the packages.
pub(crate) fn python() -> PathBuf {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap();
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/requirements.txt");
    let wanted = fs::read_to_string(&list).unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("analysis");
    let mark = folder.join("installed.txt");
    if !fs::read_to_string(&mark).is_ok_and(|installed| installed == wanted) {
        let make = "python3 with its module venv makes an environment: install python3 and python3-venv";
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder), make);
        let fetch = "pip fetches pyarrow, polars and duckdb from the package registry: is it reachable?";
        let mut pip = Command::new(folder.join("bin/pip"));
        pip.args(["install", "--quiet", "--no-compile", "--disable-pip-version-check", "--requirement"]);
        run(pip.arg(&list), fetch);
        fs::write(mark, wanted).unwrap();
    }
    folder.join("bin/python")
}

/// Runs a program to its end, and returns what it has said.
pub(crate) fn run(command: &mut Command, what: &str) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{what} ({error})"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{what}\n{said}\n{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// Appends messages, each in a transaction of its own, and so each at a later time.
pub(crate) async fn append(shell: &Shell, messages: &[Message]) {
    let store = SqliteStore::options().partitions(NonZeroU32::MIN).open(shell.file()).await.unwrap();
    for message in messages {
        let before = jiff::Timestamp::now().as_millisecond();
        let mut tx = store.begin().await.unwrap();
        store.write(&mut tx, std::slice::from_ref(message)).await.unwrap();
        store.commit(tx).await.unwrap();
        while jiff::Timestamp::now().as_millisecond() == before {
            std::thread::yield_now();
        }
    }
    store.close().await.unwrap();
}

#[tokio::test]
async fn pyarrow_polars_and_duckdb_open_what_is_written() {
    let shell = Shell::new();
    let messages = [
        Message::new("orders", r#"{"n":1}"#).with_key("o-1").with_header("id", "m-1"),
        Message::new("bills", r#"{"n":2}"#).with_header("id", "m-2"),
        Message::new("orders", vec![0xfe, 1]).with_key(vec![0xff]).with_header("tenant", vec![0xff]),
    ];
    append(&shell, &messages).await;
    let read = ["--source", "orders:earliest", "--source", "bills:earliest"];
    for format in ["arrow", "parquet", "csv"] {
        let file = shell.path(&format!("all.{format}")).display().to_string();
        let output = ["--format", format, "--columns", "headers,event-id", "--output", &*file];
        assert_eq!(shell.read(&[&read[..], &output].concat()).text(), "");
    }
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/open_each.py");
    let mut python = Command::new(python());
    python.args(["-W", "error"]).arg(program).arg(shell.path("")).env("TZ", "America/New_York");
    assert_eq!(run(&mut python, "the files are opened"), "pyarrow, Polars, DuckDB\n");
}
