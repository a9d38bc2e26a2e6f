//! A record that no reader can read.

use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::{OutboxRows, Publisher};
use messagekit::operations::{Operator, OutboxHealth};
use messagekit::relay::{OutboxReader, RejectedEvents, Relay};
use messagekit::{Message, Shutdown, Store, headers};
use messagekit_memory::MemoryLog;
use messagekit_testkit::{DEADLINE, eventually};

use super::outbox::{File, TOPIC, tamper};

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_record_is_rejected_by_id_and_others_are_published() {
    let file = File::new();
    let store = file.relayed().await;
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
    // The relay counts a moment after the rows have changed.
    let counted = || (stats.read().rejected, stats.read().set_aside);
    eventually("they are counted", DEADLINE, async || counted() == (4, 8)).await;
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
