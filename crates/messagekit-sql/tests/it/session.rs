//! Sessions of statements, from the first topic to its drop, over a real database.

use messagekit::ErrorKind;
use messagekit_sql::{Answer, parse, run};
use messagekit_topics::operations::TopicOperations;
use messagekit_topics::operations::wire::{Append, Consume, Start};
use messagekit_topics::{Error, Topics};
use serde_json::{Value, json};

use super::session_home::{Db, Home, close};

/// A database, and its statements.
pub(crate) struct Session {
    pub(crate) home: Home,
    pub(crate) topics: Topics<Db>,
}

impl Session {
    /// Begins with the topic `shop.orders`.
    pub(crate) async fn new(clauses: &str) -> Self {
        let home = Home::new().await;
        let topics = home.topics().await;
        let session = Self { home, topics };
        session.said(&format!("CREATE TOPIC shop.orders {clauses}")).await;
        session
    }

    /// With records from 0 on.
    pub(crate) async fn with(records: i64) -> Self {
        let session = Self::new("").await;
        session.append(0, records).await;
        session
    }

    pub(crate) async fn append(&self, from: i64, to: i64) {
        let record = |n| serde_json::value::to_raw_value(&json!({ "n": n })).unwrap();
        let records: Vec<_> = (from..to).map(record).collect();
        self.topics.append(&Append::records("shop.orders", records)).await.unwrap();
    }

    pub(crate) async fn run(&self, statement: &str) -> Result<Answer, Error> {
        let command = parse(statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
        run(&self.topics, &command).await
    }

    pub(crate) async fn rows(&self, statement: &str) -> Value {
        let answer = self.run(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
        assert_eq!(answer.row_count, answer.rows.len());
        json!(answer.rows)
    }

    /// Returns what a statement without rows says.
    pub(crate) async fn said(&self, statement: &str) -> String {
        let answer = self.run(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
        assert_eq!((answer.schema.len(), answer.row_count), (0, 0), "{statement}");
        answer.message.unwrap()
    }

    pub(crate) async fn refused(&self, statement: &str, kind: ErrorKind) -> String {
        let refused = self.run(statement).await.unwrap_err();
        assert_eq!(refused.kind(), kind, "{statement}: {refused}");
        refused.to_string()
    }

    /// Returns the offsets that a statement consumes.
    pub(crate) async fn offsets(&self, statement: &str) -> Vec<i64> {
        let rows = self.rows(statement).await;
        rows.as_array().unwrap().iter().map(|row| row[2].as_i64().unwrap()).collect()
    }

    /// Closes the database, and opens it again.
    pub(crate) async fn reopen(&mut self) {
        close(&self.topics).await;
        self.topics = self.home.topics().await;
    }
}

#[tokio::test]
async fn a_session_goes_from_the_first_topic_to_its_drop() {
    let session = Session::new("").await;
    session.home.change("CREATE TABLE parcels (id INTEGER PRIMARY KEY, state TEXT)").await;
    assert_eq!(session.said("CREATE TOPIC shop.parcels").await, "topic shop.parcels created");
    session.said("ALTER TOPIC shop.parcels ADD SOURCE parcels ON INSERT, UPDATE").await;
    let routes = session.rows("SHOW ROUTES FOR shop.parcels").await;
    assert_eq!(
        (&routes[0][0], &routes[0][2], &routes[0][3]),
        (&json!("shop.parcels"), &json!("insert, update"), &json!("full"))
    );
    session.home.change("INSERT INTO parcels VALUES (7, 'packed')").await;
    session.home.change("UPDATE parcels SET state = 'sent'").await;
    session.home.change("DELETE FROM parcels").await;
    let rows = session.rows("CONSUME FROM shop.parcels GROUP 'mail' FROM EARLIEST").await;
    let seen: Vec<_> = rows.as_array().unwrap().iter().map(|row| (&row[0], &row[3], &row[7])).collect();
    let (topic, key) = (json!("shop.parcels"), json!("7"));
    assert_eq!(seen, [(&topic, &key, &json!("insert")), (&topic, &key, &json!("update"))]);
    assert_eq!(
        session.rows("ACK shop.parcels GROUP 'mail' UPTO OFFSET 0").await,
        json!([["shop.parcels", "mail", 0, 0]])
    );
    let known =
        "SELECT group_id, partition_id, last_acked_offset, next_offset, lag FROM system.topic_offsets";
    assert_eq!(session.rows(known).await, json!([["mail", 0, 0, 2, 1]]));
    let reset = session.rows("RESET CONSUMER GROUP 'mail' ON shop.parcels TO EARLIEST").await;
    assert_eq!(reset, json!([["shop.parcels", "mail", 0, 0]]));
    assert_eq!(session.offsets("CONSUME FROM shop.parcels GROUP 'mail'").await, [0, 1]);
    session.said("ALTER TOPIC shop.parcels DROP SOURCE parcels").await;
    assert_eq!(session.rows("SHOW ROUTES").await, json!([]));
    assert_eq!(session.said("CLEAR TOPIC shop.parcels").await, "2 records of topic shop.parcels deleted");
    assert_eq!(session.offsets("CONSUME FROM shop.parcels FROM EARLIEST").await, [0; 0]);
    session.said("DROP TOPIC shop.parcels").await;
    assert_eq!(session.rows("SELECT topic_id FROM system.topics").await, json!([["shop.orders"]]));
}

#[tokio::test]
async fn a_source_is_added_once() {
    let session = Session::new("").await;
    session.home.change("CREATE TABLE parcels (id INTEGER PRIMARY KEY, state TEXT)").await;
    let add = "ALTER TOPIC shop.orders ADD SOURCE parcels ON INSERT WHERE state <> 'test'";
    assert!(session.said(add).await.ends_with("is a source of topic shop.orders"));
    assert!(session.said(add).await.contains("already"));
    // One route for each change of a table.
    session.said("ALTER TOPIC shop.orders ADD SOURCE parcels ON DELETE WHERE state <> 'test'").await;
    assert!(session.said(add).await.contains("already"));
    assert_eq!(session.rows("SHOW ROUTES").await[0][2], "insert, delete");
    let other = "ALTER TOPIC shop.orders ADD SOURCE parcels ON INSERT WHERE state = 'test'";
    let text = session.refused(other, ErrorKind::WrongState).await;
    assert!(text.to_lowercase().contains("replace"), "{text}");
    session.said(&other.replace("ADD SOURCE", "ADD OR REPLACE SOURCE")).await;
    assert_eq!(session.rows("SHOW ROUTES").await[0][2], "insert");
    session.home.change("INSERT INTO parcels VALUES (1, 'test'), (2, 'real')").await;
    let rows = session.rows("CONSUME FROM shop.orders FROM EARLIEST").await;
    let keys: Vec<_> = rows.as_array().unwrap().iter().map(|row| &row[3]).collect();
    assert_eq!(keys, [&json!("1")], "the filter is that of the database");
    let text = session.refused("DROP TOPIC shop.orders", ErrorKind::WrongState).await;
    assert!(text.contains("CASCADE"), "{text}");
    session.said("DROP TOPIC shop.orders CASCADE").await;
}

#[tokio::test]
async fn a_payload_holds_what_its_source_says() {
    let session = Session::new("").await;
    session.home.change("CREATE TABLE parcels (id INTEGER PRIMARY KEY, state TEXT, weight INTEGER)").await;
    for payload in ["full", "key", "diff"] {
        session.said(&format!("CREATE TOPIC shop.{payload}s")).await;
        let add = format!(
            "ALTER TOPIC shop.{payload}s ADD SOURCE parcels ON INSERT, UPDATE WITH (payload = '{payload}')"
        );
        session.said(&add).await;
    }
    session.said("CREATE TOPIC shop.divided PARTITIONS 8").await;
    session.said("ALTER TOPIC shop.divided ADD SOURCE parcels ON UPDATE PARTITION BY (state)").await;
    session.home.change("INSERT INTO parcels VALUES (7, 'packed', 3)").await;
    session.home.change("UPDATE parcels SET state = 'sent'").await;
    let update = async |topic: &str| {
        let request = Consume { start: Some(Start::Earliest), ..Consume::of(format!("shop.{topic}")) };
        let consumed = session.topics.consume(&request, None).await.unwrap();
        let last = consumed.messages.last().unwrap();
        (last.key.clone().unwrap(), serde_json::from_slice::<Value>(&last.payload).unwrap())
    };
    assert_eq!(update("fulls").await.1["row"], json!({"id": 7, "state": "sent", "weight": 3}));
    assert_eq!(update("keys").await.1["row"], json!({"id": 7}));
    let diff = update("diffs").await.1;
    assert_eq!(diff["changes"], json!({"state": {"before": "packed", "after": "sent"}}), "{diff}");
    assert_eq!(update("divided").await.0, "sent", "the key says which partition it is");
}

#[tokio::test]
async fn retention_is_set_in_part_and_cleared() {
    let session = Session::new("").await;
    let rule = "SELECT retention_seconds, retention_max_bytes, retention_consumed FROM system.topics WHERE topic_id = 'shop.orders'";
    assert_eq!(session.rows(rule).await, json!([[604_800, 1_i64 << 30, false]]), "7 days, and 1 GiB");
    session.said("ALTER TOPIC shop.orders SET RETENTION WITH (retention_seconds = 60)").await;
    assert_eq!(session.rows(rule).await, json!([[60, 1_i64 << 30, false]]));
    session.said("ALTER TOPIC shop.orders SET RETENTION WITH (retention_max_bytes = NULL, retention_consumed = true)").await;
    assert_eq!(session.rows(rule).await, json!([[60, null, true]]));
    session.said("ALTER TOPIC shop.orders CLEAR RETENTION").await;
    let kept = session.rows(rule).await;
    assert_eq!((&kept[0][0], &kept[0][1]), (&Value::Null, &Value::Null), "{kept}");
    for statement in [
        "ALTER TOPIC shop.nothing SET RETENTION WITH (retention_seconds = 60)",
        "ALTER TOPIC shop.nothing CLEAR RETENTION",
    ] {
        session.refused(statement, ErrorKind::NotFound).await;
    }
    session.said("CREATE TOPIC shop.kept WITH (retention_seconds = NULL, retention_max_bytes = NULL)").await;
    let kept = session.rows(&rule.replace("shop.orders", "shop.kept")).await;
    assert_eq!((&kept[0][0], &kept[0][1]), (&Value::Null, &Value::Null), "{kept}");
}

#[tokio::test]
async fn a_topic_that_is_made_again_has_nothing_of_the_old_one() {
    let session = Session::with(3).await;
    session.offsets("CONSUME FROM shop.orders GROUP 'g' FROM EARLIEST").await;
    session.rows("ACK shop.orders GROUP 'g' UPTO OFFSET 2").await;
    session.said("DROP TOPIC shop.orders").await;
    session.said("CREATE TOPIC shop.orders").await;
    assert_eq!(session.rows("SELECT * FROM system.topic_offsets").await, json!([]));
    session.append(0, 2).await;
    assert_eq!(session.offsets("CONSUME FROM shop.orders GROUP 'g' FROM EARLIEST").await, [0, 1]);
}

#[tokio::test]
async fn an_error_says_what_to_do() {
    let session = Session::with(2).await;
    for (statement, kind, cure) in [
        ("CREATE TOPIC shop.orders", ErrorKind::WrongState, "IF NOT EXISTS"),
        ("CONSUME FROM shop.orders FROM 9 GROUP 'g'", ErrorKind::OutOfRange, "end 2"),
        ("ACK shop.orders GROUP 'g' UPTO OFFSET 0", ErrorKind::ClaimLost, "consume it again"),
        ("ACK shop.orders GROUP 'g' UPTO OFFSET 9", ErrorKind::OutOfRange, "end 2"),
        ("RESET CONSUMER GROUP 'g' ON shop.orders TO 9", ErrorKind::OutOfRange, "end 2"),
        ("ALTER TOPIC shop.orders DROP SOURCE parcels", ErrorKind::NotFound, "SHOW ROUTES"),
        (
            "ALTER TOPIC shop.nothing SET RETENTION WITH (retention_seconds = 1)",
            ErrorKind::NotFound,
            "SHOW TOPICS",
        ),
        ("DROP TOPIC shop.nothing", ErrorKind::NotFound, "shop.nothing"),
        ("CLEAR TOPIC shop.nothing", ErrorKind::NotFound, "shop.nothing"),
        ("CONSUME FROM shop.nothing", ErrorKind::NotFound, "shop.nothing"),
        ("CREATE TOPIC shop.wide PARTITIONS 4294967295", ErrorKind::InvalidConfiguration, "at most 10000"),
    ] {
        let text = session.refused(statement, kind).await;
        assert!(text.contains(cure), "{statement}: {text}");
    }
    assert_eq!(
        session.said("CREATE TOPIC IF NOT EXISTS shop.orders").await,
        "topic shop.orders exists already"
    );
    assert_eq!(session.said("DROP TOPIC IF EXISTS shop.nothing").await, "there is no topic shop.nothing");
    let long = format!("CONSUME FROM shop.orders GROUP '{}'", "g".repeat(201));
    session.refused(&long, ErrorKind::InvalidConfiguration).await;
}
