//! `messagekit migrate`.

use messagekit_sqlite::rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

use crate::command::{messagekit, on};

/// Returns the lowest program that can use the tables of this one.
fn lowest() -> u32 {
    messagekit_sqlite::migrations::MIGRATIONS.iter().map(|step| step.lowest_program).max().unwrap_or(0)
}

/// The newest version of the tables.
fn latest() -> u32 {
    let nowhere = std::path::Path::new("/nowhere/shop.db");
    messagekit_sqlite::migrations::status(nowhere).unwrap().latest
}

#[test]
fn migrate_dry_run_prints_the_statements_and_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("shop.db");
    let sql = on(&file, &["migrate", "--dry-run"]).text();
    assert!(!file.exists(), "nothing was made");
    Connection::open_in_memory().unwrap().execute_batch(&sql).unwrap();

    let theirs = "CREATE TABLE theirs (a TEXT); INSERT INTO theirs VALUES ('kept')";
    Connection::open(&file).unwrap().execute_batch(theirs).unwrap();
    let before = std::fs::read(&file).unwrap();
    let answer = on(&file, &["migrate", "--dry-run", "--json"]).json();
    assert_eq!(answer["sql"].as_str().unwrap().trim_end(), sql.trim_end());
    assert_eq!((&answer["current"], &answer["latest"]), (&json!(0), &json!(latest())));
    assert_eq!(std::fs::read(&file).unwrap(), before, "not a byte has changed");
}

#[test]
fn status_says_where_a_file_stands_and_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("shop.db");
    let text = on(&file, &["migrate", "--status"]).text();
    assert!(
        text.contains(&format!("version 0 of {}, to come: schema", latest())) && text.contains("shop.db"),
        "{text}"
    );
    assert!(!file.exists(), "nothing was made");

    on(&file, &["migrate"]).text();
    let text = on(&file, &["migrate", "--status"]).text();
    assert!(text.contains(&format!("version {}, up to date", latest())), "{text}");
    let status = on(&file, &["migrate", "--status", "--json"]).json();
    assert_eq!(
        status,
        json!({ "before": latest(), "current": latest(), "lowest_program": lowest(), "latest": latest(), "pending": [] })
    );
}

#[test]
fn migrating_keeps_what_is_there_and_twice_is_once() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("shop.db");
    let theirs = "CREATE TABLE theirs (a TEXT); INSERT INTO theirs VALUES ('kept'); PRAGMA user_version = 7";
    Connection::open(&file).unwrap().execute_batch(theirs).unwrap();
    let first = on(&file, &["migrate", "--json"]).json();
    assert_eq!(
        first,
        json!({ "before": 0, "current": latest(), "lowest_program": lowest(), "latest": latest(), "pending": [] })
    );
    let second = on(&file, &["migrate"]).text();
    assert!(second.contains(&format!("version {}, up to date", latest())), "{second}");
    assert_eq!(on(&file, &["migrate", "--dry-run"]).text().lines().count(), 1, "one line: nothing to do");
    let conn = Connection::open(&file).unwrap();
    let kept: (String, i64) = conn
        .query_row("SELECT a, (SELECT user_version FROM pragma_user_version) FROM theirs", (), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!(kept, ("kept".to_owned(), 7));
}

#[test]
fn only_one_of_dry_run_and_status_can_be_asked_for() {
    let answer = messagekit(&["migrate", "--dry-run", "--status", "--database", "sqlite:never.db"]);
    answer.refused(2, &["--dry-run", "cannot be used with", "--status"]);
}

#[test]
fn a_folder_that_is_not_there_is_refused_by_looking_too() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = format!("sqlite:{}", folder.path().join("none/shop.db").display());
    for step in [&["--status"][..], &["--dry-run"]] {
        let arguments = [&["migrate", "--database", &file], step].concat();
        messagekit(&arguments).refused(1, &["folder does not exist: create it first", "none/shop.db"]);
    }
}

#[test]
fn usable_tables_ahead_of_the_program_are_named_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("shop.db");
    on(&file, &["migrate"]).text();
    let next = "INSERT INTO messagekit_schema (version, name, applied_at, lowest_program) VALUES (?1, 'next', 0, ?2)";
    Connection::open(&file).unwrap().execute(next, (latest() + 1, latest())).unwrap();
    let says = format!("version {}, newer than this program ({}) and usable by it", latest() + 1, latest());
    for arguments in [&["migrate", "--status"][..], &["migrate"]] {
        let text = on(&file, arguments).text();
        assert!(text.contains(&says), "{text}");
    }
    on(&file, &["status"]).text();
    let found = on(&file, &["doctor"]).text();
    assert!(found.contains("passed "), "{found}");
}
