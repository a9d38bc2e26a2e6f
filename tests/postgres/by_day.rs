//! Tables that are divided by day: what dividing keeps, and what leaves with a whole day.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use messagekit::cleanup::{Cleaned, Cleanup, Leftover, Retention, clean};
use messagekit::{Claim, ErrorKind, MessageId, Processed, Store};
use messagekit_postgres::switch::{Existing, to_relay};
use messagekit_postgres::{PostgresStore, SchemaName, by_day};
use messagekit_testkit::{DEADLINE, block_on};
use messagekit_tests::Database;
use sqlx::AssertSqlSafe;

use crate::health::Captured;
use crate::shop::{Shop, run};

const DAY: u64 = 24 * 3_600;

async fn divide(database: &Database) -> Result<Vec<String>, messagekit_postgres::Error> {
    by_day::divide(database.url(), &SchemaName::default(), DEADLINE).await
}

/// An outbox of a relay and markers, divided since before the first of them.
async fn divided() -> (Database, PostgresStore) {
    let database = Database::fresh().await;
    to_relay(database.url(), &SchemaName::default(), Existing::Refuse, DEADLINE).await.unwrap();
    divide(&database).await.unwrap();
    let store = database.store().await;
    (database, store)
}

/// An id of version 7, as somebody made it so many days ago at noon.
fn id(days: u64, number: u64) -> String {
    of_day(today() - days, number)
}

fn in_days(days: u64, number: u64) -> String {
    of_day(today() + days, number)
}

fn today() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / DAY
}

fn of_day(day: u64, number: u64) -> String {
    let millis = (day * DAY + DAY / 2) * 1_000;
    format!("{:08x}-{:04x}-7000-8000-{number:012x}", millis >> 16, millis & 0xffff)
}

async fn execute(store: &PostgresStore, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(store.pool()).await.expect("runs");
}

async fn count(store: &PostgresStore, what: &str) -> i64 {
    let count = AssertSqlSafe(format!("SELECT count(*) FROM {what}"));
    sqlx::query_scalar(count).fetch_one(store.pool()).await.unwrap()
}

/// Writes an event whose id and row are so many days old.
async fn write(store: &PostgresStore, id: &str, days: u64) {
    let insert = "INSERT INTO messagekit.outbox_events (event_id, topic, aggregate_id, payload, created_at)
        VALUES ($1, 'orders.order', 'k-' || $1, '\\x00', now() - $2 * interval '1 day')";
    let days = i64::try_from(days).unwrap();
    sqlx::query(insert).bind(id).bind(days).execute(store.pool()).await.unwrap();
}

async fn published(store: &PostgresStore) {
    run(store.pool(), "DELETE FROM messagekit.outbox_pending").await;
}

async fn mark(store: &PostgresStore, consumer: &str, id: &str, outcome: &str, days: u64) {
    let insert =
        "INSERT INTO messagekit.processed_messages (consumer, message_id, day, outcome, processed_at)
        VALUES ($1, $2, messagekit.day_of($2), $3, now() - $4 * interval '1 day')";
    let days = i64::try_from(days).unwrap();
    sqlx::query(insert).bind(consumer).bind(id).bind(outcome).bind(days).execute(store.pool()).await.unwrap();
}

/// Returns how many rows went one by one, and how many days.
async fn cleaned(store: &PostgresStore, what: Leftover) -> (u64, u64) {
    let done = clean(store, &Retention::default(), false, std::future::pending::<()>()).await.unwrap();
    let Cleaned { removed, days, .. } = done.into_iter().find(|cleaned| cleaned.what == what).unwrap();
    (removed, days)
}

#[test]
fn what_was_there_is_there_and_goes_on() {
    block_on(async {
        let shop = Shop::open().await;
        to_relay(shop.database.url(), &SchemaName::default(), Existing::Refuse, DEADLINE).await.unwrap();
        let role = messagekit_testkit::unique("clerk").replace(['.', '-'], "_");
        let rights = format!(
            "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA messagekit TO {role};
             GRANT INSERT ON messagekit.outbox_events TO {role};
             CREATE PUBLICATION messagekit_outbox FOR TABLE messagekit.outbox_events
               WITH (publish = 'insert', publish_via_partition_root = true)"
        );
        execute(&shop.store, rights).await;
        let today: MessageId = id(0, 1).parse().unwrap();
        write(&shop.store, today.as_str(), 0).await;
        write(&shop.store, "order-17", 0).await;
        let tx = shop.bill(&shop.store, &today).await;
        shop.store.commit(tx).await.unwrap();

        assert_eq!(divide(&shop.database).await.unwrap(), ["events and markers are divided by day"]);
        assert_eq!(divide(&shop.database).await.unwrap(), Vec::<String>::new(), "twice is once");
        assert_eq!(shop.look(&today).await, Claim::Done, "its marker is found where it was");
        assert_eq!(count(&shop.store, "messagekit.outbox_events_other").await, 2, "nothing is moved");
        assert_eq!(count(&shop.store, "messagekit.outbox_pending").await, 2, "nothing goes out again");

        execute(
            &shop.store,
            format!(
                "SET ROLE {role}; INSERT INTO messagekit.outbox_events (event_id, topic, payload)
            VALUES ('late', 'orders.order', '\\x00'); RESET ROLE"
            ),
        )
        .await;
        let last = "messagekit.outbox_events WHERE event_id = 'late' AND seq = (SELECT max(seq) FROM messagekit.outbox_events)
            AND seq = 3";
        assert_eq!(count(&shop.store, last).await, 1, "places go on");
        assert_eq!(count(&shop.store, "messagekit.outbox_pending").await, 3, "the relay sees it");
        let whole =
            "pg_publication_tables WHERE pubname = 'messagekit_outbox' AND tablename = 'outbox_events'";
        assert_eq!(count(&shop.store, whole).await, 1, "a connector reads the whole under its name");

        // From the day after tomorrow on.
        let mut days = Vec::new();
        for ahead in [0, 1, 2, 3, 34] {
            let day = sqlx::query_scalar("SELECT messagekit.day_of($1)").bind(in_days(ahead, 1));
            days.push(day.fetch_one(shop.store.pool()).await.unwrap());
        }
        let second: i16 = days[2];
        assert_eq!(days, [-1, -1, second, (second + 1) % 32, second]);
        assert!((0..32).contains(&second), "{second}");
        assert_eq!(count(&shop.store, "messagekit.outbox_events_other").await, 3);
    });
}

#[test]
fn an_id_is_claimed_once_wherever_its_day_is() {
    block_on(async {
        let (database, store) = divided().await;
        let rival = database.store().await;
        for id in [id(0, 1), id(31, 2), id(32, 3), "order-17".to_owned(), id(0, 4).to_uppercase()] {
            let id: MessageId = id.parse().unwrap();
            let request = |store: PostgresStore| {
                let id = id.clone();
                async move {
                    let mut tx = store.begin().await.unwrap();
                    let request = messagekit::ClaimRequest {
                        id,
                        topic: "orders.order".into(),
                        key: None,
                        generation: 0,
                    };
                    let claims = store.claim(&mut tx, "billing", &[request]).await.unwrap();
                    store.commit(tx).await.unwrap();
                    claims[0]
                }
            };
            let claims = tokio::join!(request(store.clone()), request(rival.clone()));
            let fresh = [claims.0, claims.1].iter().filter(|claim| **claim == Claim::Fresh).count();
            assert_eq!(fresh, 1, "{id}: {claims:?}");
        }
        assert_eq!(count(&store, "messagekit.processed_messages_other").await, 2);
    });
}

#[test]
fn what_hangs_on_the_tables_is_named_and_nothing_is_divided() {
    block_on(async {
        let database = Database::fresh().await;
        let store = database.store().await;
        run(
            store.pool(),
            "CREATE VIEW shipped AS SELECT event_id FROM messagekit.outbox_events;
             CREATE INDEX by_type ON messagekit.outbox_events (event_type)",
        )
        .await;
        let error = divide(&database).await.expect_err("they would stay behind");
        let text = error.to_string();
        assert!(
            error.kind() == ErrorKind::WrongState && text.contains("by_type") && text.contains("shipped"),
            "{text}"
        );
        run(store.pool(), "DROP VIEW shipped; DROP INDEX messagekit.by_type").await;

        write(&store, "ffffffff-ffff-7000-8000-000000000000", 0).await;
        let error = divide(&database).await.expect_err("nobody lives then");
        assert!(
            error.kind() == ErrorKind::WrongState && error.to_string().contains("after tomorrow"),
            "{error}"
        );
        run(store.pool(), "DELETE FROM messagekit.outbox_events").await;

        run(store.pool(), "CREATE PUBLICATION everything FOR ALL TABLES").await;
        let error = divide(&database).await.expect_err("its readers would see the names of parts");
        assert!(error.to_string().contains("publication everything"), "{error}");
        run(store.pool(), "DROP PUBLICATION everything").await;
        run(
            store.pool(),
            "CREATE FUNCTION place(id text) RETURNS void LANGUAGE sql BEGIN ATOMIC
               INSERT INTO messagekit.outbox_events (event_id, topic, payload) VALUES (id, 'orders.order', '\\x00'); END",
        )
        .await;
        let error = divide(&database).await.expect_err("it writes to the table and not to its name");
        assert!(error.to_string().contains("function place"), "{error}");
        run(store.pool(), "DROP FUNCTION place").await;

        let mut writer = store.begin().await.unwrap();
        let insert = "INSERT INTO messagekit.outbox_events (event_id, topic, payload) VALUES ('open', 'orders.order', '\\x00')";
        sqlx::query(insert).execute(&mut *writer).await.unwrap();
        let error = by_day::divide(database.url(), &SchemaName::default(), Duration::ZERO)
            .await
            .expect_err("it is in use");
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Conflict, true), "{error}");
        store.commit(writer).await.unwrap();
        assert_eq!(divide(&database).await.unwrap().len(), 1);
        assert_eq!(count(&store, "messagekit.outbox_events").await, 1);
    });
}

/// A program that writes markers without their day would never find them again, and one that removes a row by its place in the
/// table would remove one of each part.
#[test]
fn an_older_program_is_refused() {
    block_on(async {
        let (_database, store) = divided().await;
        let clean = "DELETE FROM messagekit.outbox_events WHERE ctid = ANY (ARRAY ['(0,1)']::tid[])";
        let refused = sqlx::query(clean).execute(store.pool()).await.expect_err("it knows of no parts");
        assert!(refused.to_string().contains("leave by its parts"), "{refused}");
        let elsewhere = "INSERT INTO messagekit.processed_messages (consumer, message_id, day, outcome) VALUES ('billing', $1, $2, 'done')";
        for (id, day) in [(id(3, 1), -1), (id(3, 1), 40), ("order-17".to_owned(), 3)] {
            let copied = sqlx::query(elsewhere).bind(&id).bind(day).execute(store.pool()).await;
            assert!(copied.is_err(), "{id} does not belong to {day}");
        }
        let claim = "INSERT INTO messagekit.processed_messages (consumer, message_id, outcome) VALUES ('billing', 'm', 'done')
            ON CONFLICT DO NOTHING";
        let refused = sqlx::query(claim).execute(store.pool()).await.expect_err("it says no day");
        assert!(
            refused.to_string().contains("day") || refused.to_string().contains("partition"),
            "{refused}"
        );
    });
}

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
        assert_eq!((trial[0].what, trial[0].removed, trial[0].days), (Leftover::Events, 1, 2));
        assert_eq!(count(&store, "messagekit.outbox_events").await, 503, "a trial keeps them");

        assert_eq!(cleaned(&store, Leftover::Events).await, (1, 2), "that of no day goes by itself");
        assert_eq!(count(&store, "messagekit.outbox_events").await, 1);
        let left = "pg_inherits i WHERE i.inhparent = 'messagekit.outbox_events'::regclass AND pg_relation_size(i.inhrelid) > 0
            AND i.inhrelid <> 'messagekit.outbox_events_other'::regclass";
        assert_eq!(count(&store, left).await, 1, "files are empty, not only rows dead");
        assert_eq!(cleaned(&store, Leftover::Events).await, (0, 0));
    });
}

/// Each row that must stay keeps its day.
#[test]
fn a_day_stays_whole_for_an_event_that_is_needed() {
    block_on(async {
        let (_database, store) = divided().await;
        // Pending, refused, and written when the wheel had come round to the same part.
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
        assert_eq!(cleaned(&store, Leftover::Events).await, (0, 0));
        assert_eq!(count(&store, "messagekit.outbox_events").await, 6);

        // Two days later the rest does not wait for them any longer.
        run(store.pool(), "UPDATE messagekit.outbox_events SET created_at = created_at - interval '2 days'")
            .await;
        assert_eq!(cleaned(&store, Leftover::Events).await, (3, 0));
        assert_eq!(count(&store, "messagekit.outbox_events").await, 3);

        published(&store).await;
        run(store.pool(), "DELETE FROM messagekit.outbox_rejected").await;
        run(
            store.pool(),
            "INSERT INTO messagekit.replay_jobs (ids, state, ordered_by) VALUES ('same', 'running', 'ann')",
        )
        .await;
        assert_eq!(cleaned(&store, Leftover::Events).await, (0, 0), "a replay may publish them again");
        run(store.pool(), "UPDATE messagekit.replay_jobs SET state = 'done'").await;
        assert_eq!(cleaned(&store, Leftover::Events).await, (0, 2));
        assert_eq!(count(&store, "messagekit.outbox_events").await, 1);
    });
}

#[test]
fn a_captured_day_stays_until_the_slot_has_passed_it() {
    block_on(async {
        let captured = Captured::start().await;
        by_day::divide(&captured.url(), &SchemaName::default(), DEADLINE).await.unwrap();
        let store = &captured.store;
        write(store, &id(8, 1), 8).await;
        captured.checkpoint("3 hours").await;
        captured.checkpoint("2 hours").await;
        assert_eq!(cleaned(store, Leftover::Events).await, (0, 0), "the slot has passed nothing");
        captured.confirm(&captured.position().await).await;
        // Of the same day by its id and its time, and written only now: it has no place before a checkpoint.
        write(store, &id(8, 2), 8).await;
        assert_eq!(cleaned(store, Leftover::Events).await, (0, 0));
        captured.checkpoint("1 hour").await;
        captured.checkpoint("1 minute").await;
        assert_eq!(cleaned(store, Leftover::Events).await, (0, 0), "the slot has not passed that");
        captured.confirm(&captured.position().await).await;
        assert_eq!(cleaned(store, Leftover::Events).await, (0, 1));
        assert_eq!(count(store, "messagekit.outbox_events").await, 0);
    });
}

#[test]
fn a_day_of_markers_goes_when_nobody_would_handle_one_of_its_messages() {
    block_on(async {
        let (_database, store) = divided().await;
        let window = Duration::from_secs(7 * DAY);
        store.note_window("billing", Some(window)).await.unwrap();
        for number in 0..500 {
            mark(&store, "billing", &id(9, number), "done", 9).await;
        }
        mark(&store, "billing", &id(7, 1), "done", 7).await;
        mark(&store, "billing", "order-17", "done", 9).await;
        assert_eq!(cleaned(&store, Leftover::Markers).await, (1, 1));
        assert_eq!(count(&store, "messagekit.processed_messages").await, 1);
    });
}

/// What keeps one marker keeps its day, and when that lasts, the others leave without it.
#[test]
fn a_day_stays_whole_for_a_marker_that_is_needed() {
    block_on(async {
        let (_database, store) = divided().await;
        store.note_window("billing", Some(Duration::from_secs(7 * DAY))).await.unwrap();
        store.note_window("shipping", Some(Duration::from_secs(11 * DAY))).await.unwrap();
        store.note_window("forever", None).await.unwrap();
        let letter = "INSERT INTO messagekit.dead_letters
            (consumer, message_id, topic, state, attempts, headers, payload, kind, error, fingerprint)
            VALUES ('billing', $1, 'orders.order', 'discarded', 1, '', '', 'failed', 'no', 'f')";
        sqlx::query(letter).bind(id(10, 9)).execute(store.pool()).await.unwrap();
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
        assert_eq!(cleaned(&store, Leftover::Markers).await, (0, 0));
        assert_eq!(count(&store, "messagekit.processed_messages").await, 10);

        run(
            store.pool(),
            "UPDATE messagekit.processed_messages SET processed_at = processed_at - interval '2 days'",
        )
        .await;
        assert_eq!(
            cleaned(&store, Leftover::Markers).await,
            (5 - 1, 0),
            "the day of the longer window waits"
        );
        run(
            store.pool(),
            "UPDATE messagekit.processed_messages SET processed_at = processed_at - interval '1 day'",
        )
        .await;
        assert_eq!(cleaned(&store, Leftover::Markers).await, (0, 1), "and goes whole");
        assert_eq!(count(&store, "messagekit.processed_messages").await, 4);
    });
}

/// A dump, or a report that somebody has left open, reads all parts.
#[test]
fn a_day_in_use_is_left_for_the_next_night_and_nobody_waits_for_it() {
    block_on(async {
        let (database, store) = divided().await;
        write(&store, &id(8, 1), 8).await;
        write(&store, &id(9, 1), 9).await;
        published(&store).await;
        let mut reader = store.begin().await.unwrap();
        let read = "SELECT count(*) FROM messagekit.outbox_events";
        let seen: i64 = sqlx::query_scalar(read).fetch_one(&mut *reader).await.unwrap();
        assert_eq!(seen, 2);
        assert_eq!(cleaned(&store, Leftover::Events).await, (0, 0));
        let again: i64 = sqlx::query_scalar(read).fetch_one(&mut *reader).await.unwrap();
        assert_eq!(again, 2);
        store.rollback(reader).await.unwrap();
        assert_eq!(cleaned(&store, Leftover::Events).await, (0, 2));
        drop(database);
    });
}

/// As of whoever cleaned up row by row before, with the rights for that.
#[test]
fn whoever_may_not_empty_a_day_removes_its_rows_and_whoever_came_along_may() {
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
        assert_eq!(cleaned(&night, Leftover::Events).await, (3, 0));
        let place = "SELECT pg_sequence_last_value('messagekit.outbox_events_seq_seq')";
        let place: i64 = sqlx::query_scalar(place).fetch_one(night.pool()).await.expect("as before");
        assert_eq!(place, 3);

        write(&owner, &id(8, 3), 8).await;
        published(&owner).await;
        let part: i16 = sqlx::query_scalar("SELECT messagekit.day_of($1)")
            .bind(id(8, 3))
            .fetch_one(owner.pool())
            .await
            .unwrap();
        execute(&owner, format!("GRANT TRUNCATE ON messagekit.outbox_events_{part:02} TO \"{role}\"")).await;
        assert_eq!(cleaned(&night, Leftover::Events).await, (0, 1));
    });
}

#[test]
fn a_division_that_was_cut_off_while_it_built_its_index_is_done_by_the_next_call() {
    block_on(async {
        let database = Database::fresh().await;
        let store = database.store().await;
        write(&store, "order-17", 0).await;
        // An older transaction: the index waits for it, and nobody for the index.
        let mut older = store.begin().await.unwrap();
        let claim = "INSERT INTO messagekit.processed_messages (consumer, message_id, outcome) VALUES ('billing', 'm', 'done')";
        sqlx::query(claim).execute(&mut *older).await.unwrap();
        let short = Duration::from_millis(300);
        let error =
            by_day::divide(database.url(), &SchemaName::default(), short).await.expect_err("it waits");
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        let invalid =
            "pg_index WHERE indrelid = 'messagekit.processed_messages'::regclass AND NOT indisvalid";
        assert_eq!(count(&store, invalid).await, 1, "what a server leaves of it");
        store.rollback(older).await.unwrap();
        assert_eq!(divide(&database).await.unwrap().len(), 1);
        assert_eq!(count(&store, "messagekit.outbox_events").await, 1);
    });
}

#[test]
fn a_cleanup_that_began_before_the_tables_were_divided_goes_on() {
    block_on(async {
        let database = Database::fresh().await;
        to_relay(database.url(), &SchemaName::default(), Existing::Refuse, DEADLINE).await.unwrap();
        let store = database.store().await;
        write(&store, "order-17", 8).await;
        published(&store).await;
        divide(&database).await.unwrap();
        let swept = store.sweep(Leftover::Events, &Retention::default(), Some("0"), false).await.unwrap();
        assert_eq!(
            (swept.removed, swept.days, swept.next.as_deref()),
            (0, 0, Some("01:0")),
            "from the beginning"
        );
        assert_eq!(cleaned(&store, Leftover::Events).await, (1, 0));
        let error = store.sweep(Leftover::Events, &Retention::default(), Some("99:0"), false).await;
        assert_eq!(error.expect_err("no such part").kind(), ErrorKind::InvalidConfiguration);
    });
}
