//! The commands of the page on statements, unchanged and in their order.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Each command of the page, and what it must print. The shell of SQLite is Python's, which every machine of the tests has.
const COMMANDS: &[(&str, &str)] = &[
    ("messagekit migrate", "version 0"),
    (r#"messagekit sql "CREATE TOPIC shop.orders""#, "topic shop.orders created"),
    (r#"sqlite3 shop.db "CREATE TABLE orders (id INTEGER PRIMARY KEY, status TEXT)""#, ""),
    (
        r#"messagekit sql "ALTER TOPIC shop.orders ADD SOURCE orders ON INSERT, UPDATE WHERE NEW.status = 'paid'""#,
        "table orders is a source of topic shop.orders",
    ),
    (r#"sqlite3 shop.db "INSERT INTO orders VALUES (7, 'paid'), (8, 'open')""#, ""),
    (
        r#"messagekit sql "CONSUME FROM shop.orders GROUP 'shipping' FROM EARLIEST LIMIT 10""#,
        r#""row":{"id":7,"status":"paid"}"#,
    ),
    (r#"messagekit sql "ACK shop.orders GROUP 'shipping' UPTO OFFSET 0""#, "committed_offset"),
    (
        r#"messagekit sql --json "SELECT group_id, last_acked_offset, lag FROM system.topic_offsets""#,
        r#""rows":[["shipping",0,0]]"#,
    ),
    (r#"echo "SHOW TOPICS; SHOW ROUTES" | messagekit sql"#, "insert, update"),
    (r#"messagekit sql "RESET CONSUMER GROUP 'shipping' ON shop.orders TO EARLIEST""#, "next_offset"),
];

/// A shell of SQLite.
const SQLITE3: &str = "#!/bin/sh\nexec python3 -c 'import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as file: file.executescript(sys.argv[2])' \"$@\"\n";

fn page() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/sql.md")).unwrap()
}

fn written() -> Vec<String> {
    let page = page();
    let blocks = page.split("\n```").skip(1).step_by(2);
    let shell = blocks.filter_map(|block| block.strip_prefix("sh\n"));
    shell.flat_map(str::lines).map(str::to_owned).collect()
}

struct Shell {
    folder: TempDir,
    path: String,
}

impl Shell {
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt;

        let folder = TempDir::new().unwrap();
        let sqlite3 = folder.path().join("sqlite3");
        fs::write(&sqlite3, SQLITE3).unwrap();
        fs::set_permissions(&sqlite3, fs::Permissions::from_mode(0o755)).unwrap();
        let ours = Path::new(env!("CARGO_BIN_EXE_messagekit")).parent().unwrap();
        let known = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{}:{known}", folder.path().display(), ours.display());
        Self { folder, path }
    }

    /// Returns whether the command has succeeded, and both of its outputs.
    fn run(&self, line: &str) -> (bool, String, String) {
        let mut shell = Command::new("sh");
        shell.args(["-euc", line]).current_dir(self.folder.path()).stdin(Stdio::null());
        shell.env("PATH", &self.path).env("MESSAGEKIT_DATABASE_URL", "sqlite:shop.db");
        let output = shell.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    }
}

#[test]
fn commands_of_the_page_on_statements_do_what_it_says() {
    let known: Vec<&str> = COMMANDS.iter().map(|(line, _)| *line).collect();
    assert_eq!(written(), known, "the page has other commands than its test");
    let shell = Shell::new();
    for (line, prints) in COMMANDS {
        let (is_done, printed, errors) = shell.run(line);
        assert!(is_done && printed.contains(prints), "{line}: {printed}{errors}");
        assert_eq!(errors, "", "{line}");
    }
}

#[test]
fn a_statement_that_cannot_be_read_is_shown_with_its_token() {
    let shell = Shell::new();
    assert!(shell.run("messagekit migrate").0);
    let (is_done, printed, errors) =
        shell.run(r#"messagekit sql "CREATE TOPIC shop.orders; CONSUME FROM shop.orders GROUP shipping""#);
    assert!(!is_done && printed.is_empty(), "{printed}");
    assert!(
        errors.contains("\n                                                         ^^^^^^^^\n"),
        "{errors}"
    );
    let (_, topics, _) = shell.run("messagekit sql 'SHOW TOPICS'");
    assert_eq!(topics, "no rows\n", "nothing of the script has run");
    let (is_done, _, errors) = shell.run(r#"messagekit sql "CONSUME FROM shop.orders GROUP shipping""#);
    let example = page().split("```text\n").nth(1).unwrap().split("```").next().unwrap().to_owned();
    assert_eq!((is_done, errors), (false, example));
}
