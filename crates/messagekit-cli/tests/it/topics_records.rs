//! `messagekit topics append`, `consume`, `export` and `import`, with pipes.

use std::io::Write;

use messagekit_sqlite::rusqlite::Connection;
use serde_json::{Value, json};

use crate::shell::{Shell, ended};
use crate::topics::links;

fn documents(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn new(shell: &Shell, topic: &str) -> u64 {
    shell.topics(&["show", topic, "--json"]).json()["new"].as_u64().unwrap()
}

#[test]
fn each_line_of_standard_input_is_a_record() {
    let shell = Shell::with(&["notes"]);
    let input = b"{\"a\":1}\n\n  \r\n{\"a\":2}\r\n{\"a\":3}";
    assert_eq!(shell.piped(&["append", "notes"], input).text(), "1\n2\n3\n");
    assert_eq!(shell.piped(&["append", "notes"], b"").text(), "");
    let data = shell.topics(&["consume", "notes"]).text();
    assert_eq!(documents(&data), [json!({"a": 1}), json!({"a": 2}), json!({"a": 3})]);
}

#[test]
fn many_lines_are_appended_in_order() {
    let shell = Shell::with(&["notes"]);
    let input: String = (1..=5_000).map(|number| format!("{{\"n\":{number}}}\n")).collect();
    let ids: String = (1..=5_000).map(|id| format!("{id}\n")).collect();
    assert_eq!(shell.piped(&["append", "notes"], input.as_bytes()).text(), ids);
    let data = shell.topics(&["consume", "notes", "--no-ack"]).text();
    assert!(documents(&data).iter().map(|record| record["n"].as_u64().unwrap()).eq(1..=5_000));
}

/// A pipeline in which the second record fails.
async fn failed_once(shell: &Shell) {
    let topics = messagekit_topics::Topics::open(shell.file()).await.unwrap();
    let (notes, copies) =
        (topics.untyped("notes").open().await.unwrap(), topics.untyped("copies").open().await.unwrap());
    let copy = notes.pipe(async |note: Value| if note["n"] == 2 { Err("refused") } else { Ok(note) });
    copy.to(&copies).run().await.unwrap_err();
    topics.store().clone().close().await.unwrap();
}

#[tokio::test]
async fn consume_goes_on_behind_a_record_that_a_pipeline_failed_on() {
    let shell = Shell::with(&["notes"]);
    shell.piped(&["append", "notes"], b"{\"n\":1}\n{\"n\":2}\n{\"n\":3}").text();
    failed_once(&shell).await;
    shell.piped(&["append", "notes"], b"{\"n\":4}").text();
    let consumed = shell.topics(&["consume", "notes"]);
    assert!(consumed.code == 0 && consumed.out.ends_with("{\"n\":4}\n"), "{consumed:?}");
    let failed = "record is a failed message of the consumer: retry or discard that (topic notes, record 2)";
    assert!(consumed.err.starts_with(failed), "{}", consumed.err);
    assert!(consumed.err.contains("messagekit dlq list --state open --consumer default"), "{}", consumed.err);
    shell.piped(&["append", "notes"], b"{\"n\":5}\n{\"n\":6}").text();
    for n in [5, 6] {
        let one = shell.topics(&["consume", "notes", "--max", "1"]);
        assert!(one.out.contains(&format!("{{\"n\":{n}}}")), "one that stays open is not the last: {one:?}");
    }
}

#[test]
fn consume_says_which_records_the_consumer_has_lost() {
    let shell = Shell::with(&["notes"]);
    let append = || shell.piped(&["append", "notes"], b"{\"n\":1}\n{\"n\":2}\n{\"n\":3}").text();
    let statement = |statement: &str| crate::command::on(&shell.file(), &["sql", statement]);
    append();
    for claim in [&[][..], &["--claim", "1"]] {
        let consumer = format!("c{}", claim.len());
        let consume = [&["consume", "notes", "--consumer", &consumer], claim].concat();
        assert_eq!(shell.topics(&[&consume[..], &["--max", "1"]].concat()).text(), "{\"n\":1}\n");
        statement("CLEAR TOPIC notes").text();
        append();
        let consumed = shell.topics(&consume);
        assert!(consumed.err.contains("deleted"), "{claim:?}: {}", consumed.err);
        assert_eq!((consumed.code, consumed.out.lines().count()), (0, 3), "{claim:?}");
    }
    statement("CONSUME FROM notes GROUP 'g' FROM EARLIEST LIMIT 1").text();
    statement("ACK notes GROUP 'g' UPTO OFFSET 6").text();
    statement("CLEAR TOPIC notes").text();
    let consumed = statement("CONSUME FROM notes GROUP 'g'");
    assert!(consumed.err.contains("offsets 7 to 8 of partition 0"), "{}", consumed.err);
    assert_eq!(consumed.out, "no rows\n");
}

#[test]
fn known_records_are_refused_or_skipped() {
    let shell = links();
    let append = |arguments: &[&str]| shell.topics(&[&["append", "links"], arguments].concat());
    let (a, b) = (r#"{"url":"a"}"#, r#"{"url":"b"}"#);
    assert_eq!(append(&[a, "--json"]).json(), json!({"id": 1}));
    append(&[a]).refused(1, &["same dedup fields", "argument 1", "record 1"]);
    assert_eq!(append(&["--if-new", a, b]).text(), "duplicate of 1\n2\n");
    let lines = append(&["--if-new", "--json", a, b]).text();
    assert_eq!(documents(&lines), [json!({"duplicate": 1}), json!({"duplicate": 2})]);
}

#[test]
fn what_is_before_a_bad_line_is_appended() {
    let faults = [
        ("{\"url\":\"s3cret\"", "text is no JSON (at column 15, line"),
        ("[\"s3cret\"]", "does not fit the schema"),
        ("{\"url\":\"s3cret\",\"score\":\"s3cret\"}", "/score"),
        ("{\"link\":\"s3cret\"}", "does not fit the schema"),
        ("{\"url\":\"a\"}", "same dedup fields"),
    ];
    for (line, says) in faults {
        let shell = links();
        let input = format!("{{\"url\":\"a\"}}\n\n{{\"url\":\"b\"}}\n{line}\n{{\"url\":\"c\"}}\n");
        let answer = shell.piped(&["append", "links"], input.as_bytes());
        assert_eq!((answer.code, &*answer.out), (1, "1\n2\n"), "{line}");
        answer.explained(&[says, "line 4", "appended_before 2"]);
        assert!(!answer.err.contains("s3cret"), "{answer:?}");
        assert_eq!(new(&shell, "links"), 2, "{line}");
    }
    let shell = Shell::with(&["notes"]);
    let wide = shell.piped(&["append", "notes"], b"{\"n\":1}\n{\"n\":18446744073709551616}\n");
    wide.explained(&["does not fit into 64 bits", "line 2", "appended_before 1"]);
    let shell = links();
    shell.piped(&["append", "links"], b"{\"url\":\"\xff\"}\n").refused(1, &["line is no UTF-8", "line 1"]);
    shell.piped(&["append", "links"], &vec![b' '; 9 << 20]).refused(1, &["longer than", "line 1"]);
}

#[test]
fn records_are_appended_as_they_arrive() {
    let shell = Shell::with(&["notes"]);
    let mut append = shell.start(&["append", "notes"]);
    let follow = shell.start(&["consume", "notes", "--follow", "--max", "2"]);
    let mut stdin = append.stdin();
    for number in 1..=2 {
        writeln!(stdin, "{{\"a\":{number}}}").unwrap();
        assert_eq!(append.line(), number.to_string(), "not before the end of the input");
        assert_eq!(follow.line(), format!("{{\"a\":{number}}}"));
    }
    drop(stdin);
    append.prints_no_more();
    assert!(append.child.wait().unwrap().success());
    follow.prints_no_more();
}

#[test]
fn consumers_have_views_of_their_own() {
    let shell = Shell::with(&["notes"]);
    shell.topics(&["append", "notes", r#"{"a":1}"#, r#"{"a":2}"#]).text();
    let consume = |arguments: &[&str]| shell.topics(&[&["consume", "notes"], arguments].concat()).text();
    assert_eq!(consume(&["--no-ack"]).lines().count(), 2);
    assert_eq!(consume(&["--max", "1"]), "{\"a\":1}\n");
    assert_eq!(consume(&[]), "{\"a\":2}\n");
    assert_eq!(consume(&[]), "");
    let record = consume(&["--consumer", "summaries", "--max", "1", "--records"]);
    let record = &documents(&record)[0];
    assert_eq!(
        (&record["id"], &record["status"], &record["data"]),
        (&json!(1), &json!("new"), &json!({"a": 1}))
    );
    assert_eq!((&record["partition"], &record["offset"]), (&json!(0), &json!(0)));
    shell.topics(&["consume", "notes", "--max", "0"]).refused(2, &["--max"]);
    shell.topics(&["consume", "notes", "--consumer", ""]).refused(2, &["--consumer"]);
}

#[test]
fn a_record_that_was_not_acknowledged_comes_again() {
    let shell = Shell::with(&["notes"]);
    shell.topics(&["append", "notes", r#"{"a":1}"#]).text();
    // No acknowledgement can commit while another program holds the write lock.
    let lock = Connection::open(shell.file()).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut killed = shell.start(&["consume", "notes"]);
    assert_eq!(killed.line(), "{\"a\":1}");
    killed.child.kill().unwrap();
    killed.child.wait().unwrap();
    lock.execute_batch("ROLLBACK").unwrap();
    assert_eq!(shell.topics(&["consume", "notes"]).text(), "{\"a\":1}\n");
    assert_eq!(shell.topics(&["consume", "notes"]).text(), "");
}

#[test]
fn what_is_not_read_stays_new() {
    let shell = Shell::with(&["notes"]);
    shell.topics(&["append", "notes", r#"{"a":1}"#, r#"{"a":2}"#]).text();
    for arguments in [&["consume", "notes"][..], &["consume", "notes", "--follow"], &["export", "notes"]] {
        let ended = ended(shell.unread(arguments));
        assert_eq!((ended.status.code(), &*ended.stderr), (Some(0), &b""[..]), "{arguments:?}");
        assert_eq!(new(&shell, "notes"), 2, "{arguments:?}");
    }
    let mut append = shell.unread(&["append", "notes"]);
    writeln!(append.stdin.as_mut().unwrap(), "{{\"a\":3}}").unwrap();
    // The input stays open: the command ends because its output is closed.
    let ended = ended(append);
    assert_eq!((ended.status.code(), &*ended.stderr), (Some(0), &b""[..]));
}

#[test]
fn a_signal_ends_a_follower_cleanly() {
    for signal in ["INT", "TERM"] {
        let shell = Shell::with(&["notes"]);
        shell.topics(&["append", "notes", r#"{"a":1}"#]).text();
        let mut follow = shell.start(&["consume", "notes", "--follow"]);
        follow.line();
        follow.signal(signal);
        follow.prints_no_more();
        assert_eq!(follow.child.wait().unwrap().code(), Some(0), "{signal}");
        assert_eq!(new(&shell, "notes"), 0, "{signal}");
    }
}

#[test]
fn numbers_keep_all_of_their_digits() {
    let shell = Shell::with(&["prices"]);
    let wide = r#"{"n":0.12345678901234567890123,"price":12345678901234567890.123456789}"#;
    shell.topics(&["append", "prices", wide]).text();
    shell.piped(&["append", "prices"], wide.as_bytes()).text();
    let line = format!("{wide}\n");
    assert_eq!(shell.topics(&["consume", "prices", "--no-ack"]).text(), line.repeat(2));
    for arguments in [
        &["export", "prices"][..],
        &["consume", "prices", "--records", "--no-ack"],
        &["consume", "prices", "--records", "--claim", "2", "--max", "2"],
    ] {
        let printed = shell.topics(arguments).text();
        assert_eq!(printed.matches(&format!("\"data\":{wide}")).count(), 2, "{arguments:?}: {printed}");
    }
    let other = Shell::with(&["prices"]);
    let exported = shell.topics(&["export", "prices"]).text();
    other.piped(&["import", "prices"], exported.as_bytes()).text();
    assert_eq!(other.topics(&["consume", "prices"]).text(), line.repeat(2));
}

#[test]
fn equal_numbers_are_one_key_and_one_duplicate() {
    let shell = Shell::new();
    shell.topics(&["create", "readings", "--dedup", "at,value", "--key", "at"]).text();
    shell.topics(&["append", "readings", r#"{"at":5,"value":[1.50]}"#]).text();
    for same in
        [r#"{"at":5.0,"value":[1.5]}"#, r#"{"at":5e0,"value":[15e-1]}"#, r#"{"at":0.5E1,"value":[1.500]}"#]
    {
        assert_eq!(
            shell.topics(&["append", "readings", "--if-new", same]).text(),
            "duplicate of 1\n",
            "{same}"
        );
    }
    let record = shell.topics(&["consume", "readings", "--records", "--claim", "1"]).text();
    assert!(record.contains(r#""key":{"text":"5"}"#), "{record}");
}

/// A restore moves a backup over the file. The follower's own file no longer has a name, so nothing can follow.
#[test]
fn a_replaced_file_ends_a_follower_with_an_error() {
    let shell = Shell::with(&["notes"]);
    shell.topics(&["append", "notes", r#"{"a":1}"#]).text();
    let backup = shell.path("backup.db");
    shell.topics(&["backup", &backup.display().to_string()]).text();
    let mut follow = shell.start(&["consume", "notes", "--follow"]);
    assert_eq!(follow.line(), "{\"a\":1}");
    std::fs::rename(backup, shell.file()).unwrap();
    follow.prints_no_more();
    assert_eq!(follow.child.wait().unwrap().code(), Some(1));
}

#[test]
fn an_export_can_be_imported() {
    let shell = links();
    shell.topics(&["append", "links", r#"{"url":"a"}"#, r#"{"url":"b"}"#, r#"{"url":"c"}"#]).text();
    shell.topics(&["consume", "links", "--max", "1"]).text();
    let export = |arguments: &[&str]| shell.topics(&[&["export", "links"], arguments].concat()).text();
    let ids = |text: String| {
        documents(&text).iter().map(|record| record["id"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(ids(export(&[])), [1, 2, 3]);
    assert_eq!(export(&["--all"]), export(&[]));
    assert_eq!((ids(export(&["--handled"])), ids(export(&["--new"]))), (vec![1], vec![2, 3]));
    assert_eq!(ids(export(&["--new", "--consumer", "summaries"])), [1, 2, 3]);
    shell.topics(&["export", "links", "--new", "--handled"]).refused(2, &["cannot be used with"]);

    let file = shell.path("links.ndjson").display().to_string();
    assert_eq!(export(&["--output", &file]), "");
    shell
        .topics(&["export", "links", "--output", &file])
        .refused(1, &["would replace a file", "links.ndjson"]);

    let other = links();
    assert_eq!(other.topics(&["import", "links", &file]).text(), "3 imported, 0 known already\n");
    assert_eq!(other.topics(&["import", "links", &file]).text(), "0 imported, 3 known already\n");
    assert_eq!(
        other.topics(&["consume", "links"]).text(),
        shell.topics(&["consume", "links", "--consumer", "x"]).text()
    );
    let third = links();
    let exported = export(&["--new"]);
    assert_eq!(
        third.piped(&["import", "links", "-"], exported.as_bytes()).text(),
        "2 imported, 0 known already\n"
    );
    third.piped(&["import", "links"], b"{\"url\":\"d\"}").refused(1, &["no field data", "line 1"]);
    third.topics(&["import", "links", "none.ndjson"]).refused(1, &["none.ndjson", "cannot be read"]);
    third.topics(&["import"]).refused(2, &["name the topic", "--minikafka"]);
}
