//! `messagekit topics import --minikafka`.

use messagekit_sqlite::rusqlite::Connection;
use serde_json::{Value, json};

use crate::shell::Shell;

/// A file as minikafka writes it: two topics, whose records alternate.
fn minikafka(shell: &Shell) -> String {
    let path = shell.path("minikafka.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch(
        r#"CREATE TABLE topics (name TEXT PRIMARY KEY, schema_json TEXT NOT NULL, schema_hash TEXT NOT NULL,
             dedup_fields TEXT NOT NULL, created_at TEXT NOT NULL);
           CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, payload_json TEXT NOT NULL,
             schema_hash TEXT NOT NULL, payload_hash TEXT NOT NULL, dedup_hash TEXT, created_at TEXT NOT NULL,
             handled_at TEXT, status TEXT NOT NULL CHECK (status IN ('new', 'handled')));
           INSERT INTO topics VALUES
             ('items', '{"type":"object","title":"Item","properties":{"url":{"title":"Url","type":"string"}},"required":["url"]}',
              'h', '["url"]', '2026-01-01T00:00:00+00:00'),
             ('notes', '{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}',
              'h', '[]', '2026-01-02T00:00:00+00:00');
           INSERT INTO messages (topic, payload_json, schema_hash, payload_hash, created_at, status) VALUES
             ('items', '{"url":"a"}', 'h', 'p', '2026-01-03T00:00:00+00:00', 'handled'),
             ('notes', '{"text":"one"}', 'h', 'p', '2026-01-03T00:00:00+00:00', 'new'),
             ('notes', '{"text":"one"}', 'h', 'p', '2026-01-03T00:00:00+00:00', 'handled'),
             ('items', '{"url":"b"}', 'h', 'p', '2026-01-03T00:00:00+00:00', 'new');"#,
    )
    .unwrap();
    path.display().to_string()
}

fn change(path: &str, sql: &str) {
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

fn records(shell: &Shell, topic: &str) -> Vec<(Value, Value, Value)> {
    let text = shell.topics(&["export", topic]).text();
    let record = |line: &str| {
        let record: Value = serde_json::from_str(line).unwrap();
        (record["id"].clone(), record["status"].clone(), record["data"].clone())
    };
    text.lines().map(record).collect()
}

#[test]
fn a_minikafka_file_is_imported_once() {
    let shell = Shell::new();
    let old = minikafka(&shell);
    let import = || shell.topics(&["import", "--minikafka", &old]);
    assert_eq!(import().text(), "2 topics and 4 records imported\n");
    let items =
        [(json!(1), json!("handled"), json!({"url": "a"})), (json!(4), json!("new"), json!({"url": "b"}))];
    let notes = [
        (json!(2), json!("new"), json!({"text": "one"})),
        (json!(3), json!("handled"), json!({"text": "one"})),
    ];
    import().refused(1, &["has records already", "items", "nothing was imported"]);
    assert_eq!(records(&shell, "items"), items);
    assert_eq!(records(&shell, "notes"), notes);
    let shown = shell.topics(&["show", "items", "--json"]).json();
    assert_eq!((&shown["dedup"], &shown["schema"]["required"]), (&json!(["url"]), &json!(["url"])));
    assert_eq!(shell.topics(&["append", "items", "--if-new", r#"{"url":"a"}"#]).text(), "duplicate of 1\n");
    shell.topics(&["append", "notes", r#"{"text":1}"#]).refused(1, &["/text"]);
}

#[test]
fn a_minikafka_file_is_not_opened_as_a_database() {
    let shell = Shell::new();
    let old = minikafka(&shell);
    std::fs::rename(&old, shell.file()).unwrap();
    let before = std::fs::read(shell.file()).unwrap();
    for arguments in [&["list"][..], &["create", "items"], &["append", "items", "{}"]] {
        shell.topics(arguments).refused(1, &["file is of minikafka", "topics import --minikafka"]);
    }
    assert_eq!(std::fs::read(shell.file()).unwrap(), before);
}

#[test]
fn imports_at_the_same_time_double_nothing() {
    let shell = Shell::with(&["other"]);
    let old = minikafka(&shell);
    // Without a dedup rule nothing but the check of the import keeps its records apart.
    change(&old, "DELETE FROM messages WHERE topic = 'items'; DELETE FROM topics WHERE name = 'items'");
    let mut imports: Vec<_> = (0..4).map(|_| shell.start(&["import", "--minikafka", &old])).collect();
    let ended = imports.iter_mut().map(|import| import.child.wait().unwrap().success());
    let ended = ended.filter(|succeeded| *succeeded).count();
    assert_eq!((ended, records(&shell, "notes").len()), (1, 2));
}

#[test]
fn a_failed_import_can_be_repeated() {
    let shell = Shell::new();
    let old = minikafka(&shell);
    change(&old, "UPDATE messages SET payload_json = 's3cret' WHERE id = 3");
    let answer = shell.topics(&["import", "--minikafka", &old]);
    answer.explained(&["no JSON", "message 3"]);
    assert!(answer.code == 1 && !answer.err.contains("s3cret"), "{answer:?}");
    assert_eq!((records(&shell, "items"), records(&shell, "notes")), (Vec::new(), Vec::new()));
    change(&old, "UPDATE messages SET payload_json = '{\"n\":18446744073709551616}' WHERE id = 3");
    let wide = shell.topics(&["import", "--minikafka", &old]);
    wide.refused(1, &["does not fit into 64 bits", "message 3"]);
    assert_eq!(records(&shell, "items"), []);
    change(&old, "UPDATE messages SET payload_json = '{\"text\":\"three\"}' WHERE id = 3");
    assert_eq!(shell.topics(&["import", "--minikafka", &old]).text(), "2 topics and 4 records imported\n");
}

#[test]
fn a_file_that_cannot_be_imported_is_named() {
    let shell = Shell::new();
    let import = |path: &str| shell.topics(&["import", "--minikafka", path]);
    import(&shell.path("none.db").display().to_string()).refused(1, &["no such minikafka file", "none.db"]);
    import(&shell.write("text.db", &"a text ".repeat(1_000))).refused(1, &["no minikafka file", "text.db"]);
    let old = minikafka(&shell);
    assert!(!shell.file().exists(), "a refused import has made a file");
    shell.topics(&["import", "items", "--minikafka", &old]).refused(2, &["cannot be used with"]);
    change(&old, "UPDATE messages SET topic = 'gone' WHERE id = 2");
    import(&old).refused(1, &["topic that the minikafka file does not have", "message 2"]);
    change(&old, "UPDATE topics SET dedup_fields = '{' WHERE name = 'notes'");
    import(&old).refused(1, &["rules that cannot be read", "notes"]);
}

#[test]
fn a_topic_with_other_rules_is_not_filled() {
    let shell = Shell::with(&["items"]);
    let old = minikafka(&shell);
    shell.topics(&["import", "--minikafka", &old]).refused(1, &["different dedup config", "items"]);
    assert_eq!(records(&shell, "items"), []);
}
