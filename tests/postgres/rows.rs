//! Events as rows: written ones, refused ones, and the part that refuses them.

use std::collections::BTreeMap;

use messagekit::adapter::OutboxRows;
use messagekit::{Envelope, ErrorKind, Headers, Message, MessageId, Store, headers};
use messagekit_postgres::AddOn;
use messagekit_testkit::{block_on, unique};
use sqlx::{AssertSqlSafe, Connection, Executor, Row};

use crate::shop::{OrderPlaced, Shop, insert_bill};

fn message() -> Message {
    Message::new("orders.order", "{}").with_header(headers::ID, unique("m"))
}

#[test]
fn event_and_row_share_the_commit() {
    block_on(async {
        let shop = Shop::open().await;
        for keep in [false, true] {
            let mut tx = shop.store.begin().await.unwrap();
            insert_bill(&mut tx, "b-1").await;
            shop.outbox.add(&mut tx, OrderPlaced::new("o-1")).await.unwrap();
            if keep {
                shop.outbox.commit(tx).await.unwrap();
            }
        }
        assert_eq!((shop.bills().await, shop.events().await), (1, 1));
    });
}

#[test]
fn event_of_a_savepoint_that_is_rolled_back_never_was() {
    block_on(async {
        let shop = Shop::open().await;
        let mut tx = shop.store.begin().await.unwrap();
        shop.outbox.add(&mut tx, OrderPlaced::new("o-1")).await.unwrap();
        let mut inner = tx.begin().await.unwrap();
        shop.outbox.add_on(&mut inner, OrderPlaced::new("o-2")).await.unwrap();
        inner.rollback().await.unwrap();
        let mut inner = tx.begin().await.unwrap();
        shop.outbox.add_on(&mut inner, OrderPlaced::new("o-3")).await.unwrap();
        inner.commit().await.unwrap();
        shop.store.commit(tx).await.unwrap();
        let keys = sqlx::query_scalar("SELECT aggregate_id FROM messagekit.outbox_events ORDER BY seq");
        let keys: Vec<String> = keys.fetch_all(shop.store.pool()).await.unwrap();
        assert_eq!(keys, ["o-1", "o-3"]);
    });
}

#[test]
fn columns_hold_what_the_event_says() {
    block_on(async {
        let shop = Shop::open().await;
        let mut tx = shop.store.begin().await.unwrap();
        let id = shop.outbox.add(&mut tx, Envelope::new(OrderPlaced::new("o-1"))).await.unwrap();
        shop.outbox.commit(tx).await.unwrap();
        let select = "SELECT event_id, copy, topic, event_type, aggregate_id, content_type, headers::text,
            traceparent, occurred_at IS NULL, available_at IS NULL, created_at <= clock_timestamp(),
            convert_from(payload, 'UTF8')::jsonb ->> 'orderId' FROM messagekit.outbox_events";
        let row = sqlx::query(select).fetch_one(shop.store.pool()).await.unwrap();
        let text = |column: usize| row.get::<Option<String>, _>(column);
        assert_eq!((text(0).as_deref(), row.get::<i32, _>(1)), (Some(id.as_str()), 0));
        assert_eq!(text(2).as_deref(), Some("orders.order"));
        assert_eq!(text(3).as_deref(), Some("orders.order.placed"));
        assert_eq!(text(4).as_deref(), Some("o-1"));
        assert_eq!(text(5).as_deref(), Some(headers::JSON));
        assert_eq!((text(6), text(7)), (None, None));
        assert!((8..11).all(|column| row.get(column)));
        assert_eq!(text(11).as_deref(), Some("o-1"));
    });
}

#[test]
fn many_events_are_one_statement_in_order() {
    block_on(async {
        let shop = Shop::open().await;
        let mut tx = shop.store.begin().await.unwrap();
        let events = (0..2_000).map(|number| OrderPlaced::new(&number.to_string()));
        let ids = shop.outbox.add_all(&mut tx, events).await.unwrap();
        assert_eq!(shop.outbox.add_all(&mut tx, Vec::<OrderPlaced>::new()).await.unwrap(), []);
        shop.outbox.commit(tx).await.unwrap();
        let select = sqlx::query_scalar("SELECT event_id FROM messagekit.outbox_events ORDER BY seq");
        let written: Vec<String> = select.fetch_all(shop.store.pool()).await.unwrap();
        assert!(written.iter().map(String::as_str).eq(ids.iter().map(MessageId::as_str)));
    });
}

#[test]
fn added_on_a_connection_needs_its_transaction() {
    block_on(async {
        let shop = Shop::open().await;
        let mut connection = shop.database.connection().await;
        let refused = shop.outbox.add_on(&mut connection, OrderPlaced::new("o-0")).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::NotInTransaction);

        // Begun by sqlx, or by hand.
        let mut tx = connection.begin().await.unwrap();
        shop.outbox.add_on(&mut tx, OrderPlaced::new("o-1")).await.unwrap();
        tx.commit().await.unwrap();
        connection.execute("BEGIN").await.unwrap();
        shop.outbox.add_on(&mut connection, OrderPlaced::new("o-2")).await.unwrap();
        connection.execute("ROLLBACK").await.unwrap();
        connection.execute("BEGIN").await.unwrap();
        shop.outbox.add_on(&mut connection, OrderPlaced::new("o-3")).await.unwrap();
        connection.execute("COMMIT").await.unwrap();
        let keys = sqlx::query_scalar("SELECT aggregate_id FROM messagekit.outbox_events ORDER BY seq");
        let keys: Vec<String> = keys.fetch_all(shop.store.pool()).await.unwrap();
        assert_eq!(keys, ["o-1", "o-3"]);

        connection.execute("BEGIN").await.unwrap();
        connection.execute("SELECT 1 / 0").await.unwrap_err();
        let ended = shop.outbox.add_on(&mut connection, OrderPlaced::new("o-4")).await.unwrap_err();
        assert_eq!(ended.kind(), ErrorKind::Aborted);
    });
}

#[test]
fn event_added_on_a_connection_has_the_topic_prefix() {
    block_on(async {
        let shop = Shop::open().await;
        let outbox = shop.outbox.clone().topic_prefix("staging.");
        let mut tx = shop.store.begin().await.unwrap();
        outbox.add(&mut tx, OrderPlaced::new("o-1")).await.unwrap();
        outbox.add_on(&mut tx, OrderPlaced::new("o-2")).await.unwrap();
        shop.store.commit(tx).await.unwrap();
        let topics = sqlx::query_scalar("SELECT topic FROM messagekit.outbox_events");
        let topics: Vec<String> = topics.fetch_all(shop.store.pool()).await.unwrap();
        assert_eq!(topics, ["staging.orders.order"; 2]);
    });
}

/// A refusal before anything is sent leaves the transaction usable.
#[test]
fn message_that_no_row_can_hold_is_refused_with_the_cure() {
    block_on(async {
        let shop = Shop::open().await;
        let mut tx = shop.store.begin().await.unwrap();
        for (message, kind, said) in [
            (message().with_key("a\0b"), ErrorKind::InvalidEvent, "key holds the character NUL"),
            (message().with_key(vec![0xff]), ErrorKind::InvalidEvent, "key is not UTF-8"),
            (
                message().with_header("tenant", "north"),
                ErrorKind::InvalidEvent,
                "no column for header \"tenant\"",
            ),
            (Message::new("orders.order", "{}"), ErrorKind::InvalidEvent, "no header `id`"),
            (Message { topic: "orders order".into(), ..message() }, ErrorKind::InvalidEvent, "orders order"),
            (message().with_header(headers::FREE_HEADERS, "7"), ErrorKind::InvalidEvent, "not a JSON object"),
            (Message { payload: vec![b' '; 900_001].into(), ..message() }, ErrorKind::TooLarge, "900000"),
            (message().with_key("k".repeat(100_001)), ErrorKind::TooLarge, "100000"),
        ] {
            let batch = [self::message(), message];
            let refused = shop.store.write(&mut tx, &batch).await.unwrap_err();
            assert_eq!(refused.kind(), kind, "{refused:?}");
            assert!(refused.to_string().contains(said), "{refused} does not say {said}");
            assert!(!refused.to_string().contains('\n'));
        }
        shop.store.write(&mut tx, &[message()]).await.unwrap();
        shop.store.commit(tx).await.unwrap();
        assert_eq!(shop.events().await, 1);
    });
}

/// A refusal by the table ends the transaction, and names the constraint.
#[test]
fn row_that_the_table_refuses_says_which_rule() {
    block_on(async {
        let shop = Shop::open().await;
        let twice = message();
        let mut nul = message();
        nul.headers.set_free(&BTreeMap::from([("a".to_owned(), "b\0c".to_owned())]));
        // Within the limit of every hop but one: jsonb is written with spaces.
        let mut wide = message();
        wide.headers.set_free(&(0..7_300).map(|number| (format!("{number:06}"), String::new())).collect());
        for (batch, kind, said) in [
            (vec![twice.clone(), twice], ErrorKind::InvalidEvent, "already"),
            (vec![nul], ErrorKind::InvalidEvent, "NUL"),
            (vec![wide], ErrorKind::TooLarge, "99500"),
        ] {
            let mut tx = shop.store.begin().await.unwrap();
            let refused = shop.store.write(&mut tx, &batch).await.unwrap_err();
            assert_eq!(refused.kind(), kind, "{refused:?}");
            assert!(refused.to_string().contains(said), "{refused} does not say {said}");
            assert_eq!(shop.store.commit(tx).await.unwrap_err().kind(), ErrorKind::Aborted);
        }
        assert_eq!(shop.events().await, 0);
    });
}

#[test]
fn event_that_was_added_before_is_named() {
    block_on(async {
        let shop = Shop::open().await;
        let message = message();
        for first in [true, false] {
            let mut tx = shop.store.begin().await.unwrap();
            let written = shop.store.write(&mut tx, std::slice::from_ref(&message)).await;
            if first {
                written.unwrap();
                shop.store.commit(tx).await.unwrap();
            } else {
                assert_eq!(written.unwrap_err().context("id"), message.headers.text(headers::ID));
            }
        }
    });
}

#[test]
fn every_header_comes_back_and_absent_ones_stay_absent() {
    block_on(async {
        let shop = Shop::open().await;
        let mut full = Headers::new();
        full.set(headers::ID, unique("m"));
        full.set(headers::EVENT_TYPE, "orders.order.placed");
        full.set(headers::CONTENT_TYPE, headers::JSON);
        full.set(headers::TRACEPARENT, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        full.set_free(&BTreeMap::from([("tenant".to_owned(), "nörd \"west\"".to_owned())]));
        let mut tx = shop.store.begin().await.unwrap();
        let message = Message { headers: full.clone(), ..message() };
        shop.store.write(&mut tx, &[message, self::message()]).await.unwrap();
        shop.store.commit(tx).await.unwrap();
        let select = "SELECT event_type, content_type, traceparent, headers::text, aggregate_id
            FROM messagekit.outbox_events ORDER BY seq";
        let rows = sqlx::query(select).fetch_all(shop.store.pool()).await.unwrap();
        let text = |row: usize, column: usize| rows[row].get::<Option<String>, _>(column);
        for (column, name) in
            [headers::EVENT_TYPE, headers::CONTENT_TYPE, headers::TRACEPARENT].into_iter().enumerate()
        {
            assert_eq!((text(0, column).as_deref(), text(1, column)), (full.text(name), None), "{name}");
        }
        let mut read = Headers::new();
        read.set(headers::FREE_HEADERS, text(0, 3).unwrap());
        assert_eq!((read.free(), text(1, 3)), (full.free(), None));
        assert_eq!((text(0, 4), text(1, 4)), (None, None), "no key is no key");
    });
}

/// A writer with plain SQL has the same rules.
#[test]
fn checks_refuse_what_a_raw_insert_tries() {
    block_on(async {
        let shop = Shop::open().await;
        for (columns, values, rule) in [
            ("event_id, topic, payload", "'', 'a.b', ''", "outbox_event_id_size"),
            ("event_id, topic, payload", "repeat('x', 201), 'a.b', ''", "outbox_event_id_size"),
            ("event_id, topic, payload", "'m', 'a b', ''", "outbox_topic_name"),
            ("event_id, topic, payload", "'m', '..', ''", "outbox_topic_name"),
            ("event_id, topic, payload", "'m', '', ''", "outbox_topic_name"),
            (
                "event_id, topic, payload",
                "'m', 'a.b', convert_to(repeat('x', 900001), 'UTF8')",
                "outbox_payload_size",
            ),
            ("event_id, topic, payload, headers", "'m', 'a.b', '', '[]'", "outbox_headers_object"),
            (
                "event_id, topic, payload, aggregate_id",
                "'m', 'a.b', '', repeat('x', 99501)",
                "outbox_beside_size",
            ),
            (
                "event_id, topic, payload, traceparent",
                "'m', 'a.b', '', repeat('x', 99501)",
                "outbox_beside_size",
            ),
        ] {
            let insert = format!("INSERT INTO messagekit.outbox_events ({columns}) VALUES ({values})");
            let refused = sqlx::raw_sql(AssertSqlSafe(insert)).execute(shop.store.pool()).await.unwrap_err();
            let refused = refused.as_database_error().expect("the server answers");
            assert_eq!(refused.constraint(), Some(rule), "{values}: {refused}");
        }
        let largest = "INSERT INTO messagekit.outbox_events (event_id, topic, payload, aggregate_id)
            VALUES (repeat('x', 200), 'a.b', convert_to(repeat('x', 900000), 'UTF8'), repeat('x', 99500))";
        sqlx::raw_sql(largest).execute(shop.store.pool()).await.unwrap();
        assert_eq!(shop.events().await, 1);
    });
}
