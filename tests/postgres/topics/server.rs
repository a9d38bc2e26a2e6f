//! What only a server does: several sequencers, writers that lock nothing, topics beside the outbox, sessions that end.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use futures_util::TryStreamExt;
use messagekit::log::Log;
use messagekit::{Envelope, ErrorKind, Event, Outbox, Store};
use messagekit_postgres::PostgresStore;
use messagekit_postgres::publishing_mode::{Existing, to_relay};
use messagekit_postgres::{SchemaName, partitioning};
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};
use messagekit_tests::Database;
use messagekit_topic_store::{Claimed, RecordClaimer, TopicMigration, Which};
use messagekit_topics::{RetentionRule, Topic, TopicEvent, Topics};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection};

#[derive(Clone, Event, Serialize, Deserialize)]
#[event(type = "shop.parcel.sent", key = "parcel")]
struct ParcelSent {
    parcel: String,
}

const TOPIC: &str = ParcelSent::TOPIC;

async fn number(connection: &mut PgConnection, select: &'static str) -> i64 {
    sqlx::query_scalar(select).fetch_one(connection).await.unwrap()
}

async fn run(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await.unwrap();
}

async fn parcels(database: &Database, partitions: u32) -> Topic<Value, PostgresStore> {
    let topics = Topics::of(database.store().await);
    topics.untyped(TOPIC).partitions(NonZeroU32::new(partitions).unwrap()).open().await.unwrap()
}

async fn send(store: &PostgresStore, outbox: &Outbox<PostgresStore>, parcel: String) {
    let mut tx = store.begin().await.unwrap();
    outbox.add(&mut tx, ParcelSent { parcel }).await.unwrap();
    store.commit(tx).await.unwrap();
}

async fn sent(topic: &Topic<Value, PostgresStore>) -> Vec<String> {
    let parcel = |data: Value| data["parcel"].as_str().unwrap().to_owned();
    topic.iter_all().map_ok(|record| parcel(record.data)).try_collect().await.unwrap()
}

const IN_OUTBOX: &str = "SELECT count(*) FROM messagekit.outbox_events";
const WAITING: &str = "SELECT count(*) FROM messagekit.topic_waiting";

#[test]
fn events_of_a_kept_topic_are_records_and_leave_no_more() {
    block_on(async {
        let database = Database::fresh().await;
        let mut look = database.connection().await;
        let (store, outbox) = shop(&database).await;
        send(&store, &outbox, "before".into()).await;
        let kept = parcels(&database, 1).await;
        send(&store, &outbox, "a".into()).await;
        let mut tx = store.begin().await.unwrap();
        outbox.add_all(&mut tx, ["b", "c"].map(|parcel| ParcelSent { parcel: parcel.into() })).await.unwrap();
        store.commit(tx).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        outbox.add(&mut tx, ParcelSent { parcel: "rolled back".into() }).await.unwrap();
        store.rollback(tx).await.unwrap();
        run(
            &mut look,
            "SELECT messagekit.publish('shop.parcel', 'd', 'shop.parcel.sent', '{\"parcel\": \"d\"}')",
        )
        .await;
        assert_eq!(number(&mut look, WAITING).await, 4);
        assert_eq!(sent(&kept).await, ["a", "b", "c", "d"]);
        assert_eq!((number(&mut look, WAITING).await, number(&mut look, IN_OUTBOX).await), (0, 1));
        let first = kept.get(1).await.unwrap().unwrap();
        assert_eq!((first.partition, first.offset), (0, 0));
    });
}

async fn shop(database: &Database) -> (PostgresStore, Outbox<PostgresStore>) {
    let store = database.store().await;
    (store.clone(), Outbox::new(store, "shop").unwrap())
}

#[test]
fn a_published_topic_has_each_event_in_log_and_outbox() {
    block_on(async {
        for is_divided in [false, true] {
            let database = Database::fresh().await;
            to_relay(database.url(), &SchemaName::default(), Existing::Refuse, DEADLINE).await.unwrap();
            let mut look = database.connection().await;
            let (store, outbox) = shop(&database).await;
            let topics = Topics::of(store.clone());
            let both = topics.untyped(TOPIC).published().dedup(["parcel"]).open().await.unwrap();
            if is_divided {
                partitioning::divide(database.url(), &SchemaName::default(), DEADLINE).await.unwrap();
            }
            send(&store, &outbox, "a".into()).await;
            both.append(&json!({ "parcel": "b" })).await.unwrap();
            both.extend(&[json!({ "parcel": "c" }), json!({ "parcel": "d" })]).await.unwrap();
            both.append(&json!({ "parcel": "b" })).await.unwrap_err();
            assert_eq!(sent(&both).await, ["a", "b", "c", "d"]);
            let pending = "SELECT count(DISTINCT event_id) FROM messagekit.outbox_pending";
            assert_eq!((number(&mut look, IN_OUTBOX).await, number(&mut look, pending).await), (4, 4));
            let same = "SELECT count(*) FROM messagekit.topic_records r JOIN messagekit.outbox_events e USING (event_id, payload)";
            assert_eq!(number(&mut look, same).await, 4);
            let refused = store.begin_migration(&Arc::from(TOPIC)).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::WrongState, "brokers have its old form");
        }
    });
}

#[test]
fn delayed_events_come_when_they_are_due() {
    block_on(async {
        let database = Database::fresh().await;
        to_relay(database.url(), &SchemaName::default(), Existing::Refuse, DEADLINE).await.unwrap();
        let kept = parcels(&database, 1).await;
        let mut look = database.connection().await;
        let write = |id: &str, at: &str| {
            format!(
                "INSERT INTO messagekit.outbox_events (event_id, topic, payload, available_at)
                 VALUES ('{id}', '{TOPIC}', '{{\"parcel\": \"{id}\"}}', {at})"
            )
        };
        run(&mut look, &write("later", "now() + interval '1 hour'")).await;
        run(&mut look, &write("now", "NULL")).await;
        assert_eq!(sent(&kept).await, ["now"]);
        run(&mut look, "UPDATE messagekit.topic_waiting SET available_at = now()").await;
        assert_eq!(sent(&kept).await, ["now", "later"]);
    });
}

/// What no reader could carry fails its writer, and not the topic.
#[test]
fn an_event_without_a_time_or_an_id_is_refused() {
    block_on(async {
        let database = Database::fresh().await;
        let kept = parcels(&database, 1).await;
        let mut look = database.connection().await;
        for (columns, values) in [
            ("event_id, created_at", "'a', 'infinity'"),
            ("event_id, available_at", "'a', '-infinity'"),
            ("event_id", "''"),
            ("event_id, headers", "'a', '[]'"),
        ] {
            let insert = format!(
                "INSERT INTO messagekit.outbox_events (topic, payload, {columns}) VALUES ('{TOPIC}', '{{}}', {values})"
            );
            assert!(
                sqlx::raw_sql(AssertSqlSafe(insert.clone())).execute(&mut look).await.is_err(),
                "{insert}"
            );
        }
        assert_eq!(kept.count().await.unwrap().all, 0);
    });
}

#[test]
fn an_event_id_that_is_used_again_is_refused() {
    block_on(async {
        let database = Database::fresh().await;
        let kept = parcels(&database, 1).await;
        let (store, outbox) = shop(&database).await;
        let event = Envelope::new(ParcelSent { parcel: "a".into() });
        let mut tx = store.begin().await.unwrap();
        outbox.add(&mut tx, event.clone()).await.unwrap();
        store.commit(tx).await.unwrap();
        for _ in 0..2 {
            let mut again = store.begin().await.unwrap();
            let refused = outbox.add(&mut again, event.clone()).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidEvent);
            assert!(refused.to_string().contains("of this id already"), "{refused}");
            drop(again);
            assert_eq!(sent(&kept).await, ["a"]);
        }
    });
}

/// A rule of age counts from the time at which an event became a record.
#[test]
fn an_event_that_waited_for_long_is_kept_from_then_on() {
    block_on(async {
        let database = Database::fresh().await;
        let topics = Topics::of(database.store().await);
        let day = std::time::Duration::from_secs(86_400);
        let kept = topics.untyped(TOPIC).retention(RetentionRule::of_age(day)).open().await.unwrap();
        let (store, outbox) = shop(&database).await;
        send(&store, &outbox, "old".into()).await;
        let mut look = database.connection().await;
        run(&mut look, "UPDATE messagekit.topic_waiting SET created_at = created_at - interval '9 days'")
            .await;
        assert_eq!((sent(&kept).await, kept.expire().await.unwrap()), (vec!["old".to_owned()], 0));
    });
}

/// An append that waited for a migration is of the old form.
#[test]
fn an_append_that_waited_for_a_migration_is_refused() {
    block_on(async {
        let database = Database::fresh().await;
        let topic = parcels(&database, 2).await;
        topic.append(&json!({ "parcel": "a" })).await.unwrap();
        let mut migrates = database.connection().await;
        let swap = "BEGIN; UPDATE messagekit.topic_partitions SET version = 1; UPDATE messagekit.topics SET version = 1";
        run(&mut migrates, swap).await;
        let appends = tokio::spawn({
            let topic = topic.clone();
            async move { topic.append(&json!({ "parcel": "b" })).await }
        });
        let mut look = database.connection().await;
        eventually("the append waits", DEADLINE, async || {
            number(&mut look, "SELECT count(*) FROM pg_locks WHERE NOT granted").await > 0
        })
        .await;
        run(&mut migrates, "COMMIT").await;
        assert_eq!(appends.await.unwrap().unwrap_err().kind(), ErrorKind::SchemaMismatch);
    });
}

/// A consumer holds its cursor before the topic, so an append that deletes waits for no consumer.
#[test]
fn an_append_that_deletes_waits_for_no_consumer() {
    block_on(async {
        let database = Database::fresh().await;
        let topics = Topics::of(database.store().await);
        let small = topics.untyped(TOPIC).retention(RetentionRule::of_bytes(1)).open().await.unwrap();
        let id = small.append(&json!({ "parcel": "a" })).await.unwrap();
        let store = topics.store();
        let begun = small.append(&json!({ "parcel": "b" })).await.unwrap();
        assert_eq!(begun, id + 1);
        let last = small.append(&json!({ "parcel": "c" })).await.unwrap();
        let mut slow = store.begin().await.unwrap();
        small.set_handled_in(&mut slow, last).await.unwrap();
        small.append(&json!({ "parcel": "d" })).await.unwrap();
        small.append_in(&mut slow, &json!({ "parcel": "e" })).await.unwrap();
        store.commit(slow).await.unwrap();
        small.expire().await.unwrap();
        assert_eq!(sent(&small).await, ["e"]);
    });
}

/// A topic is made beside a transaction that has written events for long, and holds no other writer up.
#[test]
fn making_the_first_topic_waits_for_no_writer() {
    block_on(async {
        let database = Database::fresh().await;
        let (store, outbox) = shop(&database).await;
        let mut late = store.begin().await.unwrap();
        outbox.add(&mut late, ParcelSent { parcel: "late".into() }).await.unwrap();
        let makes = tokio::spawn({
            let database = database.clone();
            async move { parcels(&database, 1).await }
        });
        let mut look = database.connection().await;
        eventually("the trigger waits", DEADLINE, async || {
            number(&mut look, "SELECT count(*) FROM pg_locks WHERE NOT granted").await > 0
        })
        .await;
        send(&store, &outbox, "meanwhile".into()).await;
        assert!(!makes.is_finished());
        store.commit(late).await.unwrap();
        makes.await.unwrap();
        assert_eq!(number(&mut look, IN_OUTBOX).await, 2);
    });
}

/// Writers commit in any order, and readers of two processes give offsets at the same time.
#[test]
fn sequencers_of_two_processes_give_each_event_one_offset() {
    const WRITERS: usize = 8;
    const EACH: usize = 60;
    block_on(async {
        let database = Database::fresh().await;
        let topic = parcels(&database, 4).await;
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let database = database.clone();
                tokio::spawn(async move {
                    let (store, outbox) = shop(&database).await;
                    for number in 0..EACH {
                        send(&store, &outbox, format!("{writer}-{number}")).await;
                    }
                })
            })
            .collect();
        let (one, other) = (database.store().await, database.store().await);
        let mut looks = 0;
        while !writers.iter().all(|writer| writer.is_finished()) {
            let (one, other) = tokio::join!(Log::bounds(&one, TOPIC), Log::bounds(&other, TOPIC));
            one.unwrap();
            other.unwrap();
            looks += 1;
        }
        assert!(looks > 5, "{looks}");
        let all: BTreeSet<String> = sent(&topic).await.into_iter().collect();
        assert_eq!(all.len(), WRITERS * EACH);
        let mut look = database.connection().await;
        let whole = "SELECT count(*) FROM messagekit.topic_partitions p WHERE p.next_offset = (
              SELECT count(*) FROM messagekit.topic_records r WHERE r.tp_id = p.id)
            AND p.next_offset = (SELECT coalesce(max(r.\"offset\") + 1, 0) FROM messagekit.topic_records r WHERE r.tp_id = p.id)";
        assert_eq!(number(&mut look, whole).await, 4, "no partition has a gap");
        let order = "SELECT count(*) FROM (
              SELECT (convert_from(payload, 'UTF8')::jsonb ->> 'parcel') AS parcel, tp_id, \"offset\", id FROM messagekit.topic_records) a
            JOIN (SELECT tp_id, \"offset\", id FROM messagekit.topic_records) b
              ON a.tp_id = b.tp_id AND a.\"offset\" < b.\"offset\" AND a.id > b.id";
        assert_eq!(number(&mut look, order).await, 0, "ids have the order of the offsets");
    });
}

#[test]
fn a_sequencer_that_is_killed_leaves_the_events_to_the_next() {
    block_on(async {
        let database = Database::fresh().await;
        let topic = parcels(&database, 1).await;
        let (store, outbox) = shop(&database).await;
        for number in 0..20 {
            send(&store, &outbox, number.to_string()).await;
        }
        let mut killed = database.connection().await;
        let moved = "BEGIN; SELECT 1 FROM messagekit.topic_partitions FOR NO KEY UPDATE; DELETE FROM messagekit.topic_waiting";
        run(&mut killed, moved).await;
        let pid = number(&mut killed, "SELECT pg_backend_pid()::bigint").await;
        let reads = tokio::spawn(async move { sent(&topic).await });
        let mut look = database.connection().await;
        eventually("the reader waits for the sequencer", DEADLINE, async || {
            number(&mut look, "SELECT count(*) FROM pg_locks WHERE NOT granted").await > 0
        })
        .await;
        run(&mut look, &format!("SELECT pg_terminate_backend({pid})")).await;
        assert_eq!(reads.await.unwrap(), (0..20).map(|n| n.to_string()).collect::<Vec<_>>());
    });
}

#[test]
fn claims_of_a_store_are_free_when_it_has_closed() {
    block_on(async {
        let database = Database::fresh().await;
        let kept = parcels(&database, 1).await;
        kept.append(&json!({ "parcel": "a" })).await.unwrap();
        for _ in 0..30 {
            let leaving = database.store().await;
            let worker = RecordClaimer::new(leaving.clone(), "shipping", TOPIC).max_attempts(1_000);
            let claimed = worker.claim(1).await.unwrap();
            assert!(matches!(claimed, Claimed::Records(_)), "{claimed:?}");
            leaving.close().await;
        }
    });
}

/// A long transaction of one writer holds no other back, and its events come when it commits.
#[test]
fn a_writer_that_commits_late_is_not_passed_over() {
    block_on(async {
        let database = Database::fresh().await;
        let topic = parcels(&database, 1).await;
        let (store, outbox) = shop(&database).await;
        let mut late = store.begin().await.unwrap();
        outbox.add(&mut late, ParcelSent { parcel: "late".into() }).await.unwrap();
        send(&store, &outbox, "early".into()).await;
        let worker = RecordClaimer::new(store.clone(), "workers", TOPIC);
        let Claimed::Records(claim) = worker.claim(10).await.unwrap() else { panic!("one is there") };
        assert_eq!(worker.acknowledge(&claim, Which::All).await.unwrap(), 1);
        store.commit(late).await.unwrap();
        let Claimed::Records(claim) = worker.claim(10).await.unwrap() else { panic!("the other came") };
        assert_eq!(claim.records[0].record.position.offset, 1);
        assert_eq!(sent(&topic).await, ["early", "late"]);
    });
}

#[test]
fn acknowledgements_at_the_same_time_move_the_cursor_to_the_end() {
    block_on(async {
        let database = Database::fresh().await;
        let topic = parcels(&database, 1).await;
        let data: Vec<Value> = (0..200).map(|n| json!({ "parcel": n.to_string() })).collect();
        let ids = topic.extend(&data).await.unwrap();
        let tasks: Vec<_> = ids
            .chunks(50)
            .map(|ids| {
                let (topic, ids) = (topic.clone(), ids.to_vec());
                tokio::spawn(async move {
                    for id in ids {
                        topic.set_handled(id).await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let mut look = database.connection().await;
        assert_eq!(number(&mut look, "SELECT next FROM messagekit.consumer_cursors").await, 200);
        assert_eq!(topic.count().await.unwrap().handled, 200);
    });
}

/// A server that restarts ends the sessions of all holders, also of those whose process lives.
#[test]
fn a_holder_whose_session_ended_goes_on_under_another_name() {
    block_on(async {
        let database = Database::fresh().await;
        let topic = parcels(&database, 1).await;
        topic.append(&json!({ "parcel": "a" })).await.unwrap();
        let worker = RecordClaimer::new(database.store().await, "workers", TOPIC);
        let other = RecordClaimer::new(database.store().await, "workers", TOPIC);
        let Claimed::Records(lost) = worker.claim(10).await.unwrap() else { panic!("one is there") };
        assert!(matches!(other.claim(10).await.unwrap(), Claimed::Nothing { .. }));
        let mut look = database.connection().await;
        let ends = "SELECT count(pg_terminate_backend(pid)) FROM (
            SELECT DISTINCT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = 1835754348) l";
        assert_eq!(number(&mut look, ends).await, 2);
        eventually("the record is claimed by the other", DEADLINE, async || {
            matches!(other.claim(10).await, Ok(Claimed::Records(_)))
        })
        .await;
        let refused = worker.acknowledge(&lost, Which::All).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ClaimLost);
    });
}

#[test]
fn observers_hear_of_transactions_that_other_code_commits() {
    block_on(async {
        let database = Database::fresh().await;
        let topics = Topics::of(database.store().await);
        let heard = Arc::new(Mutex::new(Vec::new()));
        let writes = heard.clone();
        topics.observe(move |event| writes.lock().unwrap().push(event.clone()));
        let topic = topics.untyped(TOPIC).open().await.unwrap();
        let store = topics.store();
        let mut tx = store.begin().await.unwrap();
        topic.append_in(&mut tx, &json!({ "parcel": "rolled back" })).await.unwrap();
        drop(tx);
        let mut tx = store.begin().await.unwrap();
        let id = topic.append_in(&mut tx, &json!({ "parcel": "a" })).await.unwrap();
        // The transaction of sqlx, without the store.
        sqlx::Transaction::from(tx).commit().await.unwrap();
        eventually("the append is heard of", DEADLINE, async || heard.lock().unwrap().len() > 1).await;
        let topic: Arc<str> = Arc::from(TOPIC);
        assert_eq!(heard.lock().unwrap()[1..], [TopicEvent::Appended { topic, id }]);
    });
}

/// A role that may write events and use topics, and owns nothing.
#[test]
fn a_program_that_does_not_own_the_tables_makes_and_uses_topics() {
    block_on(async {
        let database = Database::fresh().await;
        let mut owner = database.connection().await;
        let role = unique("shop").replace(['.', '-'], "_");
        run(
            &mut owner,
            &format!(
                "CREATE ROLE {role} LOGIN PASSWORD '{role}'; GRANT USAGE ON SCHEMA messagekit TO {role};
                 GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA messagekit TO {role};
                 GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA messagekit TO {role};
                 GRANT EXECUTE ON FUNCTION messagekit.keep_topics() TO {role};
                 CREATE ROLE {role}_writer LOGIN PASSWORD '{role}'; GRANT USAGE ON SCHEMA messagekit TO {role}_writer;
                 GRANT INSERT ON messagekit.outbox_events, messagekit.outbox_links TO {role}_writer;"
            ),
        )
        .await;
        let url = |user: &str| {
            let (_, host) = database.url().split_once('@').unwrap();
            format!("postgres://{user}:{role}@{host}")
        };
        let topics = Topics::of(PostgresStore::connect(&url(&role)).await.unwrap());
        let topic = topics.untyped(TOPIC).open().await.unwrap();
        let envelope = Envelope::new(ParcelSent { parcel: "a".into() });
        let mut writer: PgConnection =
            <PgConnection as sqlx::Connection>::connect(&url(&format!("{role}_writer"))).await.unwrap();
        let insert = format!(
            "INSERT INTO messagekit.outbox_events (event_id, topic, payload) VALUES ('{}', '{TOPIC}', '{{\"parcel\": \"a\"}}')",
            envelope.meta.event_id
        );
        run(&mut writer, &insert).await;
        topic.append(&json!({ "parcel": "b" })).await.unwrap();
        assert_eq!(sent(&topic).await, ["a", "b"]);
    });
}
