//! Events that a broker refused, events that wait behind them, and actions of operators.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use messagekit::operations::Operator;
use messagekit::relay::{OutboxReader, Pending, RejectedEvents, Rejection};
use messagekit::{Error, ErrorKind};
use messagekit_testkit::block_on;

use super::outbox::{Relayed, id, in_order};

fn ann() -> Operator {
    Operator::new("ann", "cli")
}

/// A relay that holds every shard, and its operations on events.
struct Console {
    relayed: Relayed,
}

impl Console {
    async fn open() -> Self {
        Self { relayed: Relayed::fresh().await }
    }

    async fn rows(&self) -> Vec<Pending> {
        let leases = self.relayed.lease("r1").await;
        self.relayed.read("r1", &leases).await.rows
    }

    async fn waiting(&self) -> Vec<String> {
        let leases = self.relayed.lease("r1").await;
        let page = self.relayed.read("r1", &leases).await;
        in_order(&page).into_iter().map(str::to_owned).collect()
    }

    async fn rejection(&self, of: &str, error: Option<&'static str>) -> Rejection {
        let rows = self.rows().await;
        let row = rows.iter().find(|row| id(row) == of).expect("it is pending");
        let leases = self.relayed.lease("r1").await;
        let lease = *leases.held.iter().find(|lease| lease.shard == row.shard).unwrap();
        Rejection {
            lease,
            entry: row.entry(),
            error: error.map(|text| Error::new(ErrorKind::TooLarge, text)),
        }
    }

    async fn set_aside(&self, of: &str, error: Option<&'static str>) -> u64 {
        let rejection = self.rejection(of, error).await;
        self.relayed.store.set_aside("r1", &rejection).await.unwrap()
    }

    async fn id_of(&self, event: &str) -> i64 {
        let sql = format!("SELECT id FROM messagekit.outbox_rejected WHERE event_id = '{event}'");
        self.relayed.count(&sql).await
    }
}

#[test]
fn retry_restores_a_whole_key_in_order_and_rereads_its_shard() {
    block_on(async {
        let console = Console::open().await;
        for id in ["a-1", "a-2", "a-3"] {
            console.relayed.write(id, Some("a")).await;
        }
        console.set_aside("a-1", Some("too large")).await;
        let before = console.relayed.lease("r1").await;
        // Any event of the key identifies the key.
        let waits = console.id_of("a-3").await;
        assert_eq!(console.relayed.store.retry_rejected(waits, &ann()).await.unwrap(), 3);
        let page = console.relayed.read("r1", &before).await;
        assert_eq!((page.rows.len(), page.lost.len()), (0, 1), "a place above them would skip them");
        assert_eq!(console.waiting().await, ["a-1", "a-2", "a-3"]);
        assert!(console.rows().await.iter().all(|row| !row.held));

        console.set_aside("a-1", Some("still too large")).await;
        let again = console.relayed.store.rejected(0, 10, false).await.unwrap();
        assert_eq!((again[0].attempts, again[0].error.as_deref()), (2, Some("still too large")));
        let audit =
            "SELECT count(*) FROM messagekit.admin_audit WHERE operator = 'ann' AND act = 'retry-rejected'
            AND subject = 'a-3' AND done = 3";
        assert_eq!(console.relayed.count(audit).await, 1);
        let missing = console.relayed.store.retry_rejected(waits, &ann()).await.unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
    });
}

/// An operator restores the key repeatedly while a relay reads it, sets it aside, and sets aside the events that it found held.
/// No event is lost, doubled or read out of order.
#[test]
fn operator_and_relay_moving_one_key_at_once_lose_nothing() {
    block_on(async {
        let console = Arc::new(Console::open().await);
        const EVENTS: i64 = 12;
        for number in 0..EVENTS {
            console.relayed.write(&format!("a-{number:02}"), Some("a")).await;
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let operator = tokio::spawn({
            let (console, is_over) = (Arc::clone(&console), Arc::clone(&is_over));
            async move {
                let mut back = 0;
                while !is_over.load(Ordering::Relaxed) {
                    for event in console.relayed.store.rejected(0, 1, true).await.unwrap() {
                        match console.relayed.store.retry_rejected(event.id, &ann()).await {
                            Ok(count) => back += count,
                            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error}"),
                        }
                    }
                }
                back
            }
        });
        for round in 0..60 {
            let leases = console.relayed.lease("r1").await;
            let page = console.relayed.read("r1", &leases).await;
            let found = in_order(&page);
            assert!(found.is_sorted(), "{found:?}");
            let free: Vec<_> = page.rows.iter().filter(|row| !row.held).collect();
            assert!(
                free.is_empty() || id(free[0]) == "a-00",
                "an event has passed the first of its key: {found:?}"
            );
            let Some(row) = page.rows.get(round % 3) else { continue };
            let lease = *leases.held.iter().find(|lease| lease.shard == row.shard).unwrap();
            let error = (!row.held).then(|| Error::new(ErrorKind::TooLarge, "too large"));
            let rejection = Rejection { lease, entry: row.entry(), error };
            console.relayed.store.set_aside("r1", &rejection).await.unwrap();
            let all = "SELECT count(*) FROM (SELECT seq FROM messagekit.outbox_pending UNION SELECT seq FROM messagekit.outbox_rejected) b";
            assert_eq!(console.relayed.count(all).await, EVENTS);
            let both = "SELECT (SELECT count(*) FROM messagekit.outbox_pending) + (SELECT count(*) FROM messagekit.outbox_rejected)";
            assert_eq!(console.relayed.count(both).await, EVENTS);
        }
        is_over.store(true, Ordering::Relaxed);
        assert!(operator.await.unwrap() > 0, "the operator did something");
    });
}
