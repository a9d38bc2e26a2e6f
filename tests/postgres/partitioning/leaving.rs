//! Days that are removed at once, and rows that keep one.

use std::time::Duration;

use messagekit::Store;
use messagekit::adapter::Markers;
use messagekit::cleanup::{CleanupTarget, Retention, clean};
use messagekit_postgres::publishing_mode::{Existing, to_relay};
use messagekit_postgres::{PostgresStore, SchemaName, partitioning};
use messagekit_testkit::{DEADLINE, block_on};
use messagekit_tests::Database;

use super::{DAY, cleaned, count, divide, divided, execute, id, mark, published, write};
use crate::health::Captured;
use crate::shop::run;

#[test]
fn a_day_whose_events_have_left_goes_at_once() {
    block_on(async {
        let (_database, store) = divided().await;
        for number in 0..500 {
            write(&store, &id(8, number), 8).await;
        }
        write(&store, &id(9, 1), 9).await;
        write(&store, &id(6, 1), 6).await;
        write(&store, "order-17", 8).await;
        published(&store).await;
        let trial = clean(&store, &Retention::default(), true, std::future::pending::<()>()).await.unwrap();
        assert_eq!((trial[0].what, trial[0].removed, trial[0].days), (CleanupTarget::Events, 1, 2));
        assert_eq!(count(&store, "messagekit.outbox_events").await, 503, "a trial keeps them");

        assert_eq!(cleaned(&store, CleanupTarget::Events).await, (1, 2), "that of no day goes by itself");
        assert_eq!(count(&store, "messagekit.outbox_events").await, 1);
        let left = "pg_inherits i WHERE i.inhparent = 'messagekit.outbox_events'::regclass AND pg_relation_size(i.inhrelid) > 0
            AND i.inhrelid <> 'messagekit.outbox_events_other'::regclass";
        assert_eq!(count(&store, left).await, 1, "files are empty, not only rows dead");
        assert_eq!(cleaned(&store, CleanupTarget::Events).await, (0, 0));
    });
}

/// Each row that must stay keeps its day.
#[test]
fn a_day_stays_whole_for_an_event_that_is_needed() {
    block_on(async {
        let (_database, store) = divided().await;
        // Pending, refused, and written after the cycle of partitions had reached the same one again.
        for (days, number) in [(8, 1), (8, 2), (9, 1), (9, 2), (34, 1)] {
            write(&store, &id(days, number), 8).await;
        }
        write(&store, &id(2, 1), 2).await;
        let others = format!(
            "DELETE FROM messagekit.outbox_pending WHERE event_id NOT IN ('{}', '{}')",
            id(8, 2),
            id(9, 2)
        );
        execute(&store, others).await;
        let refuse = format!(
            "WITH refused AS (DELETE FROM messagekit.outbox_pending WHERE event_id = '{}' RETURNING *)
             INSERT INTO messagekit.outbox_rejected (shard, attempts, copy, seq, key_hash, event_id, topic, error)
             SELECT shard, 1, copy, seq, key_hash, event_id, topic, 'too large' FROM refused",
            id(9, 2)
        );
        execute(&store, refuse).await;
        assert_eq!(cleaned(&store, CleanupTarget::Events).await, (0, 0));
        assert_eq!(count(&store, "messagekit.outbox_events").await, 6);

        // Two days later the other rows no longer wait for them.
        run(store.pool(), "UPDATE messagekit.outbox_events SET created_at = created_at - interval '2 days'")
            .await;
        assert_eq!(cleaned(&store, CleanupTarget::Events).await, (3, 0));
        assert_eq!(count(&store, "messagekit.outbox_events").await, 3);

        published(&store).await;
        run(store.pool(), "DELETE FROM messagekit.outbox_rejected").await;
        run(
            store.pool(),
            "INSERT INTO messagekit.replay_jobs (ids, state, ordered_by) VALUES ('same', 'running', 'ann')",
        )
        .await;
        assert_eq!(cleaned(&store, CleanupTarget::Events).await, (0, 0), "a replay may publish them again");
        run(store.pool(), "UPDATE messagekit.replay_jobs SET state = 'done'").await;
        assert_eq!(cleaned(&store, CleanupTarget::Events).await, (0, 2));
        assert_eq!(count(&store, "messagekit.outbox_events").await, 1);
    });
}

#[test]
fn a_captured_day_stays_until_the_slot_has_passed_it() {
    block_on(async {
        let captured = Captured::start().await;
        partitioning::divide(&captured.url(), &SchemaName::default(), DEADLINE).await.unwrap();
        let store = &captured.store;
        write(store, &id(8, 1), 8).await;
        captured.checkpoint("3 hours").await;
        captured.checkpoint("2 hours").await;
        assert_eq!(cleaned(store, CleanupTarget::Events).await, (0, 0), "the slot has passed nothing");
        captured.confirm(&captured.position().await).await;
        // Of the same day by its id and its time, but written only now: it has no position before a checkpoint.
        write(store, &id(8, 2), 8).await;
        assert_eq!(cleaned(store, CleanupTarget::Events).await, (0, 0));
        captured.checkpoint("1 hour").await;
        captured.checkpoint("1 minute").await;
        assert_eq!(cleaned(store, CleanupTarget::Events).await, (0, 0), "the slot has not passed that");
        captured.confirm(&captured.position().await).await;
        assert_eq!(cleaned(store, CleanupTarget::Events).await, (0, 1));
        assert_eq!(count(store, "messagekit.outbox_events").await, 0);
    });
}

#[test]
fn day_of_markers_is_dropped_when_its_messages_are_too_old() {
    block_on(async {
        let (_database, store) = divided().await;
        let window = Duration::from_secs(7 * DAY);
        store.note_window("billing", Some(window)).await.unwrap();
        for number in 0..500 {
            mark(&store, "billing", &id(9, number), "done", 9).await;
        }
        mark(&store, "billing", &id(7, 1), "done", 7).await;
        mark(&store, "billing", "order-17", "done", 9).await;
        assert_eq!(cleaned(&store, CleanupTarget::Markers).await, (1, 1));
        assert_eq!(count(&store, "messagekit.processed_messages").await, 1);
    });
}

/// A marker that must stay keeps its day, and when that lasts, the other markers are removed singly.
#[test]
fn a_day_stays_whole_for_a_marker_that_is_needed() {
    block_on(async {
        let (_database, store) = divided().await;
        store.note_window("billing", Some(Duration::from_secs(7 * DAY))).await.unwrap();
        store.note_window("shipping", Some(Duration::from_secs(11 * DAY))).await.unwrap();
        store.note_window("forever", None).await.unwrap();
        let failed_message = "INSERT INTO messagekit.failed_messages
            (consumer, message_id, topic, state, reason, attempts, headers, payload, kind, error, fingerprint)
            VALUES ('billing', $1, 'orders.order', 'discarded', 'discarded', 1, '', '', 'failed', 'no', 'f')";
        sqlx::query(failed_message).bind(id(10, 9)).execute(store.pool()).await.unwrap();
        let kept = [
            ("billing", id(9, 9), "held"),
            ("billing", id(10, 9), "discarded"),
            ("shipping", id(11, 9), "done"),
            ("forever", id(12, 9), "done"),
            ("unknown", id(13, 9), "done"),
        ];
        for (days, (consumer, kept, outcome)) in (9..).zip(&kept) {
            mark(&store, "billing", &id(days, 1), "done", 9).await;
            mark(&store, consumer, kept, outcome, 9).await;
        }
        assert_eq!(cleaned(&store, CleanupTarget::Markers).await, (0, 0));
        assert_eq!(count(&store, "messagekit.processed_messages").await, 10);

        run(
            store.pool(),
            "UPDATE messagekit.processed_messages SET processed_at = processed_at - interval '2 days'",
        )
        .await;
        assert_eq!(
            cleaned(&store, CleanupTarget::Markers).await,
            (5 - 1, 0),
            "the day of the longer window waits"
        );
        run(
            store.pool(),
            "UPDATE messagekit.processed_messages SET processed_at = processed_at - interval '1 day'",
        )
        .await;
        assert_eq!(cleaned(&store, CleanupTarget::Markers).await, (0, 1), "and goes whole");
        assert_eq!(count(&store, "messagekit.processed_messages").await, 4);
    });
}

/// A dump, or a report that a user has left open, reads all partitions.
#[test]
fn cleanup_skips_a_day_in_use_without_waiting() {
    block_on(async {
        let (database, store) = divided().await;
        write(&store, &id(8, 1), 8).await;
        write(&store, &id(9, 1), 9).await;
        published(&store).await;
        let mut reader = store.begin().await.unwrap();
        let read = "SELECT count(*) FROM messagekit.outbox_events";
        let seen: i64 = sqlx::query_scalar(read).fetch_one(&mut *reader).await.unwrap();
        assert_eq!(seen, 2);
        assert_eq!(cleaned(&store, CleanupTarget::Events).await, (0, 0));
        let again: i64 = sqlx::query_scalar(read).fetch_one(&mut *reader).await.unwrap();
        assert_eq!(again, 2);
        store.rollback(reader).await.unwrap();
        assert_eq!(cleaned(&store, CleanupTarget::Events).await, (0, 2));
        drop(database);
    });
}

/// The role of an earlier installation may have only the rights to delete row by row.
#[test]
fn cleanup_deletes_the_rows_of_a_day_unless_it_may_truncate() {
    block_on(async {
        let database = Database::fresh().await;
        to_relay(database.url(), &SchemaName::default(), Existing::Refuse, DEADLINE).await.unwrap();
        let owner = database.store().await;
        let role = messagekit_testkit::unique("night%").replace(['.', '-'], "_");
        let rights = format!(
            "CREATE ROLE \"{role}\" LOGIN PASSWORD 'night'; GRANT USAGE ON SCHEMA messagekit TO \"{role}\";
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA messagekit TO \"{role}\";
             GRANT SELECT ON ALL SEQUENCES IN SCHEMA messagekit TO \"{role}\""
        );
        execute(&owner, rights).await;
        divide(&database).await.unwrap();
        let encoded = role.replace('%', "%25");
        let url = database.url().replacen("messagekit:messagekit@", &format!("{encoded}:night@"), 1);
        let night = PostgresStore::connect(&url).await.unwrap();
        for (number, days) in [(1, 8), (2, 8), (1, 9)] {
            write(&owner, &id(days, number), days).await;
        }
        published(&owner).await;
        let revoke = format!("REVOKE TRUNCATE ON ALL TABLES IN SCHEMA messagekit FROM \"{role}\"");
        execute(&owner, revoke).await;
        assert_eq!(cleaned(&night, CleanupTarget::Events).await, (3, 0));
        let position = "SELECT pg_sequence_last_value('messagekit.outbox_events_seq_seq')";
        let position: i64 = sqlx::query_scalar(position).fetch_one(night.pool()).await.expect("as before");
        assert_eq!(position, 3);

        write(&owner, &id(8, 3), 8).await;
        published(&owner).await;
        let part: i16 = sqlx::query_scalar("SELECT messagekit.day_of($1)")
            .bind(id(8, 3))
            .fetch_one(owner.pool())
            .await
            .unwrap();
        execute(&owner, format!("GRANT TRUNCATE ON messagekit.outbox_events_{part:02} TO \"{role}\"")).await;
        assert_eq!(cleaned(&night, CleanupTarget::Events).await, (0, 1));
    });
}
