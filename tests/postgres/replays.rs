//! Republication of stored events, and workers that crash or run at the same time.

use std::time::Duration;

use messagekit::operations::{
    EventFilter, Operator, ReplayIds, ReplayJob, ReplayLease, ReplayOrder, ReplayState, Replays, StoredEvent,
};
use messagekit::{Error, ErrorKind, Message, MessageId, headers};
use messagekit_postgres::PostgresStore;
use messagekit_testkit::{DEADLINE, block_on, eventually};
use sqlx::Row;

use crate::shop::{Shop, run, terminate};

const LEASE: Duration = Duration::from_secs(600);

/// Writes events `e-1` to `e-N`, an hour old and a second apart.
async fn events(shop: &Shop, number: i32) {
    let insert = "INSERT INTO messagekit.outbox_events
        (event_id, topic, event_type, aggregate_id, payload, content_type, headers, traceparent, occurred_at, created_at)
        SELECT 'e-' || n, 'orders.order', 'orders.order.placed', 'k-' || n % 7, convert_to('{ \"n\" :' || n || '}', 'UTF8'),
          'application/json', '{\"tenant\": \"north\"}', '00-ab-cd-01', now(), now() - interval '1 hour' + n * interval '1 s'
        FROM generate_series(1, $1) n";
    sqlx::query(insert).bind(number).execute(shop.store.pool()).await.unwrap();
}

fn all(ids: ReplayIds) -> ReplayOrder {
    ReplayOrder { filter: EventFilter::default(), ids, per_second: None, count: None }
}

async fn order(store: &PostgresStore, order: &ReplayOrder) -> ReplayJob {
    store.order_replay(order, &Operator::new("ann", "http")).await.unwrap()
}

async fn lease(store: &PostgresStore) -> ReplayLease {
    store.lease_replay(LEASE).await.unwrap().expect("a replay is running").0
}

fn never(_: &StoredEvent) -> Result<(MessageId, Message), Error> {
    panic!("events keep their ids")
}

async fn step(store: &PostgresStore, lease: ReplayLease, max: u32) -> Result<Option<ReplayJob>, Error> {
    store.replay_step(lease, max, LEASE, &never).await
}

/// Returns the republications in the order of their rows.
async fn copies(shop: &Shop) -> Vec<(String, i32)> {
    let select = "SELECT event_id, copy FROM messagekit.outbox_events WHERE copy > 0 ORDER BY seq";
    let rows = sqlx::query(select).fetch_all(shop.store.pool()).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

fn once(numbers: std::ops::RangeInclusive<i32>) -> Vec<(String, i32)> {
    numbers.map(|number| (format!("e-{number}"), 1)).collect()
}

/// Debezium builds its record from these columns; `createdAt` is among them.
#[test]
fn copy_is_what_the_original_was_its_time_included() {
    block_on(async {
        let shop = Shop::open().await;
        events(&shop, 20).await;
        order(&shop.store, &all(ReplayIds::Same)).await;
        // Written after the order: not part of it.
        run(
            shop.store.pool(),
            "INSERT INTO messagekit.outbox_events (event_id, topic, payload) VALUES ('late', 'a.b', '')",
        )
        .await;
        let job = step(&shop.store, lease(&shop.store).await, 100).await.unwrap().unwrap();
        assert_eq!((job.state, job.events, job.published), (ReplayState::Done, 20, 20));
        assert_eq!(copies(&shop).await, once(1..=20), "in the order of the originals");
        let differ =
            "SELECT count(*) FROM messagekit.outbox_events o JOIN messagekit.outbox_events c USING (event_id)
            WHERE o.copy = 0 AND c.copy = 1
              AND to_jsonb(o) - '{copy,seq}'::text[] = to_jsonb(c) - '{copy,seq}'::text[]";
        assert_eq!(shop.count(differ).await, 20);
        assert_eq!(shop.count("SELECT count(*) FROM messagekit.replay_items").await, 0);
    });
}

#[test]
fn replay_keeps_the_written_order_after_a_clock_was_set_back() {
    block_on(async {
        let shop = Shop::open().await;
        events(&shop, 20).await;
        let back =
            "UPDATE messagekit.outbox_events SET created_at = created_at - interval '5 min' WHERE seq > 12";
        run(shop.store.pool(), back).await;
        order(&shop.store, &all(ReplayIds::Same)).await;
        step(&shop.store, lease(&shop.store).await, 100).await.unwrap().unwrap();
        assert_eq!(copies(&shop).await, once(1..=20));
    });
}

#[test]
fn killed_replay_step_publishes_nothing_and_repeats_whole() {
    block_on(async {
        let shop = Shop::open().await;
        events(&shop, 30).await;
        let job = order(&shop.store, &all(ReplayIds::Same)).await;
        let lease = lease(&shop.store).await;
        step(&shop.store, lease, 10).await.unwrap();
        // The job's row is locked, which holds the step between the copies and its commit.
        run(
            shop.store.pool(),
            "CREATE TRIGGER wait BEFORE UPDATE ON messagekit.replay_jobs FOR EACH ROW EXECUTE FUNCTION wait()",
        )
        .await;
        let store = shop.database.store().await;
        let killed = tokio::spawn(async move { step(&store, lease, 10).await });
        let sleeping =
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
        let mut asleep = None;
        eventually("the step stands before its commit", DEADLINE, async || {
            asleep = sqlx::query_scalar(sleeping).fetch_optional(shop.store.pool()).await.unwrap();
            asleep.is_some()
        })
        .await;
        terminate(shop.store.pool(), asleep.unwrap()).await;
        assert!(killed.await.unwrap().unwrap_err().is_transient());
        assert_eq!(shop.store.replay(job.id).await.unwrap().published, 10);
        assert_eq!(copies(&shop).await, once(1..=10));

        // The progress is in the database: the next worker continues after it.
        run(shop.store.pool(), "DROP TRIGGER wait ON messagekit.replay_jobs").await;
        run(shop.store.pool(), "UPDATE messagekit.replay_jobs SET lease_until = now()").await;
        let next = self::lease(&shop.store).await;
        let job = step(&shop.store, next, 100).await.unwrap().unwrap();
        assert_eq!((job.state, job.published), (ReplayState::Done, 30));
        assert_eq!(copies(&shop).await, once(1..=30));
    });
}

#[test]
fn workers_that_take_over_a_replay_publish_each_event_once() {
    block_on(async {
        let shop = Shop::open().await;
        events(&shop, 100).await;
        let job = order(&shop.store, &all(ReplayIds::Same)).await;
        let worker = || {
            let store = shop.store.clone();
            tokio::spawn(async move {
                while store.replay(job.id).await.unwrap().state == ReplayState::Running {
                    // A lease that expires at once: the other worker may take it at any moment.
                    if let Some((lease, _)) = store.lease_replay(Duration::ZERO).await.unwrap() {
                        store.replay_step(lease, 3, Duration::ZERO, &never).await.unwrap();
                    }
                }
            })
        };
        let workers = [worker(), worker(), worker()];
        for worker in workers {
            worker.await.unwrap();
        }
        assert_eq!(copies(&shop).await, once(1..=100));
        assert_eq!(shop.store.replay(job.id).await.unwrap().published, 100);
    });
}

#[test]
fn replays_of_the_same_events_at_once_make_two_copies_of_each() {
    block_on(async {
        let shop = Shop::open().await;
        events(&shop, 60).await;
        for _ in 0..2 {
            order(&shop.store, &all(ReplayIds::Same)).await;
        }
        let worker = |lease: ReplayLease| {
            let store = shop.store.clone();
            tokio::spawn(async move {
                loop {
                    match step(&store, lease, 5).await {
                        Ok(Some(job)) if job.state == ReplayState::Running => {}
                        Ok(job) => return job.unwrap().state,
                        Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}"),
                    }
                }
            })
        };
        let workers = [worker(lease(&shop.store).await), worker(lease(&shop.store).await)];
        for worker in workers {
            assert_eq!(worker.await.unwrap(), ReplayState::Done);
        }
        assert_eq!(shop.count("SELECT count(*) FROM messagekit.outbox_events WHERE copy = 1").await, 60);
        assert_eq!(shop.count("SELECT count(*) FROM messagekit.outbox_events WHERE copy = 2").await, 60);
    });
}

#[test]
fn event_that_cannot_be_republished_ends_the_replay_with_reason() {
    block_on(async {
        let shop = Shop::open().await;
        events(&shop, 10).await;
        let job = order(&shop.store, &all(ReplayIds::New)).await;
        let lease = lease(&shop.store).await;
        let rename = |event: &StoredEvent| {
            if event.event_id.as_str() == "e-7" {
                return Err(Error::new(ErrorKind::Other, "payload is no object"));
            }
            let id = MessageId::new();
            let message = Message::new("orders.order", "{}").with_header(headers::ID, id.as_str().to_owned());
            Ok((id, message))
        };
        let ended = shop.store.replay_step(lease, 5, LEASE, &rename).await.unwrap().unwrap();
        assert_eq!((ended.state, ended.published), (ReplayState::Running, 5));
        let ended = shop.store.replay_step(lease, 5, LEASE, &rename).await.unwrap().unwrap();
        assert_eq!((ended.state, ended.published), (ReplayState::Failed, 5), "of its step nothing went out");
        assert!(ended.error.as_deref().unwrap().contains("payload is no object"), "{ended:?}");
        assert_eq!(shop.store.replay(job.id).await.unwrap(), ended);
        assert!(shop.store.lease_replay(LEASE).await.unwrap().is_none());
        assert_eq!(shop.count("SELECT count(*) FROM messagekit.replay_items").await, 0);
        assert_eq!(shop.events().await, 15);
    });
}

/// Cleanup may be faster than a slow replay.
#[test]
fn replay_tells_how_many_of_its_events_were_gone() {
    block_on(async {
        let shop = Shop::open().await;
        events(&shop, 10).await;
        order(&shop.store, &all(ReplayIds::Same)).await;
        let lease = lease(&shop.store).await;
        step(&shop.store, lease, 4).await.unwrap();
        run(shop.store.pool(), "DELETE FROM messagekit.outbox_events WHERE event_id IN ('e-6', 'e-8')").await;
        let job = step(&shop.store, lease, 100).await.unwrap().unwrap();
        assert_eq!((job.state, job.published), (ReplayState::Failed, 8));
        assert_eq!(
            job.error.as_deref(),
            Some("2 of the chosen events were not kept any more when their turn came")
        );
    });
}

#[test]
fn cancelled_replay_keeps_no_items_and_a_second_one_is_refused() {
    block_on(async {
        let shop = Shop::open().await;
        events(&shop, 10).await;
        let job = order(&shop.store, &all(ReplayIds::Same)).await;
        let held = lease(&shop.store).await;
        let by = Operator::new("ann", "cli");
        shop.store.cancel_replay(job.id, &by).await.unwrap();
        assert_eq!(step(&shop.store, held, 10).await.unwrap(), None);
        assert_eq!(shop.store.cancel_replay(job.id, &by).await.unwrap_err().kind(), ErrorKind::WrongState);
        assert_eq!(shop.store.cancel_replay(i64::MAX, &by).await.unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(shop.count("SELECT count(*) FROM messagekit.replay_items").await, 0);
        let audit = "SELECT act, subject, done FROM messagekit.admin_audit ORDER BY id";
        let audit: Vec<(String, String, i64)> =
            sqlx::query_as(audit).fetch_all(shop.store.pool()).await.unwrap();
        let (job, none) = (job.id.to_string(), i64::MAX.to_string());
        let row = |act: &str, subject: &str, done| (act.to_owned(), subject.to_owned(), done);
        assert_eq!(
            audit,
            [
                row("replay", &job, 1),
                row("cancel-replay", &job, 1),
                row("cancel-replay", &job, 0),
                row("cancel-replay", &none, 0)
            ]
        );
    });
}
