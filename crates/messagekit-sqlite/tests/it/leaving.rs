//! Relayed topics, and delayed events.

use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::{OutboxRows, Publisher, WithoutRelay};
use messagekit::log::Log;
use messagekit::memory::MemoryLog;
use messagekit::operations::{
    EventFilter, Operator, OutboxHealth, OutboxLag, ReplayIds, ReplayOrder, Replays,
};
use messagekit::relay::{OutboxReader, Page, Pending, RejectedEvents, Rejection, Relay, ShardRead};
use messagekit::{Error, ErrorKind, Message, Shutdown, Store, headers};
use messagekit_sqlite::SqliteStore;
use messagekit_testkit::{DEADLINE, eventually};
use tempfile::TempDir;

const TOPIC: &str = "orders.order";
const LEASE: Duration = Duration::from_secs(600);

fn event(id: &str) -> Message {
    Message::new(TOPIC, "{}").with_key("k").with_header(headers::ID, id.to_owned())
}

async fn write(store: &SqliteStore, id: &str) {
    let mut tx = store.begin().await.unwrap();
    store.write(&mut tx, &[event(id)]).await.unwrap();
    store.commit(tx).await.unwrap();
}

async fn write_after(store: &SqliteStore, id: &str, delay: Duration) {
    let mut tx = store.begin().await.unwrap();
    store.write_after(&mut tx, &[event(id)], delay, WithoutRelay::Refuse).await.unwrap();
    store.commit(tx).await.unwrap();
}

async fn page(store: &SqliteStore) -> Page {
    let leases = store.lease("r1", LEASE).await.unwrap();
    let wanted: Vec<ShardRead> =
        leases.held.iter().map(|lease| ShardRead { lease: *lease, above: i64::MIN }).collect();
    store.pending("r1", &wanted, &[], &[], 1_000).await.unwrap()
}

async fn pending(store: &SqliteStore) -> Vec<String> {
    let page = page(store).await;
    page.rows.iter().map(|row| row.message.headers.text(headers::ID).unwrap().to_owned()).collect()
}

async fn records(store: &SqliteStore) -> i64 {
    match store.bounds(TOPIC).await {
        Ok(bounds) => bounds.iter().map(|bounds| bounds.end).sum(),
        Err(error) if error.kind() == ErrorKind::NotFound => 0,
        Err(error) => panic!("{error}"),
    }
}

struct File(TempDir);

impl File {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> std::path::PathBuf {
        self.0.path().join("shop.db")
    }

    async fn open(&self) -> SqliteStore {
        SqliteStore::open(self.path()).await.unwrap()
    }

    async fn leaving(&self) -> SqliteStore {
        SqliteStore::options().relayed_topics([TOPIC]).open(self.path()).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn relayed_topics_hold_for_every_writer_of_the_file() {
    let file = File::new();
    let before = file.open().await;
    write(&before, "before").await;
    let store = file.leaving().await;
    write(&store, "outbox").await;
    // Neither the store opened before the setting nor the one opened after names the topic.
    write(&before, "other").await;
    drop((before, store));
    let store = file.open().await;
    assert!(store.publisher().publish(&[event("publisher")]).await.iter().all(Result::is_ok));
    assert_eq!(pending(&store).await, ["outbox", "other", "publisher"]);
    assert_eq!(records(&store).await, 4, "it stays a topic of the file");
}

#[tokio::test(flavor = "multi_thread")]
async fn topic_that_stays_again_sends_what_waits_and_nothing_more() {
    let file = File::new();
    write(&file.leaving().await, "left").await;
    let store = SqliteStore::options().local_topics([TOPIC]).open(file.path()).await.unwrap();
    write(&store, "stays").await;
    assert_eq!(pending(&store).await, ["left"]);
    let entry = page(&store).await.rows[0].entry();
    store.published(&[entry]).await.unwrap();
    let over = store.lease("r1", LEASE).await.unwrap_err();
    assert_eq!(over.kind(), ErrorKind::Schema, "a relay has nothing to do any more");
    assert!(over.to_string().contains("SqliteOptions::relayed_topics"), "{over}");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_cannot_leave_are_refused_before_the_file_is_made() {
    let file = File::new();
    let wrong =
        [("no topic", "a.b", ErrorKind::InvalidEvent), ("a.b", "a.b", ErrorKind::InvalidConfiguration)];
    for (leaving, staying, kind) in wrong {
        let options = SqliteStore::options().relayed_topics([leaving]).local_topics([staying]);
        let error = options.open(file.path()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
    assert!(!file.path().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn republications_are_pending_too_and_distinguishable() {
    let file = File::new();
    let store = file.leaving().await;
    let event = event("e-1").with_header(headers::FREE_HEADERS, r#"{"tenant": "north"}"#);
    // Some times end with a zero.
    for number in 0..30 {
        let mut tx = store.begin().await.unwrap();
        let mut event = event.clone();
        event.headers.set(headers::ID, format!("e-{number}"));
        store.write(&mut tx, &[event]).await.unwrap();
        store.commit(tx).await.unwrap();
    }
    let filter = EventFilter::default();
    let order = ReplayOrder { filter, ids: ReplayIds::Same, per_second: None, count: None };
    store.order_replay(&order, &Operator::new("ann", "test")).await.unwrap();
    let (lease, _) = store.lease_replay(LEASE).await.unwrap().unwrap();
    store.replay_step(lease, 30, LEASE, &|_: &_| panic!("events keep their ids")).await.unwrap();
    let page = page(&store).await;
    let (originals, copies) = page.rows.split_at(30);
    for (original, copy) in std::iter::zip(originals, copies) {
        let names: Vec<&str> = copy.message.headers.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["id", "createdAt", "headers"]);
        assert!(original.seq < copy.seq && original.copy != copy.copy, "{page:?}");
    }
    let messages = |rows: &[Pending]| {
        let mut messages: Vec<_> = rows.iter().map(|row| row.message.clone()).collect();
        messages.sort_by_key(|message| message.headers.get(headers::ID).cloned());
        messages
    };
    assert_eq!(messages(originals), messages(copies), "createdAt of the original too");
}

#[tokio::test(flavor = "multi_thread")]
async fn delayed_event_enters_its_topic_without_readers_or_writers() {
    let file = File::new();
    let store = file.open().await;
    write_after(&store, "late", Duration::from_secs(3_600)).await;
    write_after(&store, "soon", Duration::from_millis(50)).await;
    eventually("it is in its topic", DEADLINE, async || records(&store).await == 1).await;
    write(&store, "next").await;
    assert_eq!(records(&store).await, 2, "the other one waits");
}

/// As after a crash of the process that added it.
#[tokio::test(flavor = "multi_thread")]
async fn delayed_event_enters_its_topic_when_the_file_is_reopened() {
    let file = File::new();
    let store = file.leaving().await;
    write_after(&store, "soon", Duration::from_millis(1)).await;
    let mut tx = store.begin().await.unwrap();
    store
        .write_after(&mut tx, &[event("gone")], Duration::from_millis(1), WithoutRelay::Refuse)
        .await
        .unwrap();
    store.rollback(tx).await.unwrap();
    store.close().await.unwrap();
    let (store, other) = (file.open().await, file.open().await);
    eventually("it is in its topic", DEADLINE, async || records(&store).await == 1).await;
    eventually("once", DEADLINE, async || store.due().await.unwrap().is_none()).await;
    assert_eq!(other.due().await.unwrap(), None);
    assert_eq!((records(&other).await, pending(&other).await), (1, vec!["soon".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn delayed_event_keeps_the_time_at_which_it_was_written() {
    let file = File::new();
    let store = file.leaving().await;
    let before = jiff::Timestamp::now();
    write_after(&store, "soon", Duration::from_millis(400)).await;
    let written = jiff::Timestamp::now();
    eventually("it is due", DEADLINE, async || records(&store).await == 1).await;
    let found = page(&store).await.rows.remove(0).message;
    let created: jiff::Timestamp = found.headers.text(headers::CREATED_AT).unwrap().parse().unwrap();
    let round = jiff::SignedDuration::from_millis(1);
    assert!(before - round <= created && created <= written, "{before} {created} {written}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lag_is_what_no_broker_has_confirmed() {
    let file = File::new();
    let store = file.open().await;
    write(&store, "stays").await;
    let empty = OutboxLag { pending: 0, overdue: 0, oldest: None, problems: Vec::new() };
    assert_eq!(store.lag().await.unwrap(), empty, "what stays is where it belongs");

    let store = file.leaving().await;
    write(&store, "e-1").await;
    write(&store, "e-2").await;
    let found = store.lag().await.unwrap();
    assert!(found.pending == 2 && found.oldest.is_some(), "{found:?}");
    assert!(found.problems[0].contains("no relay lives"), "{found:?}");
    let page = page(&store).await;
    assert_eq!(store.lag().await.unwrap().problems, [""; 0]);

    let leases = store.lease("r1", LEASE).await.unwrap();
    let lease = *leases.held.iter().find(|lease| lease.shard == page.rows[0].shard).unwrap();
    let error = Some(Error::new(ErrorKind::TooLarge, "too large"));
    let rejection = Rejection { lease, entry: page.rows[0].entry(), error };
    assert_eq!(store.set_aside("r1", &rejection).await.unwrap(), 2);
    let found = store.lag().await.unwrap();
    assert_eq!((found.pending, found.problems.len()), (0, 1), "{found:?}");
    assert!(found.problems[0].contains("refused 1 events, and 1 wait"), "{found:?}");
}

/// Changes a file as another program could.
fn tamper(file: &File, sql: &str) {
    let conn = rusqlite::Connection::open(file.path()).unwrap();
    conn.busy_timeout(DEADLINE).unwrap();
    conn.execute_batch(sql).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_record_is_rejected_by_id_and_others_are_published() {
    let file = File::new();
    let store = file.leaving().await;
    let keyed = |id: &str, key: &str| {
        Message::new(TOPIC, "{}").with_key(key.to_owned()).with_header(headers::ID, id.to_owned())
    };
    let bad = ["time", "headers", "gone", "id"];
    let mut events: Vec<Message> = bad.iter().map(|id| keyed(id, id)).collect();
    events.extend(bad.iter().map(|id| keyed(&format!("behind-{id}"), id)));
    events.extend((0..20).map(|n| keyed(&format!("good-{n}"), &format!("k-{n}"))));
    let mut tx = store.begin().await.unwrap();
    store.write(&mut tx, &events).await.unwrap();
    store.commit(tx).await.unwrap();
    tamper(
        &file,
        "UPDATE messagekit_topic_records SET created_at = 9223372036854775807 WHERE event_id = 'time';
         UPDATE messagekit_topic_records SET headers = 'no list' WHERE event_id = 'headers';
         DELETE FROM messagekit_topic_records WHERE event_id = 'gone';
         UPDATE messagekit_topic_records SET event_id = CAST(x'ff' AS TEXT) WHERE event_id = 'id'",
    );

    let log = MemoryLog::new(1);
    let (reader, to): (Arc<dyn OutboxReader>, Arc<dyn Publisher>) =
        (Arc::new(store.clone()), Arc::new(log.clone()));
    let relay = Relay::builder("shop").reader(reader).to(to).poll(Duration::from_millis(5)).build().unwrap();
    let (stats, shutdown) = (relay.stats(), Shutdown::new());
    let running = tokio::spawn(relay.run(shutdown.clone()));
    eventually("nothing is pending", DEADLINE, async || store.lag().await.unwrap().pending == 0).await;
    assert_eq!(log.len(TOPIC), 20, "the others are out, and nothing that was set aside");
    let set_aside = stats.read();
    assert_eq!((set_aside.rejected, set_aside.set_aside), (4, 8));
    let rejected = store.rejected(0, 100, true).await.expect("they can be listed");
    let said: Vec<(&str, &str)> = rejected
        .iter()
        .filter_map(|event| Some((event.event_id.as_str(), event.error.as_deref()?)))
        .collect();
    for (id, why) in [
        ("time", "out of range"),
        ("headers", "not a list of pairs"),
        ("", "not in its topic any more"),
        ("", "cannot be read"),
    ] {
        assert!(said.iter().any(|(of, said)| *of == id && said.contains(why)), "{id} {why}: {said:?}");
    }

    // A repaired record is published with the records behind it.
    tamper(&file, "UPDATE messagekit_topic_records SET created_at = 1 WHERE event_id = 'time'");
    let time = rejected.iter().find(|event| event.event_id.as_str() == "time").unwrap().id;
    assert_eq!(store.retry_rejected(time, &Operator::new("ann", "test")).await.unwrap(), 2);
    eventually("they are out", DEADLINE, async || log.len(TOPIC) == 22).await;
    shutdown.request();
    running.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_delayed_event_delays_no_other_event() {
    let file = File::new();
    let store = file.leaving().await;
    for id in ["bad", "good"] {
        write_after(&store, id, Duration::from_secs(3_600)).await;
    }
    tamper(
        &file,
        "UPDATE messagekit_outbox_delayed SET headers = 'no list' WHERE number = 1; UPDATE messagekit_outbox_delayed SET due = number",
    );
    eventually("the other is in its topic", DEADLINE, async || records(&store).await == 1).await;
    assert_eq!(pending(&store).await, ["good"]);
    assert_eq!(store.due().await.unwrap(), None, "nothing waits for the one that cannot be read");
    let problems = store.lag().await.unwrap().problems;
    assert!(
        problems.iter().any(|problem| problem.contains("1 delayed events cannot be read")),
        "{problems:?}"
    );
}
