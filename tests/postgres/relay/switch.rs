//! Changes of the publishing mode under concurrent writers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use messagekit::relay::OutboxReader;
use messagekit::{ErrorKind, Outbox, Shutdown, Store};
use messagekit_postgres::cdc::{self, Capture};
use messagekit_postgres::publishing_mode::{Existing, to_cdc, to_relay};
use messagekit_postgres::{PostgresStore, SchemaName};
use messagekit_testkit::{DEADLINE, block_on, eventually};
use messagekit_tests::Database;
use sqlx::{AssertSqlSafe, Executor, PgPool};
use tokio::task::JoinHandle;

use super::outbox::{LEASE, Log, Relayed, in_order, relay};
use crate::shop::OrderPlaced;

fn schema() -> SchemaName {
    SchemaName::default()
}

/// The role belongs to the whole server: tests that share one create it with the password of the worker.
pub(crate) fn password() -> String {
    std::env::var(cdc::PASSWORD_VARIABLE).unwrap_or_else(|_| "messagekit-cdc".to_owned())
}

/// Writers that run until they are stopped.
struct Writers {
    is_over: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Vec<String>>>,
}

impl Writers {
    fn start(store: &PostgresStore) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let tasks = (0..4)
            .map(|writer| {
                let (store, is_over) = (store.clone(), Arc::clone(&is_over));
                let outbox = Outbox::new(store.clone(), "shop").unwrap();
                tokio::spawn(async move {
                    let (mut written, mut number) = (Vec::new(), 0);
                    while !is_over.load(Ordering::Relaxed) {
                        let mut tx = store.begin().await.unwrap();
                        let key = format!("o-{writer}-{}", number % 5);
                        let event = outbox.add(&mut tx, OrderPlaced::new(&key)).await.unwrap();
                        tokio::time::sleep(Duration::from_millis(number % 4)).await;
                        outbox.commit(tx).await.unwrap();
                        written.push(event.to_string());
                        number += 1;
                    }
                    written
                })
            })
            .collect();
        Self { is_over, tasks }
    }

    async fn end(self) -> BTreeSet<String> {
        self.is_over.store(true, Ordering::Relaxed);
        let mut written = BTreeSet::new();
        for task in self.tasks {
            written.extend(task.await.unwrap());
        }
        written
    }
}

/// Reads the contents of a slot and confirms them, as a connector does. Returns the ids.
pub(super) async fn read_slot(pool: &PgPool, slot: &str) -> Vec<String> {
    read_slot_of(pool, slot, "messagekit_outbox").await
}

pub(crate) async fn read_slot_of(pool: &PgPool, slot: &str, publication: &str) -> Vec<String> {
    let read = "SELECT data FROM pg_logical_slot_get_binary_changes($1, NULL, NULL, 'proto_version', '1',
        'publication_names', $2)";
    let read = sqlx::query_scalar(read).bind(slot).bind(publication);
    let changes: Vec<Vec<u8>> = read.fetch_all(pool).await.unwrap();
    let inserts = changes.iter().filter(|change| change.first() == Some(&b'I'));
    inserts.map(|change| first_column(change)).collect()
}

/// Returns the first column of an insert message. Its layout: the message type, the table, N, the number of columns,
/// then for each t, its length and its text.
fn first_column(insert: &[u8]) -> String {
    assert_eq!((insert[5], insert[8]), (b'N', b't'));
    let length = u32::from_be_bytes(insert[9..13].try_into().unwrap()) as usize;
    String::from_utf8(insert[13..13 + length].to_vec()).unwrap()
}

/// Runs a connector that reads until it is stopped.
fn connector(pool: &PgPool, slot: &str, is_over: &Arc<AtomicBool>) -> JoinHandle<Vec<String>> {
    let (pool, slot, is_over) = (pool.clone(), slot.to_owned(), Arc::clone(is_over));
    tokio::spawn(async move {
        let mut read = Vec::new();
        while !is_over.load(Ordering::Relaxed) {
            read.extend(read_slot(&pool, &slot).await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        read
    })
}

#[test]
fn switch_to_the_relay_and_back_under_load_loses_no_event() {
    block_on(async {
        let database = Database::fresh().await;
        let (url, schema) = (database.url(), schema());
        cdc::set_up(url, &schema, Some(&password())).await.unwrap();
        let slot = Capture::of(url, &schema).unwrap().slot;
        let store = database.store().await;
        let writers = Writers::start(&store);
        let is_over = Arc::new(AtomicBool::new(false));
        let captured = connector(store.pool(), &slot, &is_over);
        eventually("events leave", DEADLINE, async || {
            let confirmed = "SELECT count(*) > 20 FROM messagekit.outbox_events";
            sqlx::query_scalar(confirmed).fetch_one(store.pool()).await.unwrap()
        })
        .await;

        // To the relay, which begins when the slot has passed all earlier events.
        let log = Arc::new(Log::default());
        let shutdown = Shutdown::new();
        let done = to_relay(url, &schema, Existing::Refuse, DEADLINE).await.unwrap();
        assert_eq!(done.len(), 3, "{done:?}");
        assert_eq!(to_relay(url, &schema, Existing::Refuse, DEADLINE).await.unwrap(), Vec::<String>::new());
        let running = tokio::spawn(relay(&store, &log).unwrap().run(shutdown.clone()));
        is_over.store(true, Ordering::Relaxed);
        let mut left: BTreeSet<String> = captured.await.unwrap().into_iter().collect();
        cdc::drop_slot(url, &schema).await.unwrap();
        eventually("the relay publishes", DEADLINE, async || log.ids().len() > 20).await;

        // And back: a new slot, then the end of the relay.
        let done = to_cdc(url, &schema, Some(&password()), DEADLINE).await.unwrap();
        assert_eq!(done.last().unwrap(), "end of the relay");
        shutdown.request();
        // The error says that its trigger is gone, or that it must stop.
        let _ = running.await.unwrap();
        assert_eq!(
            sqlx::query_scalar::<_, i64>("SELECT count(*) FROM messagekit.outbox_pending")
                .fetch_one(store.pool())
                .await
                .unwrap(),
            0
        );
        let count = "SELECT count(*) FROM messagekit.outbox_events";
        let so_far: i64 = sqlx::query_scalar(count).fetch_one(store.pool()).await.unwrap();
        eventually("somebody still writes", DEADLINE, async || {
            sqlx::query_scalar::<_, i64>(count).fetch_one(store.pool()).await.unwrap() > so_far + 20
        })
        .await;
        let written = writers.end().await;
        left.extend(log.ids());
        left.extend(read_slot(store.pool(), &slot).await);
        cdc::drop_slot(url, &schema).await.unwrap();
        assert_eq!(left, written);
    });
}

#[test]
fn change_to_relay_waits_for_the_slot_and_resumes_when_repeated() {
    block_on(async {
        let database = Database::fresh().await;
        let (url, schema) = (database.url(), schema());
        cdc::set_up(url, &schema, Some(&password())).await.unwrap();
        let slot = Capture::of(url, &schema).unwrap().slot;
        let store = database.store().await;
        let relayed = Relayed { outbox: Outbox::new(store.clone(), "shop").unwrap(), store, database };
        relayed.write("before", Some("k")).await;
        let late =
            to_relay(relayed.database.url(), &schema, Existing::Refuse, Duration::ZERO).await.unwrap_err();
        assert_eq!(late.kind(), ErrorKind::WrongState);
        assert!(late.to_string().contains("has not come that far"), "{late}");
        relayed.write("after", Some("k")).await;
        assert_eq!(relayed.lease("r1").await.held, [], "nothing passes what the connector has not sent");
        let early = to_cdc(relayed.database.url(), &schema, None, DEADLINE).await.unwrap_err();
        assert!(early.to_string().contains("not complete"), "{early}");

        assert_eq!(read_slot(relayed.store.pool(), &slot).await, ["before", "after"]);
        let is_over = Arc::new(AtomicBool::new(false));
        let captured = connector(relayed.store.pool(), &slot, &is_over);
        to_relay(relayed.database.url(), &schema, Existing::Refuse, DEADLINE).await.unwrap();
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(captured.await.unwrap(), Vec::<String>::new());
        let leases = relayed.lease("r1").await;
        assert_eq!(in_order(&relayed.read("r1", &leases).await), ["after"]);
        cdc::drop_slot(relayed.database.url(), &schema).await.unwrap();
    });
}

#[test]
fn uncaptured_events_are_published_or_left_as_chosen() {
    block_on(async {
        for (existing, expected) in
            [(Existing::Publish, vec!["old-1", "old-2", "new"]), (Existing::Leave, vec!["new"])]
        {
            let database = Database::fresh().await;
            let (url, schema) = (database.url().to_owned(), schema());
            let store = database.store().await;
            let relayed = Relayed { outbox: Outbox::new(store.clone(), "shop").unwrap(), store, database };
            relayed.write("old-1", Some("k")).await;
            relayed.write("old-2", None).await;
            let refused = to_relay(&url, &schema, Existing::Refuse, DEADLINE).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::WrongState);
            assert_eq!(relayed.pending().await, 0, "nothing was changed");
            to_relay(&url, &schema, existing, DEADLINE).await.unwrap();
            relayed.write("new", Some("k")).await;
            let leases = relayed.lease("r1").await;
            let page = relayed.read("r1", &leases).await;
            assert_eq!(in_order(&page), expected);
            let of_key = page.rows.iter().filter(|row| row.message.key.is_some()).map(|row| row.shard);
            assert_eq!(of_key.collect::<BTreeSet<u16>>().len(), 1, "in the shard of later events of the key");
        }
    });
}

#[test]
fn relay_is_not_ended_while_events_wait_for_it() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        let (url, schema) = (relayed.database.url(), schema());
        let slots = async || {
            let count = "SELECT count(*) FROM pg_replication_slots WHERE database = current_database()";
            relayed.count(count).await
        };
        let refused = async |said: &str| {
            let error =
                to_cdc(url, &schema, Some(&password()), Duration::from_millis(100)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WrongState, "{error}");
            assert!(error.to_string().contains(said), "{error}");
            assert_eq!(slots().await, 0, "no slot is left that nobody reads");
        };
        relayed.write("e-1", Some("k")).await;
        refused("let a relay run").await;
        relayed.lease("stuck").await;
        refused("let the relay come after the writers").await;
        let delay =
            "UPDATE messagekit.outbox_pending SET shard = shard - 64, available_at = now() + interval '1 h'";
        relayed.store.pool().execute(delay).await.unwrap();
        refused("delayed").await;
        relayed.store.pool().execute("DELETE FROM messagekit.outbox_pending").await.unwrap();
        to_cdc(url, &schema, Some(&password()), DEADLINE).await.unwrap();
        assert_eq!(slots().await, 1);
        let gone = relayed.store.lease("r1", LEASE).await.unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::Schema);
        cdc::drop_slot(url, &schema).await.unwrap();
    });
}

async fn write_for(relayed: &Relayed, id: &str, time: &str) {
    let insert = format!(
        "INSERT INTO messagekit.outbox_events (event_id, topic, payload, available_at) VALUES ('{id}', 'a.b', '', {time})"
    );
    relayed.store.pool().execute(AssertSqlSafe(insert)).await.unwrap();
}

/// Its cure, run unchanged, makes the next change work.
#[test]
fn change_from_relay_names_the_latest_delayed_event_and_a_cure() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        let (log, shutdown) = (Arc::new(Log::default()), Shutdown::new());
        let running = tokio::spawn(relay(&relayed.store, &log).unwrap().run(shutdown.clone()));
        write_for(&relayed, "near", "now() + interval '1 h'").await;
        write_for(&relayed, "far", "'9999-12-29 12:00:00+00'").await;
        relayed.write("now", None).await;
        eventually("the relay runs", DEADLINE, async || log.ids() == ["now"]).await;

        let url = relayed.database.url();
        let error = to_cdc(url, &schema(), Some(&password()), DEADLINE).await.unwrap_err().to_string();
        for said in ["delayed 2", "last far", "topic a.b", "due 9999-12-29"] {
            assert!(error.contains(said), "{said}: {error}");
        }
        let begin = error.find("UPDATE ").expect("it says what to do");
        let end = error[begin..].find("shard < 0").unwrap() + begin + "shard < 0".len();
        relayed.store.pool().execute(AssertSqlSafe(&error[begin..end])).await.unwrap();
        to_cdc(url, &schema(), Some(&password()), DEADLINE).await.unwrap();
        assert_eq!(
            log.ids().into_iter().collect::<BTreeSet<_>>(),
            ["far", "near", "now"].map(str::to_owned).into()
        );
        shutdown.request();
        let _ = running.await.unwrap();
        cdc::drop_slot(url, &schema()).await.unwrap();
    });
}

#[test]
fn switch_from_the_relay_waits_for_due_events_not_delayed_ones() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        let (log, shutdown) = (Arc::new(Log::default()), Shutdown::new());
        let running = tokio::spawn(relay(&relayed.store, &log).unwrap().run(shutdown.clone()));
        write_for(&relayed, "soon", "now() + interval '1 s'").await;
        eventually("the relay runs", DEADLINE, async || {
            relayed.count("SELECT count(*) FROM messagekit.relay_members").await == 1
        })
        .await;
        let url = relayed.database.url().to_owned();
        // A slot cannot be created beside an open transaction.
        cdc::set_up(&url, &schema(), Some(&password())).await.unwrap();
        // A writer delays the change, and adds a delayed event.
        let mut open = relayed.store.begin().await.unwrap();
        let insert = "INSERT INTO messagekit.outbox_events (event_id, topic, payload, available_at)
            VALUES ('far', 'a.b', '', '9999-12-29 12:00:00+00')";
        open.execute(insert).await.unwrap();
        let began = Instant::now();
        let switching = {
            let url = url.clone();
            tokio::spawn(async move { to_cdc(&url, &schema(), Some(&password()), DEADLINE).await })
        };
        until_the_switch_waits(&relayed).await;
        relayed.store.commit(open).await.unwrap();
        let refused = switching.await.unwrap().unwrap_err().to_string();
        assert!(refused.contains("last far"), "{refused}");
        assert!(began.elapsed() < DEADLINE, "it waited for the year 9999");

        relayed
            .store
            .pool()
            .execute("DELETE FROM messagekit.outbox_pending WHERE event_id = 'far'")
            .await
            .unwrap();
        write_for(&relayed, "soon-too", "now() + interval '1 s'").await;
        to_cdc(&url, &schema(), Some(&password()), DEADLINE).await.unwrap();
        assert_eq!(log.ids(), ["soon", "soon-too"]);
        shutdown.request();
        let _ = running.await.unwrap();
        cdc::drop_slot(&url, &schema()).await.unwrap();
    });
}

/// Returns an outbox without a publisher.
async fn before_the_switch() -> Relayed {
    let database = Database::fresh().await;
    let store = database.store().await;
    Relayed { outbox: Outbox::new(store.clone(), "shop").unwrap(), store, database }
}

async fn until_the_switch_waits(relayed: &Relayed) {
    let waiting = "SELECT count(*) FROM pg_locks
        WHERE NOT granted AND mode = 'ShareRowExclusiveLock' AND relation = 'messagekit.outbox_events'::regclass";
    eventually("the switch waits", DEADLINE, async || relayed.count(waiting).await > 0).await;
}

/// A writer that keeps its transaction open only delays the change; other writers continue meanwhile.
#[test]
fn change_to_relay_waits_for_an_open_writer_but_not_for_others() {
    block_on(async {
        let relayed = before_the_switch().await;
        let mut open = relayed.store.begin().await.unwrap();
        let event = relayed.outbox.add(&mut open, OrderPlaced::new("o-1")).await.unwrap();
        let url = relayed.database.url().to_owned();
        let switching =
            tokio::spawn(async move { to_relay(&url, &schema(), Existing::Leave, DEADLINE).await });
        until_the_switch_waits(&relayed).await;
        relayed.write("meanwhile", None).await;
        relayed.outbox.commit(open).await.unwrap();
        switching.await.unwrap().unwrap();
        relayed.write("after", None).await;
        let leases = relayed.lease("r1").await;
        let found = relayed.read("r1", &leases).await;
        assert!(in_order(&found).contains(&"after") && !in_order(&found).contains(&event.as_str()));
    });
}

/// The change must not decide about events that are not visible yet.
#[test]
fn event_committed_during_the_switch_is_not_skipped_silently() {
    block_on(async {
        let relayed = before_the_switch().await;
        let mut open = relayed.store.begin().await.unwrap();
        relayed.outbox.add(&mut open, OrderPlaced::new("o-1")).await.unwrap();
        let url = relayed.database.url().to_owned();
        let switching =
            tokio::spawn(async move { to_relay(&url, &schema(), Existing::Refuse, DEADLINE).await });
        until_the_switch_waits(&relayed).await;
        relayed.outbox.commit(open).await.unwrap();
        let refused = switching.await.unwrap().unwrap_err();
        assert!(refused.to_string().contains("outbox has events"), "{refused}");
        assert_eq!(
            relayed.count("SELECT count(*) FROM pg_trigger WHERE tgname = 'outbox_is_pending'").await,
            0
        );
        let url = relayed.database.url();
        to_relay(url, &schema(), Existing::Publish, DEADLINE).await.unwrap();
        assert_eq!(relayed.pending().await, 1);
    });
}

/// A first call that ended before the slot had passed leaves the trigger; events that the trigger has listed must not
/// be listed again.
#[test]
fn delayed_event_that_is_due_by_now_is_listed_once() {
    block_on(async {
        let relayed = before_the_switch().await;
        let url = relayed.database.url();
        to_relay(url, &schema(), Existing::Refuse, DEADLINE).await.unwrap();
        relayed
            .store
            .pool()
            .execute(
                "INSERT INTO messagekit.outbox_events (event_id, topic, payload, available_at)
                   VALUES ('later', 'a.b', '', clock_timestamp() + interval '1 h');
                 UPDATE messagekit.outbox_events SET available_at = clock_timestamp() - interval '1 s';
                 DELETE FROM messagekit.relay_shards",
            )
            .await
            .unwrap();
        to_relay(url, &schema(), Existing::Publish, DEADLINE).await.unwrap();
        assert_eq!(relayed.count("SELECT count(*) FROM messagekit.outbox_pending").await, 1);
    });
}
