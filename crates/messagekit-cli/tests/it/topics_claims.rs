//! `messagekit topics consume --claim`: several programs share the records of a consumer.

use std::collections::BTreeSet;
use std::process::Command;

use messagekit::adapter::OutboxRows;
use messagekit::{Message, Store};
use messagekit_sqlite::SqliteStore;
use serde_json::Value;

use crate::command::on;
use crate::shell::Shell;

fn numbers(shell: &Shell, numbers: std::ops::Range<u32>) {
    let lines: String = numbers.map(|number| format!("{{\"n\":{number}}}\n")).collect();
    shell.piped(&["append", "jobs"], lines.as_bytes()).text();
}

/// A claim that a program holds while its reader does not read on belongs to no other, until that program ends.
#[test]
fn programs_share_records_and_take_those_of_one_that_ends() {
    let shell = Shell::with(&["jobs"]);
    numbers(&shell, 0..6);
    let consume = ["consume", "jobs", "--consumer", "w", "--claim", "2"];
    let mut seen = BTreeSet::new();
    for line in shell.topics(&[&consume[..], &["--max", "2"]].concat()).text().lines() {
        seen.insert(line.to_owned());
    }
    let mut following = shell.start(&[&consume[..], &["--follow"]].concat());
    for _ in 0..4 {
        assert!(seen.insert(following.line()), "no record comes twice");
    }
    numbers(&shell, 6..7);
    assert_eq!(following.line(), "{\"n\":6}", "it waits for more");
    following.signal("INT");
    following.prints_no_more();
    assert_eq!(following.child.wait().unwrap().code(), Some(0));
    assert_eq!(seen.len(), 6);
    assert_eq!(shell.topics(&consume).text(), "", "all are settled");
}

#[test]
fn a_claim_without_a_reader_of_its_lines_is_given_back() {
    let shell = Shell::with(&["jobs"]);
    numbers(&shell, 0..3);
    let child = shell.unread(&["consume", "jobs", "--consumer", "w", "--claim", "3"]);
    crate::shell::ended(child);
    let records = shell.topics(&["consume", "jobs", "--consumer", "w", "--claim", "3", "--records"]);
    let records: Vec<Value> =
        records.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let shown: Vec<_> =
        records.iter().map(|record| (record["attempt"].as_u64(), record["data"]["n"].as_u64())).collect();
    assert_eq!(shown, [(Some(1), Some(0)), (Some(1), Some(1)), (Some(1), Some(2))], "no attempt is counted");
    assert_eq!((&records[0]["key"], &records[0]["headers"]), (&Value::Null, &serde_json::json!([])));
}

/// As an event that another program has written to the topic.
async fn write(shell: &Shell, payloads: &[&'static [u8]]) {
    let store = SqliteStore::open(shell.file()).await.unwrap();
    let message = |(n, payload): (usize, &&'static [u8])| {
        Message::new("jobs", *payload).with_header("id", format!("m-{n}"))
    };
    let messages: Vec<Message> = payloads.iter().enumerate().map(message).collect();
    let mut tx = store.begin().await.unwrap();
    store.write(&mut tx, &messages).await.unwrap();
    store.commit(tx).await.unwrap();
    store.close().await.unwrap();
}

/// A JSON null, no data, and data that is not JSON are three things: each of the last two is a failed message, and the rest goes on.
#[tokio::test]
async fn data_that_is_not_json_is_a_failed_message_and_others_go_on() {
    for (payload, said) in [(&b"\xff{"[..], "is not JSON"), (b"", "has no data"), (b"{\"n\":", "is not JSON")]
    {
        let shell = Shell::with(&["jobs", "--partitions", "1"]);
        write(&shell, &[b"null", payload, b"{\"n\":2}"]).await;
        let ways = [&["--claim", "9"][..], &["--claim", "1", "--ordered"], &[]];
        for (n, more) in ways.into_iter().enumerate() {
            let consumer = format!("w-{n}");
            let consume = [&["consume", "jobs", "--consumer", &consumer], more].concat();
            let ended = shell.topics(&consume);
            assert_eq!((ended.code, &*ended.out), (0, "null\n{\"n\":2}\n"), "{more:?}: {}", ended.err);
            assert_eq!(ended.err.lines().count(), 1, "{more:?}: {}", ended.err);
            let said = if more.is_empty() { "record 2" } else { said };
            for part in [said, "topic jobs", "messagekit dlq list"] {
                assert!(ended.err.contains(part), "{more:?}: {}", ended.err);
            }
            let again = shell.topics(&consume);
            assert_eq!((&*again.out, &*again.err), ("", ""), "{more:?}");
            let list = on(&shell.file(), &["dlq", "list", "--consumer", &consumer, "--json"]).text();
            assert!(list.contains("\"dead\""), "{more:?}: {list}");
        }
        assert!(shell.topics(&["consume", "jobs", "--no-ack"]).err.contains("record 2"));
        let exported = shell.topics(&["export", "jobs", "--new"]).text();
        let bytes = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, payload);
        assert_eq!(exported.lines().count(), 3, "{exported}");
        assert!(exported.contains(&format!("\"data_base64\":\"{bytes}\"")), "{exported}");
    }
}

#[test]
fn the_lease_comes_from_the_option_or_the_environment() {
    let shell = Shell::with(&["jobs"]);
    let run = |variable: &str, value: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_messagekit"));
        command.args(["topics", "consume", "jobs", "--claim", "1", "--database"]);
        command.arg(format!("sqlite:{}", shell.file().display())).env(variable, value);
        let output = command.output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    for variable in [
        "MESSAGEKIT_TOPICS__VISIBILITY_TIMEOUT_SECS",
        "KALAMDB_TOPIC_VISIBILITY_TIMEOUT_SECS",
        "KALAMDB_VISIBILITY_TIMEOUT_SECS",
    ] {
        assert_eq!(run(variable, "30"), (0, String::new()), "{variable}");
        let (code, text) = run(variable, "0");
        assert!(code == 2 && text.contains("visibility_timeout_secs is 0"), "{variable}: {text}");
    }
    let (code, text) = run("MESSAGEKIT_TOPICS__VISIBILITY_TIMEOUT_SECS", "soon");
    assert!(code == 2 && text.contains("topics.visibility_timeout_secs"), "{text}");
    shell.topics(&["consume", "jobs", "--claim", "1", "--lease", "30s", "--ordered"]).text();
    shell.topics(&["consume", "jobs", "--claim", "1", "--ordered-by-key"]).text();
    shell
        .topics(&["consume", "jobs", "--claim", "1", "--ordered", "--ordered-by-key"])
        .refused(2, &["--ordered"]);
    shell.topics(&["consume", "jobs", "--lease", "30s"]).refused(2, &["--claim"]);
    shell.topics(&["consume", "jobs", "--claim", "1", "--no-ack"]).refused(2, &["cannot be used with"]);
}
