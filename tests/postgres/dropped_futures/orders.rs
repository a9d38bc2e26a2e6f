//! Writers: a row and its events are stored completely or not at all.

use std::collections::BTreeSet;
use std::time::Duration;

use messagekit::{Error, Outbox, Store};
use messagekit_postgres::PostgresStore;
use messagekit_testkit::block_on;

use super::{Known, Stage, assert_pool_is_clean, known, narrow, strike};
use crate::shop::{OrderPlaced, Shop, insert_bill, run};

const STAGES: [&str; 4] = ["begin", "row", "add_all", "commit"];
const EVENTS: i64 = 3;

/// Places an order as a service does.
async fn place(store: &PostgresStore, number: usize, stage: &Stage) -> Result<(), Error> {
    let (outbox, id) = (Outbox::new(store.clone(), "shop").unwrap(), format!("o-{number}"));
    let mut tx = store.begin().await?;
    stage.is(1);
    insert_bill(&mut tx, &id).await;
    stage.is(2);
    outbox.add_all(&mut tx, (0..EVENTS).map(|_| OrderPlaced::new(&id))).await?;
    stage.is(3);
    outbox.commit(tx).await
}

/// Requires that row and events of an order all exist or none does, as its caller knows.
async fn is_whole_or_not_there(store: &PostgresStore, number: usize, known: Known) -> bool {
    let count = "SELECT (SELECT count(*) FROM bills WHERE id = $1),
        (SELECT count(DISTINCT event_id) FROM messagekit.outbox_events WHERE aggregate_id = $1)";
    let count = sqlx::query_as(count).bind(format!("o-{number}"));
    let (rows, events): (i64, i64) = count.fetch_one(store.pool()).await.unwrap();
    assert_eq!(rows * EVENTS, events, "order {number} is there by half");
    match known {
        Known::Kept => assert_eq!(rows, 1, "order {number} is lost"),
        Known::Nothing => assert_eq!(rows, 0, "order {number} was given up before its commit"),
        Known::Unknown => assert!(rows <= 1, "order {number} is doubled"),
    }
    rows == 1
}

async fn shop() -> Shop {
    let shop = Shop::open().await;
    run(
        shop.store.pool(),
        "CREATE INDEX ON bills (id); CREATE INDEX ON messagekit.outbox_events (aggregate_id)",
    )
    .await;
    shop
}

/// Requires that the rows in the end are those of the earlier checks.
async fn assert_nothing_else_is_there(shop: &Shop, placed: &[usize]) {
    let ids: Vec<String> =
        sqlx::query_scalar("SELECT id FROM bills").fetch_all(shop.store.pool()).await.unwrap();
    let found: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
    assert_eq!(found.len(), ids.len(), "an order is there twice");
    let placed: Vec<String> = placed.iter().map(|number| format!("o-{number}")).collect();
    assert_eq!(found, placed.iter().map(String::as_str).collect());
    assert_eq!(shop.events().await, EVENTS * i64::try_from(ids.len()).unwrap());
}

#[test]
fn an_order_dropped_at_any_await_is_there_wholly_or_not_at_all() {
    block_on(async {
        let shop = shop().await;
        let store = narrow(&shop.database, 1).await;
        let placed = std::cell::RefCell::new(Vec::new());
        let place_one = async |number: &usize, stage: &Stage| place(&store, *number, stage).await;
        strike(
            &STAGES,
            async |number| number,
            place_one,
            async |number, known| {
                assert_pool_is_clean(&store).await;
                // The same task continues: nothing of the dropped order is kept with it.
                let next = number + 100_000;
                place(&store, next, &Stage::default()).await.unwrap();
                placed.borrow_mut().push(next);
                if is_whole_or_not_there(&store, number, known).await {
                    placed.borrow_mut().push(number);
                }
            },
        )
        .await;
        assert_nothing_else_is_there(&shop, &placed.into_inner()).await;
    });
}

#[test]
fn orders_that_time_out_are_there_wholly_or_not_at_all() {
    const TASKS: usize = 8;
    const ORDERS: usize = 60;
    /// The smallest number of orders of a task that are kept, and that are too slow.
    const OF_EACH: usize = 10;
    block_on(async {
        let shop = shop().await;
        let store = narrow(&shop.database, 3).await;
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let store = store.clone();
                tokio::spawn(async move {
                    let mut random = fastrand::Rng::with_seed(task as u64);
                    // Adapts to the machine: about every second order is too slow.
                    let mut longest = Duration::from_millis(4);
                    let (mut ended, mut kept) = (Vec::new(), 0);
                    for number in (task..).step_by(TASKS) {
                        if ended.len() >= ORDERS && (OF_EACH..=ended.len() - OF_EACH).contains(&kept) {
                            break;
                        }
                        assert!(ended.len() < 20 * ORDERS, "{kept} of {} orders were kept", ended.len());
                        let stage = Stage::default();
                        let limit = longest.mul_f64(random.f64());
                        let outcome = tokio::time::timeout(limit, place(&store, number, &stage)).await.ok();
                        longest = longest.mul_f64(if outcome.is_some() { 0.9 } else { 1.1 });
                        kept += usize::from(outcome.is_some());
                        ended.push((number, known(outcome, &stage, &STAGES)));
                    }
                    ended
                })
            })
            .collect();
        let mut ended = Vec::new();
        for task in tasks {
            ended.extend(task.await.unwrap());
        }
        // After this nothing is in flight any more.
        assert_pool_is_clean(&store).await;
        let mut placed = Vec::new();
        for (number, known) in ended {
            if is_whole_or_not_there(&store, number, known).await {
                placed.push(number);
            }
        }
        assert_nothing_else_is_there(&shop, &placed).await;
    });
}
