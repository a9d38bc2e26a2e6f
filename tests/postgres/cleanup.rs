//! The rows that cleanup removes, and all others: each reason to keep a row has one here.

use std::time::Duration;

use messagekit::Store;
use messagekit::adapter::Markers;
use messagekit::cleanup::{CleanupReport, CleanupTarget, Retention, clean};
use messagekit_postgres::publishing_mode::{Existing, to_relay};
use messagekit_postgres::{PostgresStore, SchemaName};
use messagekit_testkit::block_on;
use messagekit_tests::Database;
use sqlx::{AssertSqlSafe, Row};

use crate::health::Captured;
use crate::shop::run;

const DEADLINE: Duration = Duration::from_secs(120);
const DAY: Duration = Duration::from_secs(24 * 3_600);

async fn cleaned(store: &PostgresStore, what: CleanupTarget) -> CleanupReport {
    let done = clean(store, &Retention::default(), false, std::future::pending::<()>()).await.unwrap();
    done.into_iter().find(|cleaned| cleaned.what == what).unwrap()
}

/// Returns a column of texts, sorted.
async fn texts(store: &PostgresStore, sql: &str) -> Vec<String> {
    let rows = sqlx::query(AssertSqlSafe(format!("{sql} ORDER BY 1"))).fetch_all(store.pool()).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn events(store: &PostgresStore) -> Vec<String> {
    texts(store, "SELECT event_id || '/' || copy FROM messagekit.outbox_events").await
}

async fn markers(store: &PostgresStore) -> Vec<String> {
    texts(store, "SELECT consumer || ':' || message_id FROM messagekit.processed_messages").await
}

/// Writes events as if it were `days` days ago.
async fn write(store: &PostgresStore, ids: &[&str], days: i32) {
    for id in ids {
        let insert =
            "INSERT INTO messagekit.outbox_events (event_id, topic, aggregate_id, payload, created_at)
            VALUES ($1, 'orders.order', 'k-' || $1, '\\x00', now() - $2 * interval '1 day')";
        sqlx::query(insert).bind(id).bind(days).execute(store.pool()).await.unwrap();
    }
}

#[test]
fn an_event_stays_until_published_and_past_its_retention() {
    block_on(async {
        let database = Database::fresh().await;
        to_relay(database.url(), &SchemaName::default(), Existing::Refuse, DEADLINE).await.unwrap();
        let store = database.store().await;
        write(&store, &["gone-1", "gone-2", "pending", "refused", "behind"], 8).await;
        write(&store, &["young"], 6).await;
        run(
            store.pool(),
            "INSERT INTO messagekit.outbox_events (event_id, topic, payload, created_at, available_at)
             VALUES ('delayed', 'orders.order', '\\x00', now() - interval '8 days', now() + interval '1 day')",
        )
        .await;
        let published =
            "DELETE FROM messagekit.outbox_pending WHERE event_id IN ('gone-1', 'gone-2', 'young')";
        run(store.pool(), published).await;
        run(
            store.pool(),
            "WITH refused AS (DELETE FROM messagekit.outbox_pending WHERE event_id IN ('refused', 'behind') RETURNING *)
             INSERT INTO messagekit.outbox_rejected (shard, attempts, copy, seq, key_hash, event_id, topic, error)
             SELECT shard, attempts, copy, seq, key_hash, event_id, topic,
               CASE event_id WHEN 'refused' THEN 'too large' END FROM refused",
        )
        .await;
        let done = cleaned(&store, CleanupTarget::Events).await;
        assert_eq!(
            done,
            CleanupReport { what: CleanupTarget::Events, removed: 2, days: 0, kept_because: None }
        );
        let left = ["behind/0", "delayed/0", "pending/0", "refused/0", "young/0"];
        assert_eq!(events(&store).await, left);

        // A due event moves to another position among the pending ones, and is still pending.
        run(store.pool(), "UPDATE messagekit.outbox_pending SET shard = shard + 64 WHERE shard < 0").await;
        assert_eq!(cleaned(&store, CleanupTarget::Events).await.removed, 0);
        assert_eq!(events(&store).await, left);
    });
}

#[test]
fn outbox_without_a_publisher_keeps_all_events_and_says_why() {
    block_on(async {
        let store = Database::fresh().await.store().await;
        write(&store, &["kept"], 400).await;
        let done = cleaned(&store, CleanupTarget::Events).await;
        assert!(
            done.removed == 0 && done.kept_because.as_deref().unwrap().contains("nothing publishes"),
            "{done:?}"
        );
        assert_eq!(events(&store).await, ["kept/0"]);
    });
}

#[test]
fn a_replay_that_runs_keeps_the_events_it_may_publish_again() {
    block_on(async {
        let database = Database::fresh().await;
        to_relay(database.url(), &SchemaName::default(), Existing::Refuse, DEADLINE).await.unwrap();
        let store = database.store().await;
        write(&store, &["kept"], 400).await;
        run(store.pool(), "DELETE FROM messagekit.outbox_pending").await;
        let job =
            "INSERT INTO messagekit.replay_jobs (ids, state, ordered_by) VALUES ('same', 'running', 'ann')";
        run(store.pool(), job).await;
        let done = cleaned(&store, CleanupTarget::Events).await;
        assert!(done.kept_because.as_deref().unwrap().contains("replay"), "{done:?}");
        run(store.pool(), "UPDATE messagekit.replay_jobs SET state = 'done'").await;
        assert_eq!(cleaned(&store, CleanupTarget::Events).await.removed, 1);
    });
}

#[test]
fn captured_event_stays_until_the_slot_passes_its_commit() {
    block_on(async {
        let captured = Captured::start().await;
        let store = &captured.store;
        write(store, &["gone"], 8).await;
        // Written before the checkpoint, by a transaction that ends long after it.
        let mut late = store.begin().await.unwrap();
        let insert = "INSERT INTO messagekit.outbox_events (event_id, topic, payload, created_at)
            VALUES ('late', 'orders.order', '\\x00', now() - interval '8 days')";
        sqlx::query(insert).execute(&mut *late).await.unwrap();
        let done = cleaned(store, CleanupTarget::Events).await;
        assert!(done.kept_because.as_deref().unwrap().contains("nothing says yet"), "{done:?}");

        captured.checkpoint("3 hours").await;
        write(store, &["later"], 8).await;
        captured.checkpoint("2 hours").await;
        assert_eq!(cleaned(store, CleanupTarget::Events).await.removed, 0, "the slot has passed neither");
        captured.confirm(&captured.position().await).await;
        assert_eq!(
            cleaned(store, CleanupTarget::Events).await.removed,
            0,
            "one that was open then is open still"
        );

        store.commit(late).await.unwrap();
        assert_eq!(cleaned(store, CleanupTarget::Events).await.removed, 0, "no checkpoint has seen its end");
        captured.checkpoint("1 hour").await;
        assert_eq!(cleaned(store, CleanupTarget::Events).await.removed, 0, "the slot has not passed that");
        captured.confirm(&captured.position().await).await;
        // An event had a position before the checkpoint; the republication of an old event, written since, has none.
        let copy = "INSERT INTO messagekit.outbox_events (event_id, copy, topic, payload, created_at)
            VALUES ('gone', 1, 'orders.order', '\\x00', now() - interval '8 days')";
        run(store.pool(), copy).await;
        assert_eq!(cleaned(store, CleanupTarget::Events).await.removed, 3);
        assert_eq!(events(store).await, ["gone/1"]);
    });
}

/// Its session is gone, no process waits for it, and it may be committed tomorrow.
#[test]
fn event_of_a_prepared_transaction_stays_until_the_slot_has_it() {
    block_on(async {
        let captured = Captured::start().await;
        let store = &captured.store;
        write(store, &["gone"], 8).await;
        let prepare = "BEGIN; INSERT INTO messagekit.outbox_events (event_id, topic, payload, created_at)
            VALUES ('late', 'orders.order', '\\x00', now() - interval '8 days'); PREPARE TRANSACTION 'late'";
        sqlx::raw_sql(prepare).execute(store.pool()).await.unwrap();
        captured.checkpoint("3 hours").await;
        captured.checkpoint("2 hours").await;
        captured.confirm(&captured.position().await).await;
        assert_eq!(
            cleaned(store, CleanupTarget::Events).await.removed,
            0,
            "it may have been written after this one"
        );

        sqlx::raw_sql("COMMIT PREPARED 'late'").execute(store.pool()).await.unwrap();
        assert_eq!(cleaned(store, CleanupTarget::Events).await.removed, 0, "no checkpoint has seen its end");
        captured.checkpoint("1 hour").await;
        assert_eq!(cleaned(store, CleanupTarget::Events).await.removed, 0, "the slot has not passed that");
        captured.confirm(&captured.position().await).await;
        assert_eq!(cleaned(store, CleanupTarget::Events).await.removed, 2);
        assert_eq!(events(store).await, Vec::<String>::new());
    });
}

/// Its writer may have stalled between taking its time and its position in the log.
#[test]
fn captured_event_just_before_a_checkpoint_awaits_the_next_one() {
    block_on(async {
        let captured = Captured::start().await;
        let store = &captured.store;
        write(store, &["before", "within"], 8).await;
        let within = "UPDATE messagekit.outbox_events SET created_at = created_at + interval '1 hour' WHERE event_id = 'within'";
        run(store.pool(), within).await;
        captured.checkpoint("7 days 22 hours 55 minutes").await;
        captured.checkpoint("7 days 22 hours 54 minutes").await;
        captured.confirm(&captured.position().await).await;
        assert_eq!(cleaned(store, CleanupTarget::Events).await.removed, 1);
        assert_eq!(events(store).await, ["within/0"]);
        captured.checkpoint("1 hour").await;
        captured.checkpoint("1 minute").await;
        captured.confirm(&captured.position().await).await;
        assert_eq!(cleaned(store, CleanupTarget::Events).await.removed, 1);
    });
}

async fn mark(store: &PostgresStore, consumer: &str, id: &str, outcome: &str, days: i32) {
    let insert = "INSERT INTO messagekit.processed_messages (consumer, message_id, outcome, processed_at)
        VALUES ($1, $2, $3, now() - $4 * interval '1 day')";
    let insert = sqlx::query(insert).bind(consumer).bind(id).bind(outcome).bind(days);
    insert.execute(store.pool()).await.unwrap();
}

async fn failed_message(store: &PostgresStore, id: &str, state: &str, days: i32) {
    let insert = "INSERT INTO messagekit.failed_messages
        (consumer, message_id, topic, state, reason, attempts, headers, payload, kind, error, fingerprint, changed_at)
        VALUES ('billing', $1, 'orders.order', $2, 'set_aside', 1, '', '', 'failed', 'no', 'f', now() - $3 * interval '1 day')";
    sqlx::query(insert).bind(id).bind(state).bind(days).execute(store.pool()).await.unwrap();
}

#[test]
fn marker_is_kept_while_its_consumer_would_accept_the_message() {
    block_on(async {
        let store = Database::fresh().await.store().await;
        store.note_window("billing", Some(DAY * 30)).await.unwrap();
        store.note_window("shipping", Some(DAY * 7)).await.unwrap();
        store.note_window("forever", None).await.unwrap();
        for consumer in ["billing", "shipping", "forever", "unknown"] {
            mark(&store, consumer, "old", "done", 4_000).await;
            mark(&store, consumer, "month", "done", 32).await;
            mark(&store, consumer, "margin", "done", 30).await;
            mark(&store, consumer, "week", "done", 9).await;
            mark(&store, consumer, "held", "held", 4_000).await;
        }
        mark(&store, "billing", "undoable", "discarded", 4_000).await;
        failed_message(&store, "undoable", "discarded", 3).await;
        mark(&store, "billing", "given-up", "discarded", 4_000).await;
        let done = cleaned(&store, CleanupTarget::Markers).await;
        assert_eq!(done.removed, 3 + 4);
        let left = [
            "billing:held",
            "billing:margin",
            "billing:undoable",
            "billing:week",
            "forever:held",
            "forever:margin",
            "forever:month",
            "forever:old",
            "forever:week",
            "shipping:held",
            "unknown:held",
            "unknown:margin",
            "unknown:month",
            "unknown:old",
            "unknown:week",
        ];
        assert_eq!(markers(&store).await, left);
    });
}

#[test]
fn while_processes_are_replaced_the_longer_window_counts() {
    block_on(async {
        let store = Database::fresh().await.store().await;
        mark(&store, "billing", "old", "done", 20).await;
        store.note_window("billing", Some(DAY * 30)).await.unwrap();
        store.note_window("billing", Some(DAY * 7)).await.unwrap();
        assert_eq!(cleaned(&store, CleanupTarget::Markers).await.removed, 0);
        let long_ago = "UPDATE messagekit.consumer_windows SET noted_at = now() - interval '8 days' WHERE seconds > 1000000";
        run(store.pool(), long_ago).await;
        assert_eq!(cleaned(&store, CleanupTarget::Markers).await.removed, 1);

        // No consumer has started for a long time: the last recorded window counts, however old it is.
        mark(&store, "billing", "old", "done", 20).await;
        run(store.pool(), "UPDATE messagekit.consumer_windows SET noted_at = noted_at - interval '900 days'")
            .await;
        assert_eq!(cleaned(&store, CleanupTarget::Markers).await.removed, 1);
    });
}

#[test]
fn cleanup_removes_settled_failed_messages_before_their_markers() {
    block_on(async {
        let store = Database::fresh().await.store().await;
        store.note_window("billing", Some(DAY)).await.unwrap();
        for (id, state) in [("r", "resolved"), ("d", "discarded"), ("dead", "dead")] {
            failed_message(&store, id, state, 31).await;
            failed_message(&store, &format!("young-{id}"), state, 29).await;
        }
        mark(&store, "billing", "d", "discarded", 31).await;
        let done = clean(&store, &Retention::default(), false, std::future::pending::<()>()).await.unwrap();
        let removed: Vec<_> = done.iter().map(|done| (done.what, done.removed)).collect();
        assert_eq!(
            removed,
            [(CleanupTarget::Events, 0), (CleanupTarget::FailedMessages, 2), (CleanupTarget::Markers, 1)]
        );
        let left = texts(&store, "SELECT message_id FROM messagekit.failed_messages").await;
        assert_eq!(left, ["dead", "young-d", "young-dead", "young-r"]);
    });
}

#[test]
fn two_cleanups_share_a_large_table_and_a_dry_run_only_counts() {
    block_on(async {
        let store = Database::fresh().await.store().await;
        store.note_window("billing", Some(DAY)).await.unwrap();
        let fill = "INSERT INTO messagekit.processed_messages (consumer, message_id, outcome, processed_at)
            SELECT 'billing', 'm-' || n, 'done', now() - (n % 4) * interval '20 hours' FROM generate_series(1, 60000) n";
        run(store.pool(), fill).await;
        let trial = clean(&store, &Retention::default(), true, std::future::pending::<()>()).await.unwrap();
        assert_eq!((trial[2].what, trial[2].removed), (CleanupTarget::Markers, 15_000));
        assert_eq!(markers(&store).await.len(), 60_000);

        // Rows that another session has locked are skipped, not waited for.
        let mut holder = store.begin().await.unwrap();
        let hold =
            "SELECT 1 FROM messagekit.processed_messages WHERE message_id IN ('m-3', 'm-7') FOR UPDATE";
        sqlx::query(hold).execute(&mut *holder).await.unwrap();
        let (first, second) =
            tokio::join!(cleaned(&store, CleanupTarget::Markers), cleaned(&store, CleanupTarget::Markers));
        assert_eq!(first.removed + second.removed, 15_000 - 2);
        store.rollback(holder).await.unwrap();
        assert_eq!(cleaned(&store, CleanupTarget::Markers).await.removed, 2);
    });
}
