//! A lost slot with unread events, and their publication afterwards.

use std::sync::Arc;

use messagekit::operations::{EventFilter, Operator, ReplayIds, ReplayOrder, Replays};
use messagekit::{Outbox, Shutdown};
use messagekit_postgres::SchemaName;
use messagekit_postgres::cdc::{self, Capture};
use messagekit_postgres::publishing_mode::{Existing, to_relay};
use messagekit_testkit::{DEADLINE, block_on, eventually};
use messagekit_tests::Database;

use super::outbox::{LEASE, Log, Relayed, relay};
use super::switch::{password, read_slot};
use crate::whole_lag::whole_lag;

/// An outbox whose slot was lost: `before` was published, `gap` was written and never read.
struct Lost {
    relayed: Relayed,
    slot: String,
}

const GAP: [&str; 4] = ["gap-1", "gap-2", "gap-3", "gap-4"];

impl Lost {
    async fn new() -> Self {
        let database = Database::fresh().await;
        let schema = SchemaName::default();
        cdc::set_up(database.url(), &schema, Some(&password())).await.unwrap();
        let slot = Capture::of(database.url(), &schema).unwrap().slot;
        let store = database.store().await;
        let relayed = Relayed { outbox: Outbox::new(store.clone(), "shop").unwrap(), store, database };
        relayed.write("before", Some("k")).await;
        assert_eq!(read_slot(relayed.store.pool(), &slot).await, ["before"]);
        for id in &GAP[..2] {
            relayed.write(id, Some("k")).await;
        }
        let drop = "SELECT pg_drop_replication_slot($1)";
        sqlx::query(drop).bind(&slot).execute(relayed.store.pool()).await.unwrap();
        for id in &GAP[2..] {
            relayed.write(id, Some("k")).await;
        }
        let lag = whole_lag(&relayed.store).await;
        assert!(lag.problems.iter().any(|problem| problem.contains("is missing")), "{lag:?}");
        Self { relayed, slot }
    }
}

/// A new slot holds nothing that was written before it.
#[test]
fn replay_fills_the_gap_of_a_lost_slot_in_order_with_same_ids() {
    block_on(async {
        let Lost { relayed, slot } = Lost::new().await;
        let (url, store) = (relayed.database.url(), &relayed.store);
        cdc::drop_slot(url, &SchemaName::default()).await.unwrap();
        cdc::set_up(url, &SchemaName::default(), Some(&password())).await.unwrap();
        relayed.write("after", Some("k")).await;
        assert_eq!(read_slot(store.pool(), &slot).await, ["after"], "the gap stays in the outbox");

        // From the first event on whose outcome is unknown.
        let written = "SELECT (extract(epoch FROM created_at) * 1000000)::bigint FROM messagekit.outbox_events WHERE event_id = 'gap-1'";
        let from = jiff::Timestamp::from_microsecond(relayed.count(written).await).unwrap();
        let filter = EventFilter { from: Some(from), ..EventFilter::default() };
        let order = ReplayOrder { filter, ids: ReplayIds::Same, per_second: None, count: None };
        store.order_replay(&order, &Operator::new("ann", "cli")).await.unwrap();
        let (lease, _) = store.lease_replay(LEASE).await.unwrap().expect("a replay is running");
        store.replay_step(lease, 100, LEASE, &|_| panic!("events keep their ids")).await.unwrap();
        let again = read_slot(store.pool(), &slot).await;
        assert_eq!(again, [&GAP[..], &["after"]].concat(), "a copy of what came later is a duplicate");
        cdc::drop_slot(url, &SchemaName::default()).await.unwrap();
    });
}

/// It is unknown which of them are published, so an operator must confirm that all of them will be.
#[test]
fn events_missed_by_a_lost_slot_are_published_by_the_relay() {
    block_on(async {
        let Lost { relayed, .. } = Lost::new().await;
        let (url, schema) = (relayed.database.url(), SchemaName::default());
        let refused = to_relay(url, &schema, Existing::Refuse, DEADLINE).await.unwrap_err();
        assert!(refused.to_string().contains("there is no slot"), "{refused}");
        to_relay(url, &schema, Existing::Publish, DEADLINE).await.unwrap();
        relayed.write("after", Some("k")).await;
        let (log, shutdown) = (Arc::new(Log::default()), Shutdown::new());
        let running = tokio::spawn(relay(&relayed.store, &log).unwrap().run(shutdown.clone()));
        eventually("everything has left", DEADLINE, async || relayed.pending().await == 0).await;
        shutdown.request();
        running.await.unwrap().unwrap();
        assert_eq!(log.ids(), [&["before"], &GAP[..], &["after"]].concat());
    });
}
