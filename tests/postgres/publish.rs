//! The SQL function `publish`: a consumer reads what it writes, and its errors contain the cure.

use std::sync::{Arc, Mutex};

use messagekit::adapter::Publisher;
use messagekit::{Consumer, Envelope, Event, HandlerError, Message, Shutdown, headers};
use messagekit_memory::{MemoryLog, MemoryStore, MemoryTx};
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};
use messagekit_tests::Database;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use sqlx::postgres::{PgDatabaseError, PgRow};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(type = "orders.order.weighed", key = "order_id")]
#[serde(rename_all = "camelCase")]
struct Weighed {
    order_id: String,
    /// The number as in the payload, digit by digit.
    price: Box<RawValue>,
    big: Box<RawValue>,
    text: String,
}

/// The envelopes that a handler received.
#[derive(Default)]
struct Seen(Mutex<Vec<Envelope<Weighed>>>);

impl Seen {
    #[expect(clippy::unused_async, reason = "handlers are async")]
    async fn keep(&self, _tx: &mut MemoryTx, event: Envelope<Weighed>) -> Result<(), HandlerError> {
        self.0.lock().unwrap().push(event);
        Ok(())
    }
}

/// Converts a row into the message that Debezium writes: columns that are NULL become no header.
fn message(row: &PgRow) -> Message {
    let topic: String = row.get("topic");
    let mut message = Message::new(topic, row.get::<Vec<u8>, _>("payload"));
    message.key = row.get::<Option<String>, _>("aggregate_id").map(Into::into);
    for (column, name) in [
        ("event_id", headers::ID),
        ("event_type", headers::EVENT_TYPE),
        ("content_type", headers::CONTENT_TYPE),
        ("traceparent", headers::TRACEPARENT),
        ("headers", headers::FREE_HEADERS),
    ] {
        if let Some(value) = row.get::<Option<String>, _>(column) {
            message.headers.set(name, value);
        }
    }
    message
}

async fn rows(conn: &mut PgConnection) -> Vec<Message> {
    let select =
        "SELECT topic, payload, aggregate_id, event_id, event_type, content_type, traceparent, headers::text
        FROM messagekit.outbox_events ORDER BY seq";
    let rows = sqlx::query(select).fetch_all(conn).await.expect("reads");
    rows.iter().map(message).collect()
}

/// Runs messages through a consumer and returns the envelopes that its handler received.
async fn consumed(messages: &[Message]) -> Vec<Envelope<Weighed>> {
    let (log, seen) = (MemoryLog::new(1), Arc::new(Seen::default()));
    for result in log.publish(messages).await {
        result.expect("appends");
    }
    let consumer = Consumer::builder(unique("scales"), MemoryStore::with_log(&log))
        .from(log.topics([Weighed::TOPIC]))
        .on_with(Arc::clone(&seen), Seen::keep)
        .build()
        .expect("a consumer");
    let shutdown = Shutdown::new();
    let run = consumer.run(shutdown.clone());
    let stop = async {
        eventually("all are handled", DEADLINE, async || seen.0.lock().unwrap().len() >= messages.len())
            .await;
        shutdown.request();
    };
    let (run, ()) = tokio::join!(run, stop);
    run.expect("runs");
    std::mem::take(&mut *seen.0.lock().unwrap())
}

async fn publish(conn: &mut PgConnection, call: &str) -> Result<String, sqlx::Error> {
    let sql = AssertSqlSafe(format!("SELECT messagekit.publish({call})"));
    sqlx::query_scalar(sql).persistent(false).fetch_one(conn).await
}

#[test]
fn every_field_of_the_envelope_arrives_as_it_was_given() {
    block_on(async {
        let database = Database::fresh().await;
        let mut conn = database.connection().await;
        let id = publish(
            &mut conn,
            r#"'orders.order', E'o-"1\\\u00fc\n', 'orders.order.weighed',
            '{"orderId": "o-1", "price": 1.10, "big": 123456789012345678901234567890.0, "text": "é \"q\" \\ \u0001 😀"}',
            id => 'own-id', occurred_at => '2026-02-03 04:05:06.789012+02', source => 'psql "here"',
            data_version => '1.7', correlation_id => 'start', causation_id => 'before',
            metadata => '{"channel": "phone", "depth": {"a": [1, null]}}',
            headers => '{"tenant": "north"}', traceparent => '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'"#,
        )
        .await
        .expect("publishes");
        assert_eq!(id, "own-id");
        let messages = rows(&mut conn).await;
        let seen = consumed(&messages).await;
        let envelope = &seen[0];
        assert_eq!(envelope.event_id.as_str(), "own-id");
        assert_eq!(envelope.event_type, "orders.order.weighed");
        assert_eq!(envelope.aggregate_id.as_deref(), Some("o-\"1\\ü\n"));
        assert_eq!(messages[0].key.as_deref(), Some("o-\"1\\ü\n".as_bytes()));
        assert_eq!(envelope.occurred_at.to_string(), "2026-02-03T02:05:06.789012Z");
        assert_eq!(envelope.source, "psql \"here\"");
        assert_eq!(envelope.data_version, "1.7");
        assert_eq!(envelope.correlation_id.as_ref().map(|id| id.as_str()), Some("start"));
        assert_eq!(envelope.causation_id.as_ref().map(|id| id.as_str()), Some("before"));
        assert_eq!(json!(envelope.metadata), json!({ "channel": "phone", "depth": { "a": [1, null] } }));
        assert_eq!(envelope.data.order_id, "o-1");
        assert_eq!(envelope.data.price.get(), "1.10");
        assert_eq!(envelope.data.big.get(), "123456789012345678901234567890.0");
        assert_eq!(envelope.data.text, "é \"q\" \\ \u{1} 😀");
        let delivered = &envelope.delivery().expect("was delivered").headers;
        assert_eq!(delivered.free().get("tenant").map(String::as_str), Some("north"));
        assert_eq!(delivered.text(headers::CONTENT_TYPE), Some(headers::JSON));
        assert!(delivered.text(headers::TRACEPARENT).is_some_and(|parent| parent.starts_with("00-0af7")));
    });
}

#[test]
fn what_is_left_out_is_filled_in_or_absent() {
    block_on(async {
        let database = Database::fresh().await;
        let mut conn = database.connection().await;
        let before = jiff::Timestamp::now();
        let payload = r#"'{"orderId": "o-1", "price": 0, "big": -1, "text": ""}'"#;
        let call = format!(
            "'orders.order', NULL, 'orders.order.weighed', {payload}, metadata => '{{}}', headers => '{{}}'"
        );
        let id = publish(&mut conn, &call).await.expect("publishes");
        let messages = rows(&mut conn).await;
        let names: Vec<&str> = messages[0].headers.iter().map(|(name, _)| name).collect();
        assert_eq!(names, [headers::ID, headers::EVENT_TYPE, headers::CONTENT_TYPE]);
        let body = String::from_utf8(messages[0].payload.to_vec()).unwrap();
        for absent in ["aggregateId", "correlationId", "causationId", "metadata"] {
            assert!(!body.contains(absent), "{body}");
        }
        let seen = consumed(&messages).await;
        let envelope = &seen[0];
        // A UUID of version 7 with the current time.
        assert_eq!((id.len(), &id[14..15], envelope.event_id.as_str()), (36, "7", &*id));
        assert!(["8", "9", "a", "b"].contains(&&id[19..20]), "{id}");
        let millis = i64::from_str_radix(&id.replace('-', "")[..12], 16).unwrap();
        assert!((before.as_millisecond() - millis).abs() < 60_000, "{id}");
        assert!(envelope.occurred_at.duration_since(before).abs() < jiff::SignedDuration::from_mins(1));
        assert_eq!((&*envelope.source, &*envelope.data_version), (database.name(), "1.0"));
        assert_eq!((&envelope.aggregate_id, &messages[0].key), (&None, &None));
        assert!(envelope.correlation_id.is_none() && envelope.causation_id.is_none());
        assert!(envelope.metadata.is_empty());
    });
}

#[test]
fn the_smallest_and_the_largest_event_are_written() {
    block_on(async {
        let database = Database::fresh().await;
        let mut conn = database.connection().await;
        publish(&mut conn, "'a.b', 'k', 'a.b', '{}'").await.expect("publishes");
        let largest = "'a.b', 'k', 'a.b', jsonb_build_object('text', repeat('x', 899000))";
        publish(&mut conn, largest).await.expect("publishes");
        for message in rows(&mut conn).await {
            message.check().expect("every hop can carry it");
            serde_json::from_slice::<serde_json::Value>(&message.payload).expect("JSON");
        }
    });
}

#[test]
fn sql_publish_refuses_what_core_refuses_and_leaves_no_row() {
    block_on(async {
        let database = Database::fresh().await;
        let mut conn = database.connection().await;
        let deep = |depth: usize| format!("('{{\"a\":{}1{}}}')::jsonb", "[".repeat(depth), "]".repeat(depth));
        let metadata = format!("'a.b', 'k', 'a.b', '{{}}', metadata => {}", deep(126));
        let cases = [
            ("'orders order', 'k', 'a.b', '{}'", "22023", "topic \"orders order\" is not"),
            ("'', 'k', 'a.b', '{}'", "22023", "topic \"\""),
            ("'..', 'k', 'a.b', '{}'", "22023", "topic \"..\""),
            ("repeat('t', 250), 'k', 'a.b', '{}'", "22023", "is not 1 to 249 characters"),
            ("NULL, 'k', 'a.b', '{}'", "22004", "topic is NULL"),
            ("'t', 'k', NULL, '{}'", "22004", "type is NULL"),
            ("'t', 'k', 'a.b', NULL", "22004", "payload is NULL"),
            ("'t', 'k', 'a.b', '{}', data_version => NULL", "22004", "data_version is NULL"),
            ("'t', 'k', 'placed', '{}'", "22023", "type \"placed\" is not two or more parts"),
            ("'t', 'k', 'Orders.placed', '{}'", "22023", "type \"Orders.placed\""),
            ("'t', 'k', 'a.-b', '{}'", "22023", "type \"a.-b\""),
            ("'t', 'k', E'a.b\\n', '{}'", "22023", "type \"a.b\\n\""),
            ("'t', 'k', 'a.' || repeat('b', 199), '{}'", "22023", "is not two or more parts"),
            ("'t', 'k', 'a.b', '[]'", "22023", "payload is not a JSON object"),
            ("'t', 'k', 'a.b', '\"text\"'", "22023", "payload is not a JSON object"),
            ("'t', 'k', 'a.b', 'null'", "22023", "payload is not a JSON object"),
            ("'t', 'k', 'a.b', '{\"a\": \"\\u0000\"}'", "22P05", "unsupported Unicode escape sequence"),
            ("'t', 'k', 'a.b', '{\"eventId\": 1}'", "22023", "payload field \"eventId\""),
            ("'t', 'k', 'a.b', '{\"aggregate_id\": 1}'", "22023", "payload field \"aggregate_id\""),
            ("'t', 'k', 'a.b', '{\"source\": 1}'", "22023", "payload field \"source\""),
            ("'t', 'k', 'a.b', '{}', id => ''", "22023", "id is empty"),
            ("'t', 'k', 'a.b', '{}', id => repeat('ü', 101)", "22023", "id is longer than 200 bytes"),
            ("'t', 'k', 'a.b', '{}', id => E'a\\tb'", "22023", "id holds a control character"),
            ("'t', 'k', 'a.b', '{}', id => E'a\\u0085'", "22023", "id holds a control character"),
            ("'t', 'k', 'a.b', '{}', id => 'at:t/0/1'", "22023", "id begins with at:"),
            ("'t', 'k', 'a.b', '{}', causation_id => ''", "22023", "causation_id is empty"),
            ("'t', 'k', 'a.b', '{}', correlation_id => 'at:x'", "22023", "correlation_id begins with at:"),
            ("'t', 'k', 'a.b', '{}', source => ''", "22023", "source is empty"),
            ("'t', 'k', 'a.b', '{}', data_version => '1'", "22023", "data_version \"1\" is not MAJOR.MINOR"),
            ("'t', 'k', 'a.b', '{}', data_version => '01.0'", "22023", "data_version"),
            ("'t', 'k', 'a.b', '{}', data_version => '4294967296.0'", "22023", "data_version"),
            ("'t', 'k', 'a.b', '{}', occurred_at => 'infinity'", "22023", "occurred_at infinity"),
            ("'t', 'k', 'a.b', '{}', occurred_at => '0044-03-15 BC'", "22023", "occurred_at"),
            ("'t', 'k', 'a.b', '{}', occurred_at => '10000-01-01'", "22023", "occurred_at"),
            ("'t', 'k', 'a.b', '{}', metadata => '1'", "22023", "metadata is not a JSON object"),
            (&*metadata, "22023", "metadata is nested more than 126 deep"),
            ("'t', 'k', 'a.b', '{}', headers => '[]'", "22023", "headers is not a JSON object of strings"),
            (
                "'t', 'k', 'a.b', '{}', headers => '{\"a\": 1}'",
                "22023",
                "headers is not a JSON object of strings",
            ),
            (
                "'t', 'k', 'a.b', jsonb_build_object('a', repeat('x', 900000))",
                "54000",
                "over the limit of 900000",
            ),
            ("'t', repeat('k', 99990), 'a.b', '{}'", "54000", "over the limit of 99500"),
        ];
        for (call, state, says) in cases {
            let error = publish(&mut conn, call).await.expect_err(call);
            let error = error.as_database_error().expect("the server says it");
            let error = error.downcast_ref::<PgDatabaseError>();
            assert_eq!(error.code(), state, "{call}: {error}");
            assert!(error.message().contains(says), "{call}: {}", error.message());
            assert!(!error.message().contains('\n') && error.message().len() < 300, "{call}");
            assert!(state == "22P05" || error.hint().is_some_and(|hint| !hint.is_empty()), "{call}");
        }
        sqlx::query("SET standard_conforming_strings = off").execute(&mut conn).await.unwrap();
        let error = publish(&mut conn, "'t', 'k', 'a b', '{}'").await.expect_err("in every session");
        assert!(error.to_string().contains("type \"a b\" is not"), "{error}");
        assert!(rows(&mut conn).await.is_empty());
        let just = format!("'a.b', 'k', 'a.b', '{{}}', metadata => {}", deep(125));
        publish(&mut conn, &just).await.expect("just within the bound");
        assert!(serde_json::from_slice::<serde_json::Value>(&rows(&mut conn).await[0].payload).is_ok());
    });
}

#[test]
fn an_id_that_was_there_is_refused_and_the_first_event_stays() {
    block_on(async {
        let database = Database::fresh().await;
        let mut conn = database.connection().await;
        publish(&mut conn, "'a.b', 'first', 'a.b', '{}', id => 'm-1'").await.expect("publishes");
        let error =
            publish(&mut conn, "'a.b', 'second', 'a.b', '{}', id => 'm-1'").await.expect_err("is there");
        assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some("23505"));
        let keys: Vec<_> = rows(&mut conn).await.into_iter().map(|message| message.key).collect();
        assert_eq!(keys, [Some("first".into())]);
    });
}

#[test]
fn an_event_commits_with_its_transaction_even_from_a_trigger() {
    block_on(async {
        let database = Database::fresh().await;
        let mut conn = database.connection().await;
        let trigger = "CREATE TABLE orders (id text);
            CREATE FUNCTION placed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
              PERFORM messagekit.publish('orders.order', NEW.id, 'orders.order.placed', to_jsonb(NEW));
              RETURN NULL; END $$;
            CREATE TRIGGER placed AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION placed()";
        sqlx::raw_sql(trigger).execute(&mut conn).await.unwrap();
        for keep in [false, true] {
            let mut tx = conn.begin().await.unwrap();
            sqlx::raw_sql("INSERT INTO orders VALUES ('o-1'), ('o-2')").execute(&mut *tx).await.unwrap();
            if keep { tx.commit().await } else { tx.rollback().await }.unwrap();
        }
        assert_eq!(rows(&mut conn).await.len(), 2);
    });
}

#[test]
fn a_role_that_may_only_call_it_publishes_and_reads_nothing() {
    block_on(async {
        let database = Database::fresh().await;
        let mut conn = database.connection().await;
        let role = unique("writer").replace(['.', '-'], "_");
        let sql = format!("CREATE ROLE {role}; GRANT USAGE ON SCHEMA messagekit TO {role}");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut conn).await.unwrap();
        let call = "'a.b', 'k', 'a.b', '{}'";
        let mut denied = Vec::new();
        for granted in [false, true] {
            if granted {
                let grant = format!("GRANT EXECUTE ON FUNCTION messagekit.publish TO {role}");
                sqlx::raw_sql(AssertSqlSafe(grant)).execute(&mut conn).await.unwrap();
            }
            let become_role = AssertSqlSafe(format!("SET ROLE {role}"));
            sqlx::raw_sql(become_role).execute(&mut conn).await.unwrap();
            denied.push(publish(&mut conn, call).await.is_err());
            for direct in [
                "SELECT FROM messagekit.outbox_events",
                "INSERT INTO messagekit.outbox_events (event_id, topic, payload) VALUES ('x', 'a b', '')",
                "SELECT FROM messagekit.failed_messages",
            ] {
                let error = sqlx::raw_sql(direct).execute(&mut conn).await.expect_err(direct);
                assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some("42501"), "{direct}");
            }
            sqlx::raw_sql("RESET ROLE").execute(&mut conn).await.unwrap();
        }
        assert_eq!(denied, [true, false]);
        assert_eq!(rows(&mut conn).await.len(), 1);
        let drop_role = format!("DROP OWNED BY {role}; DROP ROLE {role}");
        sqlx::raw_sql(AssertSqlSafe(drop_role)).execute(&mut conn).await.unwrap();
    });
}
