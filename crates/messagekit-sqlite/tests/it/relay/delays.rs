//! Delayed events: they enter their topic when they are due.

use std::time::Duration;

use messagekit::adapter::{EventLinks, OutboxRows, WithoutRelay};
use messagekit::operations::{EventHistory, OutboxHealth};
use messagekit::relay::OutboxReader;
use messagekit::{Store, headers};
use messagekit_sqlite::rusqlite;
use messagekit_testkit::{DEADLINE, eventually};

use super::outbox::{File, event, page, pending, records, tamper, write, write_after};

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
    let store = file.relayed().await;
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
    let store = file.relayed().await;
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
async fn unreadable_delayed_event_delays_no_other_event() {
    let file = File::new();
    let store = file.relayed().await;
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

/// A process with an older program appends what stands among the headers of the row.
#[tokio::test(flavor = "multi_thread")]
async fn delayed_event_keeps_its_links_apart_from_its_headers() {
    let file = File::new();
    let store = file.relayed().await;
    let links = EventLinks { causation_id: Some("cause".parse().unwrap()), ..EventLinks::default() };
    let mut caused = event("caused");
    links.add_to(&mut caused.headers);
    let mut tx = store.begin().await.unwrap();
    let hour = Duration::from_secs(3_600);
    store.write_after(&mut tx, &[caused], hour, WithoutRelay::Refuse).await.unwrap();
    store.commit(tx).await.unwrap();

    let row = "SELECT headers NOT LIKE '%cause\"%', links LIKE '%cause\"%' FROM messagekit_outbox_delayed";
    let conn = rusqlite::Connection::open(file.path()).unwrap();
    let found: (bool, bool) = conn.query_row(row, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!(found, (true, true));
    let of_event =
        async || store.event_record(&"caused".parse().unwrap()).await.unwrap().event.unwrap().links;
    assert_eq!(of_event().await, links);
    tamper(&file, "UPDATE messagekit_outbox_delayed SET due = 1");
    eventually("it is in its topic", DEADLINE, async || records(&store).await == 1).await;
    assert_eq!(of_event().await, links);
}
