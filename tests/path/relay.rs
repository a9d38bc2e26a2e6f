//! The other publishing mode: a relay instead of Debezium, and the change from one to the other and back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use messagekit::adapter::OutboxRows;
use messagekit::{Event, Message, Outbox, Store, headers};
use messagekit_postgres::PostgresStore;
use messagekit_rabbitmq::{Queue, RabbitMq};
use messagekit_testkit::crash::Ended;
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};
use messagekit_tests::{Database, Program, services};
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, Executor};

use crate::broker::{self, Raw};
use crate::cdc::{Connector, messagekit, said};
use crate::orders::seed;
use crate::process::launch;
use crate::queues;
use crate::turn;

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", key = "order_id")]
struct OrderPlaced {
    order_id: String,
    note: String,
}

pub(crate) fn relay(database: &Database) -> Program {
    let kafka = services::kafka();
    let place = ["relay", "--database", database.url(), "--kafka", &kafka, "--listen", "127.0.0.1:0"];
    launch("messagekit", &place).start()
}

pub(crate) fn migrate(database: &Database, arguments: &[&str]) {
    let done = messagekit(&[&["migrate", "--database", database.url()], arguments].concat());
    assert!(done.status.success(), "migrate {}: {}", arguments.join(" "), said(&done));
}

fn count(topic: &str) -> i64 {
    broker::ends(topic).map_or(0, |ends| ends.iter().sum())
}

/// The parts of a record that a consumer sees, except offset and time, with readable bytes: partition, key, payload,
/// headers.
type Seen = (Option<i32>, Option<String>, String, Vec<(String, String)>);

/// Returns the records of each key in their order, and those without a key by id, whatever their partition.
fn seen(records: &[Raw]) -> BTreeMap<String, Vec<Seen>> {
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    let mut seen: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for record in records {
        let key = record.key.as_deref().map(text);
        let of =
            key.as_ref().map_or_else(|| format!("without: {}", record.id()), |key| format!("key: {key}"));
        // For an empty column Debezium writes a header without a value, and the relay writes none: a consumer sees no header.
        let headers =
            record.headers.iter().filter_map(|(name, value)| Some((name.clone(), text(value.as_deref()?))));
        let partition = key.is_some().then_some(record.partition);
        let what = (partition, key, text(&record.payload), headers.collect());
        seen.entry(of).or_default().push(what);
    }
    seen
}

#[test]
fn relay_and_connector_publish_byte_identical_records() {
    let _turn = turn::together();
    block_on(async {
        let database = Database::fresh().await;
        let topic = unique("ways");
        broker::make(&[(&topic, 3)]).await;
        let connector = Connector::apply(&database);

        // Events written by a service, by SQL, and in a form that no writer should use.
        let store = database.store().await;
        let outbox = Outbox::new(store.clone(), "order-service").unwrap();
        let mut tx = store.begin().await.unwrap();
        let mut rows = Vec::new();
        for n in 0..50 {
            let note = ["", "ü €", "\"quoted\" \\ \n", "\u{1F600}"][n % 4].repeat(n);
            let order = OrderPlaced { order_id: format!("o-{}", n % 7), note };
            let envelope = messagekit::Envelope::new(order);
            let mut message = messagekit::adapter::codec::encode(&envelope, outbox.source()).unwrap();
            message.topic = topic.as_str().into();
            rows.push(match n % 3 {
                0 => message,
                1 => message.with_header(
                    headers::FREE_HEADERS,
                    "{\"tenant\": \"north\", \"a-ü\": \"\", \"b\": null}",
                ),
                _ => message.with_header(headers::TRACEPARENT, "00-ab-cd-01"),
            });
        }
        store.write(&mut tx, &rows).await.unwrap();
        let by_hand = "INSERT INTO messagekit.outbox_events
            (event_id, topic, aggregate_id, event_type, payload, content_type, headers, traceparent)
          VALUES ('m-ü', $1, 'key ü', 'orders.order.placed', $2, 'application/json', '{\"tenant\": \"north\", \"b\": \"2\"}', '00-ab-cd-01'),
            ('m-1', $1, NULL, NULL, 'x', NULL, NULL, NULL), ('m-2', $1, '', 't', '{}', 'text/plain', '{}', ''),
            ('m-3', $1, 'k', 't', '{}', NULL, NULL, NULL)";
        // Bytes that every decoder would change.
        let payload = b"{\"dec\":1.10,\"big\":12345678901234567890}\x00\xff\n";
        sqlx::query(by_hand).bind(&topic).bind(&payload[..]).execute(&mut *tx).await.unwrap();
        // Times of every precision.
        let times = format!(
            "INSERT INTO messagekit.outbox_events (event_id, topic, aggregate_id, payload, created_at) VALUES
               ('t-0', '{topic}', 't', '0', '2026-03-29T01:59:59+01'), ('t-1', '{topic}', 't', '1', '2026-01-02T03:04:05.1Z'),
               ('t-2', '{topic}', 't', '2', '2026-01-02T03:04:05.123400Z'), ('t-3', '{topic}', 't', '3', '1969-12-31T23:59:59.999999Z')"
        );
        tx.execute(sqlx::raw_sql(AssertSqlSafe(times))).await.unwrap();
        let publish =
            "SELECT messagekit.publish($1, 'c-1', 'orders.order.placed', jsonb_build_object('pence', 990))";
        sqlx::query(publish).bind(&topic).execute(&mut *tx).await.unwrap();
        store.commit(tx).await.unwrap();

        let all = 50 + 4 + 4 + 1;
        eventually("the connector has published", DEADLINE, async || count(&topic) >= all).await;
        let captured = broker::read(&topic);
        assert_eq!(captured.len() as i64, all);
        connector.delete_with_slot();
        migrate(&database, &["--relay", "--existing", "publish"]);
        let mut relay = relay(&database);
        eventually("the relay has published", DEADLINE, async || count(&topic) >= 2 * all).await;
        relay.stop().await;
        let mut relayed = broker::read(&topic);
        let places: Vec<_> = captured.iter().map(|record| (record.partition, record.offset)).collect();
        relayed.retain(|record| !places.contains(&(record.partition, record.offset)));
        let (relayed, captured) = (seen(&relayed), seen(&captured));
        for (key, records) in &captured {
            assert_eq!(relayed.get(key), Some(records), "{key}");
        }
        assert_eq!(relayed.len(), captured.len());
    });
}

/// Instructions to the writers.
#[derive(Default)]
struct Wishes {
    stop: AtomicBool,
    /// Ids contain the day of their creation.
    with_days: AtomicBool,
}

/// Returns an id of version 7 from a clock that is a week ahead: its day has its own partition.
fn in_a_week(number: u64, n: u64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let millis = now.as_millis() + 7 * 24 * 3_600 * 1_000;
    format!("{:08x}-{:04x}-7000-8{n:03x}-{number:012x}", millis >> 16, millis & 0xffff)
}

/// Writes events of eight keys continuously, one transaction at a time, and rolls every fifth one back.
async fn write(store: PostgresStore, topic: String, wishes: Arc<Wishes>) {
    let mut dice = fastrand::Rng::with_seed(seed());
    for number in 0_u64.. {
        if wishes.stop.load(Ordering::Relaxed) {
            return;
        }
        let with_days = wishes.with_days.load(Ordering::Relaxed);
        let kept = dice.u8(..5) > 0;
        let events: Vec<_> = (0..dice.u64(1..5))
            .map(|n| {
                let id = match with_days {
                    true => in_a_week(number, n),
                    false => format!("{}{number}-{n}", if kept { "" } else { "gone-" }),
                };
                Message::new(topic.as_str(), format!("{{\"n\": {number}}}"))
                    .with_key(format!("k{}", dice.u8(..8)))
                    .with_header(headers::ID, id)
            })
            .collect();
        let mut tx = store.begin().await.unwrap();
        store.write(&mut tx, &events).await.unwrap();
        match kept {
            true => store.commit(tx).await.unwrap(),
            false => store.rollback(tx).await.unwrap(),
        }
        // The publisher must keep up.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until 200 more records have arrived, and returns their number.
async fn goes_on(topic: &str, what: &str) -> i64 {
    let before = count(topic);
    eventually(what, 2 * DEADLINE, async || count(topic) > before + 200).await;
    count(topic)
}

/// Waits until every committed event has arrived, each key in order, and returns the number of events and of records.
async fn until_all_have_left(database: &Database, topic: &str) -> (usize, usize) {
    let committed = "SELECT event_id, aggregate_id FROM messagekit.outbox_events ORDER BY seq";
    let committed: Vec<(String, String)> =
        sqlx::query_as(committed).fetch_all(&mut database.connection().await).await.unwrap();
    let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (id, key) in &committed {
        expected.entry(key.clone()).or_default().push(id.clone());
    }
    let mut records = 0;
    eventually("every event has left", 2 * DEADLINE, async || {
        let read = broker::read(topic);
        records = read.len();
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for record in read {
            let key = String::from_utf8(record.key.clone().unwrap()).unwrap();
            let ids = found.entry(key).or_default();
            // A duplicate does not change the order.
            if !ids.iter().any(|id| id == record.id()) {
                ids.push(record.id().to_owned());
            }
        }
        for (key, ids) in &found {
            assert!(expected[key].starts_with(ids), "order of {key}, or one that was never committed");
        }
        found == expected
    })
    .await;
    (committed.len(), records)
}

/// Connector and relay continue, and no earlier event is published a second time.
#[test]
fn tables_divided_by_day_under_load_lose_and_repeat_no_event() {
    let _turn = turn::together();
    block_on(async {
        let database = Database::fresh().await;
        let topic = unique("days");
        broker::make(&[(&topic, 4)]).await;
        let connector = Connector::apply(&database);
        let wishes = Arc::new(Wishes::default());
        let writer = tokio::spawn(write(database.store().await, topic.clone(), wishes.clone()));
        let whole = goes_on(&topic, "the connector publishes").await;
        migrate(&database, &["--by-day"]);
        goes_on(&topic, "the connector publishes what is written to the rest").await;
        wishes.with_days.store(true, Ordering::Relaxed);
        let captured = goes_on(&topic, "the connector publishes what is written to a day").await;
        let read = broker::read(&topic);
        let ids: std::collections::BTreeSet<&str> = read.iter().map(Raw::id).collect();
        assert_eq!(ids.len(), read.len(), "an event went out twice");

        migrate(&database, &["--relay"]);
        let mut relay = relay(&database);
        connector.delete_with_slot();
        goes_on(&topic, "the relay publishes").await;
        wishes.stop.store(true, Ordering::Relaxed);
        writer.await.unwrap();
        let (committed, records) = until_all_have_left(&database, &topic).await;
        relay.stop().await;
        let days = "SELECT count(*) FROM messagekit.outbox_events WHERE tableoid <> 'messagekit.outbox_events_other'::regclass";
        let days: i64 = sqlx::query_scalar(days).fetch_one(&mut database.connection().await).await.unwrap();
        println!(
            "{committed} events committed, {days} of them with a day, {records} records; {whole} before the tables were divided, {captured} before the relay"
        );
        assert!(days > 200, "{days}");
    });
}

#[test]
fn publishing_mode_changes_both_ways_under_load_without_loss() {
    let _turn = turn::together();
    block_on(async {
        let database = Database::fresh().await;
        let topic = unique("ways");
        broker::make(&[(&topic, 4)]).await;
        let connector = Connector::apply(&database);
        let wishes = Arc::new(Wishes::default());
        let writer = tokio::spawn(write(database.store().await, topic.clone(), wishes.clone()));
        let goes_on = async |what: &str| goes_on(&topic, what).await;

        let by_connector = goes_on("the connector publishes").await;
        migrate(&database, &["--relay"]);
        let mut first = relay(&database);
        goes_on("both publish").await;
        connector.delete_with_slot();
        let by_relay = goes_on("the relay publishes").await;
        migrate(&database, &["--cdc"]);
        // It has no more work, ever.
        first.ends(Ended::Exited(Some(1))).await;
        let connector = Connector::apply(&database);
        goes_on("the connector publishes again").await;
        wishes.stop.store(true, Ordering::Relaxed);
        writer.await.unwrap();

        let (committed, records) = until_all_have_left(&database, &topic).await;
        println!(
            "{committed} events committed, {records} records; {by_connector} by the connector, up to {by_relay} by the relay"
        );
        connector.delete_with_slot();
    });
}

#[test]
fn a_relay_publishes_to_an_existing_exchange_by_routing_key() {
    let _turn = turn::together();
    block_on(async {
        let database = Database::fresh().await;
        migrate(&database, &["--relay"]);
        let (exchange, queue) = (unique("ways.events"), unique("ways.orders"));
        let amqp = services::amqp_url();
        let place = ["relay", "--database", database.url(), "--rabbitmq", &amqp, "--exchange", &exchange];
        let template = ["--routing-key", "{topic}.{eventType}", "--listen", "127.0.0.1:0"];
        let arguments = [&place[..], &template].concat();
        let refused = messagekit(&arguments);
        assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
        assert!(said(&refused).lines().last().unwrap().contains(&exchange), "{}", said(&refused));

        let rabbitmq = RabbitMq::new(&amqp).unwrap();
        let topology = rabbitmq.topology().exchange(&exchange).queue(Queue::dead_letters(&queue));
        topology.bind(&queue, &exchange, "shop.placed").declare().await.unwrap();
        let store = database.store().await;
        let mut tx = store.begin().await.unwrap();
        let event = |id: &'static str, kind: &'static str| {
            Message::new("shop", "{}").with_header(headers::ID, id).with_header(headers::EVENT_TYPE, kind)
        };
        store.write(&mut tx, &[event("e-1", "placed"), event("e-2", "nobody-wants-it")]).await.unwrap();
        store.commit(tx).await.unwrap();
        let mut relay = launch("messagekit", &arguments).start();
        let settled = "SELECT count(*) FROM messagekit.outbox_pending";
        eventually("both are settled", DEADLINE, async || {
            sqlx::query_scalar::<_, i64>(settled).fetch_one(store.pool()).await.unwrap() == 0
        })
        .await;
        assert_eq!(queues::waiting(&queue).await, Some(1));
        // An event that no queue takes would be lost: it is set aside.
        let set_aside = "SELECT event_id FROM messagekit.outbox_rejected";
        let set_aside: Vec<String> = sqlx::query_scalar(set_aside).fetch_all(store.pool()).await.unwrap();
        assert_eq!(set_aside, ["e-2"]);
        relay.stop().await;
    });
}
