//! Statements that a connection plans once: those of a message that comes alone.

use std::sync::Arc;

use messagekit::adapter::{ClaimRequest, Markers, NextOffset, Positions};
use messagekit::{Claim, MessageId, Outbox, Store};
use messagekit_postgres::PostgresStore;
use messagekit_testkit::block_on;
use messagekit_tests::Database;

use crate::shop::OrderPlaced;

/// The server plans a statement five times before it considers a kept plan.
const RUNS: i32 = 12;

fn request(generation: i32) -> ClaimRequest {
    let id = MessageId::new();
    ClaimRequest {
        key: Some(id.as_str().to_owned().into()),
        id,
        topic: Arc::from("orders.order"),
        generation,
    }
}

#[test]
fn one_message_alone_is_not_planned_for_each_time() {
    block_on(plans_are_kept(""));
}

/// The server then knows that the tables are empty, and takes a plan for given values to be cheaper.
#[test]
fn analyzed_empty_tables_do_not_bring_planning_back() {
    block_on(plans_are_kept("ANALYZE"));
}

async fn plans_are_kept(before: &'static str) {
    let database = Database::fresh().await;
    let store = PostgresStore::options().max_connections(1).connect(database.url()).await.unwrap();
    sqlx::raw_sql(before).execute(store.pool()).await.unwrap();
    let outbox = Outbox::new(store.clone(), "shop").unwrap();
    for run in 0..RUNS {
        let mut tx = store.begin().await.unwrap();
        outbox.add(&mut tx, OrderPlaced::new("o-1")).await.unwrap();
        outbox.add_all(&mut tx, [OrderPlaced::new("o-2"), OrderPlaced::new("o-3")]).await.unwrap();
        let (first, other, bare, ranged) =
            (request(0), request(0), ClaimRequest { key: None, ..request(0) }, request(1));
        for (requests, answers) in [
            (vec![first.clone()], vec![Claim::Fresh]),
            (vec![first.clone()], vec![Claim::Done]),
            (vec![first.clone(), other], vec![Claim::Done, Claim::Fresh]),
            (vec![bare], vec![Claim::Fresh]),
            (vec![ranged], vec![Claim::Fresh]),
        ] {
            assert_eq!(store.claim(&mut tx, "billing", &requests).await.unwrap(), answers);
        }
        let next = NextOffset { topic: first.topic.clone(), partition: 0, key_lane: 0, next: run.into() };
        store.advance(&mut tx, "billing", &[next]).await.unwrap();
        store.commit(tx).await.unwrap();
    }

    let often = "SELECT count(*), count(*) FILTER (WHERE generic_plans = 0),
            string_agg(statement, ';' ORDER BY statement) FILTER (WHERE generic_plans = 0)
          FROM pg_prepared_statements WHERE generic_plans + custom_plans >= $1";
    let asked = sqlx::query_as(often).bind(RUNS).fetch_one(store.pool());
    let (asked, planned, which): (i64, i64, Option<String>) = asked.await.unwrap();
    assert_eq!(asked, 8, "two ways to write, three to claim, two to look, and one to advance");
    assert_eq!(planned, 0, "planned each time: {}", which.unwrap_or_default());
}
