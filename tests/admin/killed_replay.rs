//! A replay whose worker is killed.

use std::process::{Child, Command, Stdio};

use messagekit::operations::{EventFilter, Operator, ReplayIds, ReplayOrder, ReplayState, Replays};
use messagekit_postgres::PostgresStore;
use messagekit_testkit::{DEADLINE, block_on, eventually};
use messagekit_tests::Database;
use sqlx::Row;

use crate::stock;

const EVENTS: usize = 5_000;

fn worker(database: &Database) -> Child {
    let mut worker = Command::new(env!("CARGO_BIN_EXE_replayer"));
    worker.arg(database.url()).stdin(Stdio::null()).spawn().expect("the worker starts")
}

/// Returns the number of rows of each republication.
async fn copies(store: &PostgresStore) -> Vec<(i64, i64)> {
    let select = "SELECT copy::bigint, count(*) FROM messagekit.outbox_events GROUP BY copy ORDER BY copy";
    let rows = sqlx::query(select).fetch_all(store.pool()).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[test]
fn it_goes_on_where_it_stood_and_repeats_nothing() {
    block_on(async {
        let database = Database::fresh().await;
        let store = database.store().await;
        stock::events(&store, EVENTS).await;
        let order = ReplayOrder {
            filter: EventFilter::default(),
            ids: ReplayIds::Same,
            per_second: Some(1_000),
            count: None,
        };
        let job = store.order_replay(&order, &Operator::new("otto", "http")).await.unwrap();
        assert_eq!(job.events, EVENTS as u64);

        let mut first = worker(&database);
        eventually("some events went out", DEADLINE, async || {
            store.replay(job.id).await.unwrap().published > 0
        })
        .await;
        first.kill().unwrap();
        first.wait().unwrap();
        let stood = store.replay(job.id).await.unwrap();
        assert!(stood.published < EVENTS as u64 && stood.state == ReplayState::Running, "{stood:?}");
        assert_eq!(copies(&store).await, [(0, EVENTS as i64), (1, stood.published as i64)]);

        let mut second = worker(&database);
        eventually("the replay ends", DEADLINE, async || {
            let now = store.replay(job.id).await.unwrap();
            assert!(now.published >= stood.published);
            now.state == ReplayState::Done
        })
        .await;
        second.kill().unwrap();
        second.wait().unwrap();
        assert_eq!(store.replay(job.id).await.unwrap().published, EVENTS as u64);
        assert_eq!(copies(&store).await, [(0, EVENTS as i64), (1, EVENTS as i64)]);
    });
}
