//! Markers that a cleanup has removed stay recorded as removed, whatever dedup window follows.

use std::time::Duration;

use messagekit::adapter::{Markers, Publisher, codec};
use messagekit::cleanup::{CleanupTarget, Retention, clean};
use messagekit::operations::{EventFilter, FailedMessageFilter, FailedMessages, Replays};
use messagekit::{Backoff, Claim, Consumer, Envelope, Event, HandlerError, MessageId, Shutdown, headers};
use messagekit_memory::MemoryLog;
use messagekit_postgres::{PgTx, PostgresStore, SchemaName, partitioning};
use messagekit_testkit::{DEADLINE, block_on, eventually};
use messagekit_tests::locks;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::shop::{OrderPlaced, Shop, run};

const DAY: Duration = Duration::from_secs(24 * 3_600);

async fn bill(tx: &mut PgTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
    sqlx::query("INSERT INTO bills VALUES ($1)").bind(&order.data.order_id).execute(&mut **tx).await?;
    Ok(())
}

/// Delivers the message, written `days` days ago, and returns its outcome: how often handled, done and dead.
async fn deliver(shop: &Shop, id: &MessageId, days: i32, window: Option<Duration>) -> (u64, u64, u64) {
    let at = "SELECT to_char((now() - $1 * interval '1 day') AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
    let at: String = sqlx::query_scalar(at).bind(days).fetch_one(shop.store.pool()).await.unwrap();
    let mut envelope = Envelope::new(OrderPlaced::new("o-1"));
    envelope.meta.event_id = id.clone();
    let mut message = codec::encode(&envelope, "shop").unwrap();
    message.headers.set(headers::CREATED_AT, at);
    let log = MemoryLog::new(1);
    log.publish(&[message]).await.into_iter().for_each(|published| published.unwrap());

    let mut consumer = Consumer::builder(shop.consumer.as_str(), shop.store.clone())
        .from(log.topics([OrderPlaced::TOPIC]))
        .backoff(Backoff::fixed(Duration::from_millis(5)));
    if let Some(window) = window {
        consumer = consumer.dedup_window(window);
    }
    let consumer = consumer.on(bill).build().unwrap();
    let (stats, stop) = (consumer.stats(), Shutdown::new());
    let running = tokio::spawn(consumer.run(stop.clone()));
    let seen = || {
        let stats = stats.read();
        (stats.handled, stats.duplicates, stats.dead)
    };
    eventually("it was delivered", DEADLINE, async || seen() != (0, 0, 0)).await;
    stop.request();
    running.await.unwrap().unwrap();
    seen()
}

/// Lets days pass for the markers, and runs the nightly job. Returns how many rows and days of them it removed.
async fn nights(store: &PostgresStore, days: u32) -> (u64, u64) {
    let older = format!(
        "UPDATE messagekit.processed_messages SET processed_at = processed_at - interval '{days} days'"
    );
    store.pool().execute(AssertSqlSafe(older)).await.unwrap();
    let done = clean(store, &Retention::default(), false, std::future::pending::<()>()).await.unwrap();
    let done = done.iter().find(|done| done.what == CleanupTarget::Markers).unwrap();
    (done.removed, done.days)
}

async fn divide(shop: &Shop) {
    partitioning::divide(shop.database.url(), &SchemaName::default(), DEADLINE).await.unwrap();
}

#[test]
fn longer_dedup_window_applies_no_message_of_a_removed_marker() {
    block_on(async {
        for is_divided in [false, true] {
            for longer in [Some(DAY * 14), None] {
                let (shop, id) = (Shop::open().await, MessageId::new());
                if is_divided {
                    divide(&shop).await;
                }
                assert_eq!(deliver(&shop, &id, 0, Some(DAY * 7)).await, (1, 0, 0));
                let (rows, whole_days) = nights(&shop.store, 10).await;
                assert_eq!(rows + whole_days, 1, "the marker of ten days ago");

                assert_eq!(
                    deliver(&shop, &id, 10, longer).await,
                    (0, 0, 1),
                    "divided: {is_divided}, {longer:?}"
                );
                assert_eq!(shop.bills().await, 1, "billed once; divided: {is_divided}, {longer:?}");
                let failed_messages = shop.store.list(&FailedMessageFilter::default(), 10).await.unwrap();
                assert_eq!((failed_messages.len(), failed_messages[0].kind.as_str()), (1, "outside_window"));

                // A message within the shorter window is applied.
                assert_eq!(deliver(&shop, &MessageId::new(), 6, longer).await, (1, 0, 0));
            }
        }
    });
}

#[test]
fn a_replay_reports_events_without_markers_under_any_window() {
    block_on(async {
        let shop = Shop::open().await;
        let write = "INSERT INTO messagekit.outbox_events (event_id, topic, payload, created_at)
            SELECT 'e-' || n, 'orders.order', '\\x00', now() - n * interval '1 day' + interval '1 hour' FROM generate_series(1, 20) n";
        run(shop.store.pool(), write).await;
        deliver(&shop, &MessageId::new(), 0, Some(DAY * 7)).await;
        let too_old = async || {
            let count = shop.store.replay_count(&EventFilter::default()).await.unwrap();
            count.too_old_for.into_iter().find(|old| old.consumer == shop.consumer).map(|old| old.events)
        };
        assert_eq!(too_old().await, Some(13), "all from the eighth day on");
        assert_eq!(nights(&shop.store, 10).await, (1, 0));
        for (longer, expected) in [(Some(DAY * 14), 11), (Some(DAY * 100), 11), (None, 11)] {
            shop.store.note_window(&shop.consumer, longer).await.unwrap();
            assert_eq!(too_old().await, Some(expected), "from the tenth day on, with {longer:?}");
        }
    });
}

/// A partition that is removed as a whole is not read row by row, so its consumers learn a time from their windows.
#[test]
fn consumers_learn_of_a_day_of_markers_that_goes_at_once() {
    block_on(async {
        let shop = Shop::open().await;
        divide(&shop).await;
        let at_noon = "INSERT INTO messagekit.processed_messages (consumer, message_id, day, outcome, processed_at)
            SELECT c, id, messagekit.day_of(id), 'done', now() - interval '20 days' FROM unnest(ARRAY['billing', 'shipping']) c,
              (SELECT '01890000-0000-7000-8000-' || lpad(n::text, 12, '0') AS id FROM generate_series(1, 500) n) ids";
        run(shop.store.pool(), at_noon).await;
        for (consumer, days) in [("billing", 7), ("shipping", 9), ("idle", 7)] {
            assert_eq!(shop.store.note_window(consumer, Some(DAY * days)).await.unwrap(), None);
        }
        assert_eq!(nights(&shop.store, 0).await, (0, 1));
        let told = "SELECT consumer FROM messagekit.consumer_windows
            WHERE complete_since BETWEEN now() - interval '9 days 1 hour' AND now() - interval '8 days 23 hours' ORDER BY consumer";
        let told: Vec<String> = sqlx::query_scalar(told).fetch_all(shop.store.pool()).await.unwrap();
        assert_eq!(told, ["billing", "shipping"], "none was younger than the longest window of the part");
        for (consumer, is_told) in [("billing", true), ("shipping", true), ("idle", false)] {
            assert_eq!(
                shop.store.note_window(consumer, None).await.unwrap().is_some(),
                is_told,
                "{consumer}"
            );
        }
    });
}

/// Returns a statement of the page for operators, for a consumer, with a time in the past.
fn correction(consumer: &str) -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operating.md");
    let page = std::fs::read_to_string(page).unwrap();
    let begin = "UPDATE messagekit.consumer_windows SET complete_since = ";
    let line = page.lines().find(|line| line.starts_with(begin)).expect("the page has the statement");
    let (_, rest) = line.strip_prefix(begin).unwrap().split_once(" WHERE ").unwrap();
    format!("{begin}now() - interval '2 hours' WHERE {}", rest.replace("'billing'", &format!("'{consumer}'")))
}

#[test]
fn complete_since_from_a_fast_clock_is_corrected_in_every_row() {
    block_on(async {
        let shop = Shop::open().await;
        for days in [7, 14] {
            assert_eq!(deliver(&shop, &MessageId::new(), 0, Some(DAY * days)).await, (1, 0, 0));
        }
        let ahead = "UPDATE messagekit.consumer_windows SET complete_since = now() + interval '5 days'";
        run(shop.store.pool(), ahead).await;
        assert_eq!(deliver(&shop, &MessageId::new(), 0, Some(DAY * 14)).await, (0, 0, 1));

        let done = shop.store.pool().execute(AssertSqlSafe(correction(&shop.consumer))).await.unwrap();
        assert_eq!(done.rows_affected(), 2, "one for each window");
        assert_eq!(deliver(&shop, &MessageId::new(), 0, Some(DAY * 14)).await, (1, 0, 0));
    });
}

/// Returns whether a session waits for a row of the windows.
async fn waits(store: &PostgresStore) -> bool {
    locks::waiting_statements(store.pool(), "%consumer_windows%").await > 0
}

#[test]
fn a_window_noted_during_cleanup_keeps_markers_or_sees_the_loss() {
    block_on(async {
        let shop = Shop::open().await;
        let store = &shop.store;
        store.note_window("billing", Some(DAY * 7)).await.unwrap();
        let mark = "INSERT INTO messagekit.processed_messages (consumer, message_id, outcome, processed_at)
            VALUES ('billing', 'm-10', 'done', now() - interval '10 days')";
        run(store.pool(), mark).await;

        // A process records a longer window at the moment in which a cleanup begins: its marker stays.
        let mut rival = PgConnection::connect(shop.database.url()).await.unwrap();
        rival.execute("BEGIN; SELECT FROM messagekit.consumer_windows FOR UPDATE").await.unwrap();
        let cleaning = tokio::spawn({
            let store = store.clone();
            async move { nights(&store, 0).await }
        });
        eventually("the cleanup waits", DEADLINE, async || waits(store).await).await;
        let noted =
            "INSERT INTO messagekit.consumer_windows (consumer, seconds) VALUES ('billing', 14 * 86400)";
        rival.execute(noted).await.unwrap();
        rival.execute("COMMIT").await.unwrap();
        assert_eq!(cleaning.await.unwrap(), (0, 0), "of the longer window it was not old");
        assert_eq!(store.note_window("billing", Some(DAY * 14)).await.unwrap(), None);

        // A process records an even longer one while the marker is being removed: it waits for the end, and learns of it.
        run(
            store.pool(),
            "UPDATE messagekit.processed_messages SET processed_at = now() - interval '20 days'",
        )
        .await;
        rival.execute("BEGIN; SELECT FROM messagekit.consumer_windows FOR UPDATE").await.unwrap();
        let noting = tokio::spawn({
            let store = store.clone();
            async move { store.note_window("billing", Some(DAY * 30)).await.unwrap() }
        });
        eventually("the note waits", DEADLINE, async || waits(store).await).await;
        rival
            .execute(
                "DELETE FROM messagekit.processed_messages;
                 UPDATE messagekit.consumer_windows SET complete_since = now() - interval '19 days'",
            )
            .await
            .unwrap();
        rival.execute("COMMIT").await.unwrap();
        assert!(noting.await.unwrap().is_some(), "it was removed under the window before");
        assert_eq!(shop.look(&"m-10".parse().unwrap()).await, Claim::Fresh);
    });
}
