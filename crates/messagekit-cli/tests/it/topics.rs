//! `messagekit topics list`, `show`, `create` and `backup`.

use messagekit::{Event, Outbox};
use messagekit_sqlite::SqliteStore;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::command::messagekit;
use crate::shell::Shell;

#[derive(Event, Serialize, Deserialize)]
#[event(type = "shop.order.placed", key = "order_id")]
struct OrderPlaced {
    order_id: String,
}

pub(crate) const SCHEMA: &str = r#"{"type": "object", "properties": {"url": {"type": "string"}, "score": {"type": "integer"}}, "required": ["url"]}"#;

/// A file with a topic of links: `url` is the dedup field and the key.
pub(crate) fn links() -> Shell {
    let shell = Shell::new();
    let schema = shell.write("schema.json", SCHEMA);
    shell
        .topics(&[
            "create",
            "links",
            "--schema",
            &schema,
            "--dedup",
            "url",
            "--key",
            "url",
            "--partitions",
            "2",
        ])
        .text();
    shell
}

#[test]
fn a_topic_is_made_once() {
    let shell = Shell::new();
    assert_eq!(shell.topics(&["create", "notes"]).text(), "topic notes created\n");
    assert_eq!(shell.topics(&["create", "notes"]).text(), "topic notes has these rules already\n");
    assert_eq!(
        shell.topics(&["create", "notes", "--json"]).json(),
        json!({"topic": "notes", "created": false})
    );
    assert_eq!(shell.topics(&["create", "more", "--json"]).json(), json!({"topic": "more", "created": true}));
}

#[test]
fn other_rules_are_refused_with_every_difference() {
    let shell = links();
    shell.topics(&["create", "links"]).refused(
        1,
        &[
            "topic has other rules",
            "dedup is url there and none here",
            "key is url there and none here",
            "partitions are 2 there and 1 here",
            "a schema there and none here",
        ],
    );
    let text = SCHEMA.replace("integer", "number");
    let other = shell.write("other.json", &text);
    let rules = ["--dedup", "url", "--key", "url", "--partitions", "2"];
    let create =
        |schema: &str| shell.topics(&[&["create", "links", "--schema", schema], &rules[..]].concat());
    create(&other).refused(1, &["score is", "integer", "there and", "number"]);
    let same = shell.path("schema.json").display().to_string();
    assert_eq!(create(&same).text(), "topic links has these rules already\n");

    shell.topics(&["create", "notes"]).text();
    shell.topics(&["create", "notes", "--schema", &same]).refused(1, &["no schema there and one here"]);
    assert_eq!(shell.topics(&["show", "notes", "--json"]).json()["schema"], Value::Null, "it was changed");
}

#[test]
fn a_schema_comes_from_standard_input_too() {
    let shell = Shell::new();
    shell.piped(&["create", "links", "--schema", "-"], SCHEMA.as_bytes()).text();
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    assert_eq!(shell.topics(&["show", "links", "--json"]).json()["schema"], schema);
}

#[test]
fn rules_that_no_topic_can_have_are_refused() {
    let shell = Shell::new();
    let schema = shell.write("schema.json", SCHEMA);
    let broken = shell.write("broken.json", "{");
    let missing = shell.path("missing.json").display().to_string();
    shell.topics(&["create", "links", "--schema", &missing]).refused(1, &["missing.json", "cannot be read"]);
    shell.topics(&["create", "links", "--schema", &broken]).refused(1, &["broken.json", "no JSON"]);
    assert!(!shell.file().exists(), "a refused command has made a file");
    shell
        .topics(&["create", "links", "--schema", &schema, "--dedup", "link"])
        .refused(2, &["link", "score, url"]);
    shell.topics(&["create", "links", "--dedup", "url,url"]).refused(2, &["twice"]);
    shell.topics(&["create", "no topic"]).refused(1, &["no topic"]);
    shell.topics(&["create", "links", "--partitions", "0"]).refused(2, &["--partitions"]);
    assert!(shell.topics(&["list"]).text().starts_with("no topics; those of events are not listed here"));
}

#[tokio::test]
async fn a_topic_of_events_is_left_as_it_is_or_read_as_records() {
    let shell = Shell::new();
    let store = SqliteStore::open(shell.file()).await.unwrap();
    let outbox = Outbox::new(store.clone(), "shop").unwrap();
    let placed = OrderPlaced { order_id: "o-1".to_owned() };
    outbox.transaction(async |tx| Ok(outbox.add(tx, placed).await?)).await.unwrap();
    store.close().await.unwrap();
    let topic = OrderPlaced::TOPIC;
    shell.topics(&["create", topic]).refused(1, &["topic holds events, in 8 partitions: give as many"]);
    assert!(shell.topics(&["list"]).text().starts_with("no topics; those of events are not listed here"));
    shell.topics(&["append", topic, r#"{"x":1}"#]).refused(1, &["no such topic"]);
    let create = ["create", topic, "--partitions", "8"];
    assert_eq!(shell.topics(&create).text(), format!("topic {topic} created\n"));
    assert!(shell.topics(&["consume", topic]).text().contains("o-1"));
}

#[test]
fn topics_are_listed_as_a_consumer_sees_them() {
    let shell = links();
    shell.topics(&["create", "notes"]).text();
    shell.topics(&["append", "links", r#"{"url":"a"}"#, r#"{"url":"b"}"#]).text();
    shell.topics(&["consume", "links", "--max", "1"]).text();
    let seen = |consumer: &str, new: u64, handled: u64| {
        json!({
            "topic": "links", "partitions": 2, "dedup": ["url"], "key": "url", "version": 0, "retention": null,
            "consumer": consumer, "all": 2, "new": new, "handled": handled, "dead": 0, "expired": 0,
        })
    };
    let list = shell.topics(&["list", "--json"]).json();
    assert_eq!(list["topics"][0], seen("default", 1, 1));
    assert_eq!((list["topics"].as_array().unwrap().len(), &list["topics"][1]["topic"]), (2, &json!("notes")));
    let other = shell.topics(&["list", "--consumer", "summaries", "--json"]).json();
    assert_eq!(other["topics"][0], seen("summaries", 2, 0));
    let table = shell.topics(&["list"]).text();
    let row = table.lines().find(|line| line.contains("links")).unwrap();
    let cells: Vec<&str> = row.split(['│', '┆']).map(str::trim).filter(|cell| !cell.is_empty()).collect();
    assert_eq!(cells, ["links", "2", "2", "1", "1", "0", "url", "url"], "{table}");
}

#[test]
fn a_topic_is_shown_with_its_schema() {
    let shell = links();
    shell.topics(&["append", "links", r#"{"url":"a"}"#]).text();
    let text = shell.topics(&["show", "links"]).text();
    for line in [
        "partitions  2",
        "dedup       url",
        "consumer    default: 1 new, 0 handled, 0 dead",
        "    \"url\": {",
    ] {
        assert!(text.contains(line), "{line:?} is missing: {text}");
    }
    let shown = shell.topics(&["show", "links", "--json"]).json();
    assert_eq!(shown["schema"], serde_json::from_str::<Value>(SCHEMA).unwrap());
    let at = |field: &str| shown[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!(at("first_at"), at("last_at"), "it has one record");
    let kept = format!("records     1, from {} until {}", at("first_at"), at("last_at"));
    assert!(text.contains(&kept), "{kept:?} is missing: {text}");
    let listed = shell.topics(&["list", "--json"]).json();
    for (field, value) in listed["topics"][0].as_object().unwrap() {
        assert_eq!(&shown[field], value, "{field} differs from the list");
    }
}

#[test]
fn a_topic_without_records_has_no_first_and_no_last_one() {
    let shell = links();
    assert!(shell.topics(&["show", "links"]).text().contains("records     0\n"));
    let shown = shell.topics(&["show", "links", "--json"]).json();
    assert_eq!((&shown["first_at"], &shown["last_at"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn topics_are_drawn_with_the_pipelines_that_filled_them() {
    use messagekit_topics::{Error, Topics};
    let shell = Shell::new();
    let topics = Topics::open(shell.file()).await.unwrap();
    let open = async |name: &str| topics.untyped(name.to_owned()).open().await.unwrap();
    let (items, words) = (open("rss.items").await, open("rss.words").await);
    open("rss.notes").await;
    items.extend(&[json!({"title": "one"}), json!({"title": "two"})]).await.unwrap();
    items.pipe(async |item: Value| Ok::<_, Error>(item)).to(&words).run().await.unwrap();
    topics.close().await.unwrap();
    let graph = [
        "graph TD",
        "    rss.items[\"rss.items<br/>default: new 0, failed 0, handled 2, dead 0\"] --> \
         rss.words[\"rss.words<br/>default: new 2, failed 0, handled 0, dead 0\"]",
        "    rss.notes[\"rss.notes<br/>default: new 0, failed 0, handled 0, dead 0\"]\n",
    ];
    assert_eq!(shell.topics(&["plot"]).text(), graph.join("\n"));
}

#[test]
fn a_backup_holds_the_records_and_replaces_nothing() {
    let shell = links();
    shell.topics(&["append", "links", r#"{"url":"a"}"#]).text();
    let copy = shell.path("copy.db").display().to_string();
    assert!(shell.topics(&["backup", &copy]).text().contains("copy.db"));
    let url = format!("sqlite:{copy}");
    let read = messagekit(&["topics", "export", "links", "--database", &url]).json();
    assert_eq!(read["data"], json!({"url": "a"}));
    shell.topics(&["backup", &copy]).refused(1, &["would replace a file", "copy.db"]);
}

#[test]
fn commands_that_read_make_neither_a_file_nor_a_topic() {
    let shell = Shell::new();
    let commands: [&[&str]; 7] = [
        &["list"],
        &["show", "links"],
        &["append", "links", "{}"],
        &["consume", "links"],
        &["export", "links"],
        &["import", "links"],
        &["backup", "copy.db"],
    ];
    for command in commands {
        shell.topics(command).refused(1, &["no such database file"]);
        assert!(!shell.file().exists(), "{command:?} has made a file");
    }
    shell.topics(&["create", "notes"]).text();
    for command in &commands[1..6] {
        shell.topics(command).refused(1, &["no such topic", "links", "messagekit topics create"]);
    }
    assert_eq!(shell.topics(&["list", "--json"]).json()["topics"].as_array().unwrap().len(), 1);
    for command in commands {
        let server = [&["topics"], command, &["--database", "postgres://me@127.0.0.1:1/shop"]].concat();
        let (code, says) = if command[0] == "backup" { (2, "SQLite file") } else { (1, "does not answer") };
        messagekit(&server).refused(code, &[says]);
    }
}

#[test]
fn a_topic_keeps_what_its_retention_says() {
    let shell = Shell::new();
    shell.topics(&["create", "links", "--max-age", "0s"]).refused(2, &["its age is 0"]);
    assert!(!shell.file().exists(), "a refused command has made a file");
    shell.topics(&["create", "links", "--max-bytes", "20", "--keep-unhandled"]).text();
    let same = shell.topics(&["create", "links", "--max-bytes", "20", "--keep-unhandled"]).text();
    assert_eq!(same, "topic links has these rules already\n");
    let there = "retention is at most 20 bytes per partition, what a consumer has not handled there";
    shell.topics(&["create", "links"]).refused(1, &[there, "and all records here"]);
    shell.topics(&["append", "links", r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":3}"#, r#"{"n":4}"#]).text();
    let text = shell.topics(&["show", "links"]).text();
    assert!(text.contains("keeps       at most 20 bytes per partition, what a consumer"), "{text}");
    assert!(text.contains("records     4"), "{text}");

    let json = shell.topics(&["retention", "links", "--max-bytes", "20", "--json"]).json();
    let rule = json!({ "max_age_seconds": null, "max_bytes": 20, "keep_unhandled": false });
    assert_eq!(json, json!({ "topic": "links", "retention": rule, "deleted": 2 }));
    assert_eq!(shell.topics(&["list", "--json"]).json()["topics"][0]["retention"], rule);
    let text = shell.topics(&["retention", "links", "--max-age", "7d"]).text();
    assert_eq!(text, "topic links keeps records of the last 168h; records deleted: 0\n");
    let text = shell.topics(&["retention", "links"]).text();
    assert_eq!(text, "topic links keeps all records; records deleted: 0\n");
    shell.topics(&["retention", "notes"]).refused(1, &["notes"]);
}

#[test]
fn a_topic_is_dropped_after_a_confirmation() {
    let shell = Shell::new();
    shell.topics(&["create", "links", "--dedup", "n"]).text();
    shell.topics(&["append", "links", r#"{"n":1}"#, r#"{"n":2}"#]).text();
    shell.topics(&["drop", "links"]).refused(2, &["drop topic links with 2 records", "--yes"]);
    assert_eq!(
        shell.topics(&["drop", "links", "--yes"]).text(),
        "topic links is dropped; records deleted: 2\n"
    );
    shell.topics(&["drop", "links", "--yes"]).refused(1, &["no such topic", "links"]);
    shell.topics(&["create", "links", "--key", "m"]).text();
    assert_eq!(shell.topics(&["append", "links", r#"{"n":1}"#]).text(), "3\n");
    let json = shell.topics(&["drop", "links", "--yes", "--json"]).json();
    assert_eq!(json, json!({ "topic": "links", "records": 1 }));
}
