//! Events that a broker refused, what waits behind them, and who mends them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use messagekit::relay::{OutboxReader, Pending, RejectedEvents, Rejection, ShardLease};
use messagekit::{Actor, Error, ErrorKind};
use messagekit_testkit::block_on;

use super::outbox::{Relayed, id, in_order};

fn ann() -> Actor {
    Actor::new("ann", "cli")
}

/// A relay of every slice, and what it does with events.
struct Desk {
    relayed: Relayed,
}

impl Desk {
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
        Rejection { lease, seq: row.seq, error: error.map(|text| Error::new(ErrorKind::TooLarge, text)) }
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
fn refused_event_takes_what_is_behind_it_in_its_key_and_nothing_else() {
    block_on(async {
        let desk = Desk::open().await;
        for (topic, id, key) in [
            ("orders.order", "a-1", Some("a")),
            ("orders.order", "a-2", Some("a")),
            ("orders.order", "b-1", Some("b")),
            ("orders.order", "a-3", Some("a")),
            ("stock.item", "a-4", Some("a")),
            ("orders.order", "n-1", None),
            ("orders.order", "n-2", None),
        ] {
            desk.relayed.write_to(topic, id, key).await;
        }
        assert_eq!(desk.set_aside("a-2", Some("too large")).await, 2);
        assert_eq!(desk.set_aside("n-1", Some("no such topic")).await, 1);
        assert_eq!(desk.waiting().await, ["a-1", "b-1", "a-4", "n-2"]);

        let refused = desk.relayed.store.rejected(0, 10, false).await.unwrap();
        let told: Vec<_> = refused
            .iter()
            .map(|event| (event.event_id.as_str(), event.key.as_deref(), event.attempts, event.behind))
            .collect();
        assert_eq!(told, [("a-2", Some("a"), 1, 1), ("n-1", None, 1, 0)]);
        assert_eq!(refused[0].error.as_deref(), Some("too large"));
        assert_eq!((refused[0].payload_bytes, &*refused[0].topic), (2, "orders.order"));
        let all = desk.relayed.store.rejected(0, 10, true).await.unwrap();
        let told: Vec<_> = all.iter().map(|event| (event.event_id.as_str(), event.attempts)).collect();
        assert_eq!(told, [("a-2", 1), ("a-3", 0), ("n-1", 1)]);
        assert_eq!(desk.relayed.store.rejected(all[0].id, 1, true).await.unwrap(), all[1..2]);
    });
}

#[test]
fn later_event_of_a_refused_key_is_held_and_set_aside_behind_it() {
    block_on(async {
        let desk = Desk::open().await;
        desk.relayed.write("a-1", Some("a")).await;
        assert_eq!(desk.set_aside("a-1", Some("too large")).await, 1);
        for (topic, id) in [("orders.order", "a-2"), ("stock.item", "s-1"), ("orders.order", "a-3")] {
            desk.relayed.write_to(topic, id, Some("a")).await;
        }
        let held: Vec<_> =
            desk.rows().await.iter().filter(|row| row.held).map(|row| id(row).to_owned()).collect();
        assert_eq!(held, ["a-2", "a-3"]);
        assert_eq!(desk.set_aside("a-2", None).await, 2);
        assert_eq!(desk.set_aside("s-1", None).await, 0, "nothing stands before it");
        assert_eq!(desk.waiting().await, ["s-1"]);
    });
}

#[test]
fn whoever_lost_the_slice_sets_nothing_aside() {
    block_on(async {
        let desk = Desk::open().await;
        desk.relayed.write("a-1", Some("a")).await;
        let rejection = desk.rejection("a-1", Some("too large")).await;
        let set_aside = async |name: &str, epoch| {
            let lease = ShardLease { epoch, ..rejection.lease };
            let rejection = Rejection { lease, ..rejection.clone() };
            desk.relayed.store.set_aside(name, &rejection).await.unwrap()
        };
        assert_eq!(set_aside("r1", rejection.lease.epoch - 1).await, 0);
        assert_eq!(set_aside("r2", rejection.lease.epoch).await, 0);
        desk.relayed.store.hand_over("r1", &[rejection.lease]).await.unwrap();
        assert_eq!(set_aside("r1", rejection.lease.epoch).await, 0);
        assert_eq!(desk.waiting().await, ["a-1"]);
        assert_eq!(desk.set_aside("a-1", Some("too large")).await, 1);
        assert_eq!(set_aside("r1", rejection.lease.epoch + 1).await, 0, "it is set aside already");
    });
}

#[test]
fn retry_puts_the_whole_key_back_in_order_and_the_slice_begins_again() {
    block_on(async {
        let desk = Desk::open().await;
        for id in ["a-1", "a-2", "a-3"] {
            desk.relayed.write(id, Some("a")).await;
        }
        desk.set_aside("a-1", Some("too large")).await;
        let before = desk.relayed.lease("r1").await;
        // Any of the key's events names the key.
        let waits = desk.id_of("a-3").await;
        assert_eq!(desk.relayed.store.retry_rejected(waits, &ann()).await.unwrap(), 3);
        let page = desk.relayed.read("r1", &before).await;
        assert_eq!((page.rows.len(), page.lost.len()), (0, 1), "a place above them would skip them");
        assert_eq!(desk.waiting().await, ["a-1", "a-2", "a-3"]);
        assert!(desk.rows().await.iter().all(|row| !row.held));

        desk.set_aside("a-1", Some("still too large")).await;
        let again = desk.relayed.store.rejected(0, 10, false).await.unwrap();
        assert_eq!((again[0].attempts, again[0].error.as_deref()), (2, Some("still too large")));
        let audit =
            "SELECT count(*) FROM messagekit.admin_audit WHERE actor = 'ann' AND act = 'retry-rejected'
            AND subject = 'a-3' AND done = 3";
        assert_eq!(desk.relayed.count(audit).await, 1);
        let missing = desk.relayed.store.retry_rejected(waits, &ann()).await.unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
    });
}

#[test]
fn discarded_event_is_gone_and_lets_go_what_waits_for_it_alone() {
    block_on(async {
        let desk = Desk::open().await;
        for id in ["a-1", "a-2", "a-3", "a-4"] {
            desk.relayed.write(id, Some("a")).await;
        }
        // As after a relay that was frozen: two of one key.
        desk.set_aside("a-3", Some("too large")).await;
        desk.set_aside("a-1", Some("too large")).await;
        let (first, waits) = (desk.id_of("a-1").await, desk.id_of("a-4").await);
        let refused = desk.relayed.store.discard_rejected(waits, &ann()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::WrongState);
        assert_eq!(desk.relayed.store.discard_rejected(first, &ann()).await.unwrap(), 1);
        assert_eq!(desk.waiting().await, ["a-2"]);
        let third = desk.id_of("a-3").await;
        assert_eq!(desk.relayed.store.discard_rejected(third, &ann()).await.unwrap(), 1);
        assert_eq!(desk.waiting().await, ["a-2", "a-4"]);
        assert_eq!(desk.relayed.store.rejected(0, 10, true).await.unwrap(), []);
        let gone = desk.relayed.store.discard_rejected(third, &ann()).await.unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::NotFound);
    });
}

/// The operator puts the key back again and again while a relay reads it, sets it aside, and sets aside what it found held:
/// nothing vanishes, nothing is there twice, and nothing is read out of order.
#[test]
fn operator_and_relay_move_the_same_key_at_once_and_lose_nothing() {
    block_on(async {
        let desk = Arc::new(Desk::open().await);
        const EVENTS: i64 = 12;
        for number in 0..EVENTS {
            desk.relayed.write(&format!("a-{number:02}"), Some("a")).await;
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let operator = tokio::spawn({
            let (desk, is_over) = (Arc::clone(&desk), Arc::clone(&is_over));
            async move {
                let mut back = 0;
                while !is_over.load(Ordering::Relaxed) {
                    for event in desk.relayed.store.rejected(0, 1, true).await.unwrap() {
                        match desk.relayed.store.retry_rejected(event.id, &ann()).await {
                            Ok(count) => back += count,
                            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error}"),
                        }
                    }
                }
                back
            }
        });
        for round in 0..60 {
            let leases = desk.relayed.lease("r1").await;
            let page = desk.relayed.read("r1", &leases).await;
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
            let rejection = Rejection { lease, seq: row.seq, error };
            desk.relayed.store.set_aside("r1", &rejection).await.unwrap();
            let all = "SELECT count(*) FROM (SELECT seq FROM messagekit.outbox_pending UNION SELECT seq FROM messagekit.outbox_rejected) b";
            assert_eq!(desk.relayed.count(all).await, EVENTS);
            let both = "SELECT (SELECT count(*) FROM messagekit.outbox_pending) + (SELECT count(*) FROM messagekit.outbox_rejected)";
            assert_eq!(desk.relayed.count(both).await, EVENTS);
        }
        is_over.store(true, Ordering::Relaxed);
        assert!(operator.await.unwrap() > 0, "the operator did something");
    });
}
