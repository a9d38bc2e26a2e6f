use std::collections::{BTreeMap, BTreeSet};

use messagekit::{Message, headers};
use messagekit_testkit::{block_on, eventually};
use messagekit_tests::services;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::TURNS;
use crate::rabbit::{header, id_of};
use crate::records::{ids, order, orders, publish};
use crate::stage::{PATIENCE, Stage};

#[test]
fn forwarded_records_keep_bytes_ids_headers_and_order_per_key() {
    let _turn = TURNS.together();
    block_on(async {
        let stage = Stage::new(3).await;
        let queue = stage.bound_queue("all").await;
        let sent = orders(&stage.topic, 40, 50);
        publish(&sent).await;
        let mut bridge = stage.start("");
        bridge.ready().await;
        stage.all_settled(sent.len()).await;
        let found = stage.rabbit.drain(&queue).await;
        let by_id: BTreeMap<String, &Message> =
            sent.iter().map(|message| (message.headers.text("id").unwrap().to_owned(), message)).collect();
        let (mut next, mut arrived): (BTreeMap<String, usize>, BTreeSet<String>) = Default::default();
        for delivery in &found {
            let id = id_of(delivery);
            assert_eq!(delivery.data, by_id[&id].payload, "{id}");
            assert_eq!(delivery.routing_key.as_str(), "orders.order.placed");
            assert_eq!(delivery.properties.delivery_mode(), &Some(2));
            assert_eq!(header(delivery, headers::SOURCE_TOPIC).as_deref(), Some(&*stage.topic));
            if arrived.insert(id.clone()) {
                let (key, n) = id.rsplit_once('-').unwrap();
                let next = next.entry(key.to_owned()).or_default();
                assert_eq!(n.parse(), Ok(*next), "{key}");
                *next += 1;
            }
        }
        assert_eq!(arrived, ids(&sent));
        let metrics = bridge.get("/metrics").unwrap();
        let line = format!(
            "messagekit_bridge_forwarded_total{{bridge=\"{}\",exchange=\"{}\"}} {}",
            stage.name,
            stage.exchange,
            sent.len()
        );
        assert!(metrics.contains(&line), "{metrics}");
        bridge.process.stop().await;
    });
}

#[test]
fn trace_context_reaches_rabbitmq_as_it_was_written() {
    let _turn = TURNS.together();
    block_on(async {
        const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        const FREE: &str = "{\"tenant\":\"nörd\",\"tracestate\":\"vendor=1,other=2\"}";
        let stage = Stage::new(1).await;
        let queue = stage.bound_queue("all").await;
        let traced = order(&stage.topic, "a", 0)
            .with_header(headers::TRACEPARENT, PARENT)
            .with_header(headers::FREE_HEADERS, FREE);
        publish(&[traced]).await;
        let mut bridge = stage.start("");
        bridge.ready().await;
        stage.all_settled(1).await;
        let found = stage.rabbit.drain(&queue).await;
        let [delivery] = &found[..] else { panic!("{} deliveries", found.len()) };
        assert_eq!(header(delivery, headers::TRACEPARENT).as_deref(), Some(PARENT));
        assert_eq!(header(delivery, headers::FREE_HEADERS).as_deref(), Some(FREE));
        bridge.process.stop().await;
    });
}

#[test]
fn hostile_headers_reach_no_other_queue_nor_close_the_channel() {
    let _turn = TURNS.together();
    block_on(async {
        let stage = Stage::new(1).await;
        let queue = stage.queue("wanted");
        stage.rabbit.queue(&queue, &stage.exchange, "orders.#", &[]).await;
        let other = stage.queue("other");
        stage.rabbit.queue(&other, &stage.exchange, "secret.#", &[]).await;
        let hostile = order(&stage.topic, "h", 0)
            .with_header("CC", "secret.salaries")
            .with_header("BCC", "secret.salaries")
            .with_header("user_id", "root")
            .with_header("expiration", "1")
            .with_header("x-death", "[]")
            .with_header("x-expires", "1")
            .with_header("x\u{0}y", "zero")
            .with_header("binary", vec![0xff, 0x00, 0xfe]);
        let sent = [order(&stage.topic, "a", 0), hostile, order(&stage.topic, "b", 0)];
        publish_raw(&sent).await;
        let mut bridge = stage.start("");
        bridge.ready().await;
        stage.all_settled(3).await;
        let found = stage.rabbit.drain(&queue).await;
        let mut found: Vec<String> = found.iter().map(id_of).collect();
        found.sort();
        assert_eq!(found, ["a-0", "b-0", "h-0"]);
        assert_eq!(stage.rabbit.drain(&other).await.len(), 0);
        bridge.process.stop().await;
    });
}

/// Publishes raw records: the publisher of messagekit refuses header names with a zero byte.
async fn publish_raw(messages: &[Message]) {
    let plain: Vec<Message> = messages
        .iter()
        .map(|message| {
            let mut message = message.clone();
            message.headers.remove("x\u{0}y");
            message
        })
        .collect();
    publish(&plain).await;
}

#[test]
fn a_routing_key_may_be_any_text_that_a_record_brings() {
    let _turn = TURNS.together();
    block_on(async {
        let stage = Stage::new(1).await;
        let queue = stage.bound_queue("all").await;
        let keys = ["a b", "größe", "#", "*", "x'; DROP TABLE records; --", "new\nline"];
        let sent: Vec<Message> = (0..)
            .zip(keys)
            .map(|(n, key)| order(&stage.topic, "m", n).with_key(key.as_bytes().to_vec()))
            .collect();
        publish(&sent).await;
        let settings = format!("{}routing_key = \"orders.{{key}}\"\n", stage.settings(""));
        let mut bridge = stage.start_with(&settings, &[]);
        bridge.ready().await;
        stage.all_settled(sent.len()).await;
        let mut found: Vec<String> =
            stage.rabbit.drain(&queue).await.iter().map(|found| found.routing_key.to_string()).collect();
        found.sort();
        let mut expected = keys.map(|key| format!("orders.{key}"));
        expected.sort();
        assert_eq!(found, expected);
        bridge.process.stop().await;
    });
}

#[test]
fn a_limit_slows_the_publishes_and_a_stop_drains() {
    let _turn = TURNS.together();
    block_on(async {
        let stage = Stage::new(2).await;
        let queue = stage.bound_queue("all").await;
        let sent = orders(&stage.topic, 20, 10);
        publish(&sent).await;
        let started = std::time::Instant::now();
        let mut bridge = stage.start("[bridge.limit]\nmessages = 50\nper = \"2s\"");
        bridge.ready().await;
        stage.all_settled(sent.len()).await;
        // 50 at once, the other 150 in six seconds.
        assert!(started.elapsed().as_secs() >= 5, "{:?}", started.elapsed());
        bridge.process.stop().await;
        let found: BTreeSet<String> = stage.rabbit.drain(&queue).await.iter().map(id_of).collect();
        assert_eq!(found, ids(&sent));
    });
}

#[test]
fn a_bridge_filter_drops_duplicates_of_the_source() {
    let _turn = TURNS.together();
    block_on(async {
        let stage = Stage::new(2).await;
        let queue = stage.bound_queue("all").await;
        let database = messagekit_tests::Database::fresh().await;
        let sent = orders(&stage.topic, 10, 10);
        publish(&sent).await;
        let mut bridge = stage.start(&format!("[bridge.duplicates]\ndatabase = \"{}\"", database.url()));
        bridge.ready().await;
        stage.all_settled(100).await;
        publish(&sent).await;
        stage.all_settled(200).await;
        eventually("the copies are counted", PATIENCE, async || {
            bridge
                .get("/metrics")
                .unwrap()
                .contains(&format!("messagekit_bridge_duplicates_total{{bridge=\"{}\"}} 100", stage.name))
        })
        .await;
        bridge.process.stop().await;
        assert_eq!(stage.rabbit.drain(&queue).await.len(), 100);
    });
}

#[test]
fn repeated_headers_all_reach_rabbitmq() {
    let _turn = TURNS.together();
    block_on(async {
        let stage = Stage::new(1).await;
        let queue = stage.bound_queue("all").await;
        let repeated =
            [("id", "h-0"), ("eventType", "orders.placed"), ("tag", "a"), ("tag", "b"), ("tag", "c")];
        publish_foreign(&stage.topic, repeated.to_vec(), Some("{}")).await;
        let mut bridge = stage.start("");
        bridge.ready().await;
        stage.all_settled(1).await;
        let found = stage.rabbit.drain(&queue).await;
        assert_eq!(header(&found[0], "x-k-tag").as_deref(), Some("c"));
        let earlier = header(&found[0], "x-k-repeatedHeaders");
        assert_eq!(earlier.as_deref(), Some(r#"[["tag","a"],["tag","b"]]"#));
        bridge.process.stop().await;
    });
}

#[test]
fn a_tombstone_reaches_rabbitmq_with_its_mark() {
    let _turn = TURNS.together();
    block_on(async {
        let stage = Stage::new(1).await;
        let queue = stage.bound_queue("all").await;
        for (id, payload) in [("gone", None), ("empty", Some(""))] {
            publish_foreign(&stage.topic, vec![("id", id), ("eventType", "orders.placed")], payload).await;
        }
        let mut bridge = stage.start("");
        bridge.ready().await;
        stage.all_settled(2).await;
        let found = stage.rabbit.drain(&queue).await;
        let marks: BTreeMap<String, Option<String>> =
            found.iter().map(|delivery| (id_of(delivery), header(delivery, headers::TOMBSTONE))).collect();
        assert!(found.iter().all(|delivery| delivery.data.is_empty()));
        let expected = [("empty".to_owned(), None), ("gone".to_owned(), Some("true".to_owned()))];
        assert_eq!(marks, BTreeMap::from(expected));
        bridge.process.stop().await;
    });
}

/// Publishes a record as another client would: with headers in any number, and without a value.
async fn publish_foreign(
    topic: &str,
    headers: Vec<(&'static str, &'static str)>,
    payload: Option<&'static str>,
) {
    let topic = topic.to_owned();
    let publish = move || {
        let producer: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", services::kafka()).create().unwrap();
        let headers = headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header { key, value: Some(*value) })
        });
        let mut record = BaseRecord::<str, str>::to(&topic).key("k").headers(headers);
        if let Some(payload) = payload {
            record = record.payload(payload);
        }
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.flush(PATIENCE).unwrap();
    };
    tokio::task::spawn_blocking(publish).await.unwrap();
}
