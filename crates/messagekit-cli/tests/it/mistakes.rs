//! Mistakes: one line with the error, its value and the cure; exit code 2 for a usage error, 1 for a failure.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use messagekit_sqlite::rusqlite::Connection;
use tempfile::TempDir;

use crate::command::{AWAY, Answer, messagekit, messagekit_with, on};
use crate::console::Console;

/// The commands that only read or act, then those that migrate.
const COMMANDS: [&[&str]; 14] = [
    &["dlq", "list"],
    &["dlq", "groups"],
    &["dlq", "show", "1"],
    &["dlq", "retry", "1"],
    &["dlq", "discard", "--all", "--yes"],
    &["dlq", "undo", "1"],
    &["replay", "events"],
    &["replay", "count"],
    &["replay", "start", "--all", "--yes"],
    &["replay", "list"],
    &["replay", "show", "1"],
    &["replay", "cancel", "1"],
    &["migrate"],
    &["migrate", "--status"],
];
const LOOKING: usize = COMMANDS.len() - 2;

/// Returns the files of a folder with their bytes.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).unwrap_or_default())
        })
        .collect();
    files.sort();
    files
}

/// Expects these commands to fail with the file's name, and to leave the folder unchanged.
fn all_refused(folder: &Path, file: &Path, commands: &[&[&str]], says: &[&str]) {
    let before = contents(folder);
    for command in commands {
        let name = file.display().to_string();
        on(file, command).refused(1, &[&[&*name], says].concat());
        assert_eq!(contents(folder), before, "{command:?} has changed something");
    }
}

#[test]
fn commands_that_are_not_understood_end_with_2() {
    let database = ["--database", "sqlite:never.db"];
    let with = |arguments: &[&'static str]| messagekit(&[arguments, &database].concat());
    messagekit(&["burn"]).refused(2, &["burn"]);
    with(&["dlq", "list", "--everything"]).refused(2, &["--everything"]);
    with(&["dlq", "list", "--limit", "0"]).refused(2, &["--limit", "1..=1000"]);
    with(&["dlq", "list", "--limit", "many"]).refused(2, &["--limit", "many"]);
    with(&["dlq", "list", "--state", "gone"])
        .refused(2, &["gone", "retry_scheduled, blocked, dead, retry_requested, resolved, discarded"]);
    with(&["dlq", "show", "first"]).refused(2, &["first", "the number of a failed message, such as 7"]);
    with(&["dlq", "show", "first"]).refused(2, &["see messagekit dlq show --help"]);
    messagekit(&["burn"]).refused(2, &["see messagekit --help"]);
    with(&["dlq", "retry", "first"]).refused(2, &["such as 7", "see messagekit dlq retry --help"]);
    with(&["dlq", "show"]).refused(2, &["<ID>"]);
    for act in ["retry", "discard", "undo"] {
        with(&["dlq", act]).refused(2, &["name failed messages by their numbers", "--all"]);
        with(&["dlq", act, "1", "--kind", "failed"]).refused(2, &["exclude each other"]);
        with(&["dlq", act, "1", "--all"]).refused(2, &["cannot be used with"]);
        with(&["dlq", act, "first"]).refused(2, &["first"]);
        with(&["dlq", act, "--state", "resolved"])
            .refused(2, &["does nothing", "resolved", "leave --state out"]);
    }
    with(&["dlq", "list", "--origin", "moon"]).refused(2, &["moon", "store, queue, topic"]);
    with(&["dlq", "list", "--since", "soon"]).refused(2, &["soon", "2h for two hours ago"]);
    with(&["dlq", "list", "--key", "a", "--key-hex", "61"]).refused(2, &["cannot be used with"]);
    with(&["dlq", "list", "--key-hex", "6"]).refused(2, &["two for each byte"]);
    with(&["dlq", "groups", "--limit", "0"]).refused(2, &["--limit", "1..=1000"]);
    messagekit(&["demo", "--orders", "0"]).refused(2, &["--orders", "1..=5000000"]);
    messagekit(&["demo", "--order", "7"]).refused(2, &["'--order' found; tip: "]);
    messagekit(&["dlq", "list"]).refused(2, &["--database <URL> (or MESSAGEKIT_DATABASE_URL)"]);
    messagekit(&["migrate", "--database"]).refused(2, &["--database <URL>"]);
    messagekit_with(&["migrate"], &[("MESSAGEKIT_DATABASE_URL", "nonsense")])
        .refused(2, &["write sqlite:PATH"]);
    assert!(!Path::new("never.db").exists());
}

#[test]
fn a_url_of_another_kind_is_refused() {
    for url in ["mysql://me@host/shop", "shop.db", "SQLITE:shop.db", ""] {
        messagekit(&["dlq", "list", "--database", url]).refused(2, &["write sqlite:PATH"]);
    }
    messagekit(&["migrate", "--database", "sqlite:"]).refused(2, &["the path is missing: write sqlite:PATH"]);
    messagekit(&["migrate", "--database", "sqlite::memory:"]).refused(2, &["name a file"]);
}

#[test]
fn a_password_in_a_url_is_not_repeated() {
    let url = "mysql://me:s3cret@host/shop";
    let given = messagekit(&["dlq", "list", "--database", url]);
    let help = messagekit_with(&["dlq", "list", "--help"], &[("MESSAGEKIT_DATABASE_URL", url)]);
    for answer in [&given, &help] {
        assert!(!answer.err.contains("s3cret") && !answer.out.contains("s3cret"), "{answer:?}");
    }
    given.refused(2, &["write sqlite:PATH"]);
}

#[test]
fn a_reader_that_leaves_early_is_no_panic() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = Command::new(env!("CARGO_BIN_EXE_messagekit"))
        .args(["migrate", "--dry-run", "--database", "sqlite:never.db"])
        .stdout(writer)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(!err.contains("panicked") && output.status.code() != Some(101), "{err}");
}

#[test]
fn help_and_version_are_no_mistakes() {
    for arguments in [
        &["--help"][..],
        &["dlq", "--help"],
        &["migrate", "--help"],
        &["connector", "--help"],
        &["help", "dlq"],
        &["dlq", "list", "--help"],
        &["dlq", "groups", "--help"],
        &["dlq", "show", "--help"],
        &["dlq", "retry", "--help"],
        &["dlq", "discard", "--help"],
        &["dlq", "undo", "--help"],
        &["replay", "--help"],
        &["replay", "events", "--help"],
        &["replay", "count", "--help"],
        &["replay", "start", "--help"],
        &["replay", "list", "--help"],
        &["replay", "show", "--help"],
        &["replay", "cancel", "--help"],
        &["admin", "--help"],
        &["admin", "token", "--help"],
        &["bookkeeper", "--help"],
    ] {
        assert!(messagekit(arguments).text().contains("Usage: messagekit"));
    }
    assert!(messagekit(&["--version"]).text().starts_with("messagekit "));
    let nothing = messagekit(&[]);
    assert_eq!(
        (nothing.code, nothing.out.is_empty(), nothing.err.contains("Usage: messagekit")),
        (2, true, true)
    );
}

#[test]
fn a_missing_file_is_not_made_by_looking_at_failed_messages() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("shop.db");
    all_refused(folder.path(), &file, &COMMANDS[..LOOKING], &["no such database file"]);
}

#[test]
fn a_missing_folder_is_named() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("none/shop.db");
    all_refused(
        folder.path(),
        &file,
        &COMMANDS[LOOKING..LOOKING + 1],
        &["folder does not exist: create it first"],
    );
    all_refused(folder.path(), &file, &COMMANDS[..LOOKING], &["no such database file"]);
}

#[test]
fn a_folder_is_not_a_file() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("shop.db");
    fs::create_dir(&file).unwrap();
    all_refused(folder.path(), &file, &COMMANDS, &["path is a folder: name a file in it"]);
}

#[test]
fn a_path_below_a_file_is_refused() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("file"), "text").unwrap();
    all_refused(
        folder.path(),
        &folder.path().join("file/shop.db"),
        &COMMANDS[LOOKING..LOOKING + 1],
        &["file cannot be"],
    );
}

#[cfg(target_os = "linux")]
#[test]
fn folder_without_write_access_is_refused() {
    // Permissions do not bind root, but even root cannot create files in /proc.
    on(Path::new("/proc/shop.db"), &["migrate"])
        .refused(1, &["/proc/shop.db", "check the rights on its folder"]);
}

#[test]
fn what_is_no_database_is_refused_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("notes.txt");
    for bytes in [&b"this is a text and nothing else".repeat(100)[..], b"ab"] {
        fs::write(&file, bytes).unwrap();
        all_refused(folder.path(), &file, &COMMANDS, &["not a SQLite database", "move the file away"]);
    }
}

#[tokio::test]
async fn a_file_that_was_cut_short_is_refused() {
    let console = Console::empty().await;
    let whole = fs::read(console.file()).unwrap();
    fs::write(console.file(), &whole[..whole.len() / 2]).unwrap();
    all_refused(
        console.file().parent().unwrap(),
        &console.file(),
        &COMMANDS,
        &["damaged: restore it from a backup"],
    );
}

#[tokio::test]
async fn tables_of_a_newer_program_are_refused() {
    let console = Console::empty().await;
    let later = "INSERT INTO messagekit_schema (version, name, applied_at) VALUES (99, 'from the future', 0)";
    Connection::open(console.file()).unwrap().execute_batch(later).unwrap();
    all_refused(
        console.file().parent().unwrap(),
        &console.file(),
        &COMMANDS,
        &["tables are newer than this program", "upgrade"],
    );
}

#[test]
fn commands_on_a_file_without_tables_are_refused_with_the_cure() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("theirs.db");
    Connection::open(&file).unwrap().execute_batch("CREATE TABLE theirs (a TEXT)").unwrap();
    let says = ["no messagekit tables in this file", "`messagekit migrate` would add them"];
    all_refused(folder.path(), &file, &COMMANDS[..LOOKING], &says);
}

#[tokio::test]
async fn a_failed_message_that_does_not_exist_is_a_failure() {
    let console = Console::empty().await;
    on(&console.file(), &["dlq", "show", "7"]).refused(1, &["there is no failed message 7"]);
    on(&console.file(), &["dlq", "show", "7", "--json"]).refused(1, &["there is no failed message 7"]);
    let retried = on(&console.file(), &["dlq", "retry", "7"]);
    assert_eq!((retried.code, &*retried.out), (1, "7: there is no failed message 7\n"));
}

/// Runs a command on a URL of PostgreSQL, whose server may not exist.
fn list_at(server: &str, parameters: &str) -> Answer {
    messagekit(&["dlq", "list", "--database", &format!("postgres://me:s3cret@{server}/shop?{parameters}")])
}

#[test]
fn urls_of_hosted_postgresql_work_or_say_what_cannot() {
    for (server, parameters, says) in [
        (AWAY, "sslmode=require&channel_binding=require", ["channel_binding", "write sslmode=verify-full"]),
        (AWAY, "pgbouncer=true", ["pgbouncer", "the URL of PostgreSQL itself"]),
        (AWAY, "target_session_attrs=standby", ["target_session_attrs", "the URL of the primary"]),
        (AWAY, "gssencmode=require", ["gssencmode", "prefer or disable"]),
        (AWAY, "connect_timeout=soon", ["connect_timeout", "from 1 to 600"]),
        (AWAY, "connect_timeout=0", ["connect_timeout", "from 1 to 600"]),
        (AWAY, "host=a,b", ["several hosts", "write the primary's"]),
        ("db-1,db-2", "", ["several hosts", "write the primary's"]),
        ("db-1:5432,db-2:5433", "", ["several hosts", "write the primary's"]),
        ("[::1", "", ["cannot be read", "postgres://"]),
        ("[db-1]", "", ["cannot be read", "postgres://"]),
    ] {
        let refused = list_at(server, parameters);
        assert!(!refused.err.contains("s3cret"), "{refused:?}");
        refused.refused(2, &says);
    }
    for parameters in [
        "sslmode=disable&channel_binding=prefer",
        "target_session_attrs=read-write&connect_timeout=20",
        "gssencmode=disable&pgbouncer=false",
    ] {
        list_at(AWAY, parameters).refused(1, &[AWAY, "does not answer: start it"]);
    }
    list_at("", "host=/no/such/folder").refused(1, &["does not answer: start it"]);
}

/// The server takes the connection and says nothing, so only the time limit ends the command.
#[test]
fn connect_timeout_and_ipv6_hosts_of_a_url_are_used() {
    let silent = TcpListener::bind("[::1]:0").unwrap();
    let place = silent.local_addr().unwrap().to_string();
    let says = format!("PostgreSQL at {place} does not answer within 1s");
    list_at(&place, "sslmode=disable&connect_timeout=1").refused(1, &[&says]);
}
