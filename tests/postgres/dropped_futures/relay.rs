//! Relays: every event is published, in the order of its key, whenever a future was dropped.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::{BoxFuture, Published, Publisher};
use messagekit::relay::{OutboxReader, Relay, ShardRead};
use messagekit::{Error, Message, Shutdown};
use messagekit_postgres::PostgresStore;
use messagekit_testkit::{DEADLINE, Moment, block_on, eventually, given_up};

use super::{Known, Stage, assert_pool_is_clean, narrow, strike};
use crate::relay::outbox::{LEASE, Log, Relayed, entries, id};

/// A broker with a delay before and after each call.
struct Far(Arc<Log>);

impl Publisher for Far {
    fn publish<'a>(&'a self, batch: &'a [Message]) -> BoxFuture<'a, Vec<Published>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            let published = self.0.publish(batch).await;
            tokio::task::yield_now().await;
            published
        })
    }

    fn max_bytes(&self) -> usize {
        self.0.max_bytes()
    }
}

const STEP: [&str; 4] = ["lease", "read", "publish", "delete"];

/// Runs one step of a relay.
async fn step(store: &PostgresStore, broker: &Far, stage: &Stage) -> Result<(), Error> {
    let leases = store.lease("r1", LEASE).await?;
    stage.is(1);
    let wanted: Vec<ShardRead> =
        leases.held.iter().map(|lease| ShardRead { lease: *lease, above: i64::MIN }).collect();
    let page = store.pending("r1", &wanted, &[], &[], 100).await?;
    stage.is(2);
    let messages: Vec<Message> = page.rows.iter().map(|row| row.message.clone()).collect();
    assert!(page.rows.iter().all(|row| id(row).starts_with("e-")));
    for published in broker.publish(&messages).await {
        published.unwrap();
    }
    stage.is(3);
    store.published(&entries(&page)).await
}

#[test]
fn a_step_of_a_relay_dropped_at_any_await_loses_no_event() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        let store = narrow(&relayed.database, 1).await;
        let broker = Far(Arc::new(Log::default()));
        let written = async |number| {
            let event = format!("e-{number}");
            relayed.write(&event, Some("k")).await;
            event
        };
        let step_once = async |_: &String, stage: &Stage| step(&store, &broker, stage).await;
        strike(&STEP, written, step_once, async |event, known| {
            assert_pool_is_clean(&store).await;
            let is_pending = "SELECT EXISTS (SELECT FROM messagekit.outbox_pending WHERE event_id = $1)";
            let is_pending = sqlx::query_scalar(is_pending).bind(&event);
            let is_pending: bool = is_pending.fetch_one(relayed.store.pool()).await.unwrap();
            let is_out = broker.0.ids().contains(&event);
            match known {
                Known::Kept => assert!(is_out && !is_pending),
                Known::Nothing => assert!(is_pending, "it was not noted yet"),
                Known::Unknown => assert!(is_out),
            }
            step(&store, &broker, &Stage::default()).await.unwrap();
            // The dropped statement continues by itself on the server.
            eventually("nothing is pending", DEADLINE, async || relayed.pending().await == 0).await;
            assert!(broker.0.ids().contains(&event), "it is lost");
        })
        .await;
        let sessions = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND starts_with(state, 'idle in transaction')";
        eventually("no session is in a transaction", DEADLINE, async || relayed.count(sessions).await == 0)
            .await;
    });
}

/// Returns the first copies of each key.
fn first_appearances(ids: &[String]) -> BTreeMap<&str, Vec<&str>> {
    let (mut seen, mut keys) = (std::collections::HashSet::new(), BTreeMap::<_, Vec<_>>::new());
    for id in ids.iter().filter(|id| seen.insert(*id)) {
        keys.entry(id.split_once('/').unwrap().0).or_default().push(id.as_str());
    }
    keys
}

#[test]
fn relays_dropped_at_any_await_publish_all_in_key_order() {
    const DROPS: usize = 60;
    block_on(async {
        let relayed = Relayed::fresh().await;
        let store = narrow(&relayed.database, 3).await;
        let log = Arc::new(Log::default());
        let relay = || {
            let (reader, to): (Arc<dyn OutboxReader>, Arc<dyn Publisher>) =
                (Arc::new(store.clone()), Arc::new(Far(Arc::clone(&log))));
            let relay = Relay::builder("shop").reader(reader).to(to).poll(Duration::from_millis(5));
            relay.lease(Duration::from_millis(100)).batch(NonZeroU32::new(7).unwrap()).build().unwrap()
        };
        let mut random = fastrand::Rng::with_seed(29);
        let mut written: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for number in 0..DROPS {
            for _ in 0..5 {
                let key = format!("k-{}", random.u8(0..4));
                let of_key = written.entry(key.clone()).or_default();
                of_key.push(format!("{key}/{}", of_key.len()));
                relayed.write(of_key.last().unwrap(), Some(&key)).await;
            }
            let moment = if number % 2 == 0 { Moment::Waiting } else { Moment::Answered };
            let run = given_up(relay().run(Shutdown::new()), random.u32(1..60), moment).await;
            assert!(run.is_none(), "the relay ended by itself");
            assert_pool_is_clean(&store).await;
            // Let its lease expire.
            let end = "UPDATE messagekit.relay_members SET until = now()";
            sqlx::query(end).execute(relayed.store.pool()).await.unwrap();
        }
        let shutdown = Shutdown::new();
        let running = tokio::spawn(relay().run(shutdown.clone()));
        eventually("everything is out", DEADLINE, async || relayed.pending().await == 0).await;
        let present = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1835758192
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        eventually("those that were dropped have no session", DEADLINE, async || {
            relayed.count(present).await <= 1
        })
        .await;
        shutdown.request();
        running.await.unwrap().unwrap();
        let ids = log.ids();
        let expected: BTreeMap<&str, Vec<&str>> = written
            .iter()
            .map(|(key, ids)| (key.as_str(), ids.iter().map(String::as_str).collect()))
            .collect();
        assert_eq!(first_appearances(&ids), expected);
    });
}
