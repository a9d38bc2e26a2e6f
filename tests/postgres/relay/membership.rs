//! The shards of a relay whose process is gone are taken at once, not when its lease has ended.

use std::time::Duration;

use messagekit::relay::OutboxReader;
use messagekit_postgres::PostgresStore;
use messagekit_testkit::{DEADLINE, block_on, eventually};
use sqlx::PgPool;

use super::outbox::{LEASE, Relayed};

/// Renews until the other relays can see its membership.
pub(super) async fn present(store: &PostgresStore, name: &str) {
    eventually("it is present", DEADLINE, async || {
        store.lease(name, LEASE).await.unwrap();
        let is_present = "SELECT is_present FROM messagekit.relay_members WHERE name = $1";
        sqlx::query_scalar(is_present).bind(name).fetch_one(store.pool()).await.unwrap()
    })
    .await;
}

async fn held(store: &PostgresStore, name: &str) -> usize {
    store.lease(name, LEASE).await.unwrap().held.len()
}

/// Ends the sessions that hold the lock of a relay of this database.
async fn cut(pool: &PgPool) -> i64 {
    let cut = "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_locks
        WHERE locktype = 'advisory' AND classid = 1835758192 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    sqlx::query_scalar(cut).fetch_one(pool).await.unwrap()
}

#[test]
fn a_relay_whose_process_is_gone_is_followed_at_once() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        let first = relayed.database.store().await;
        present(&first, "first").await;
        assert_eq!(held(&first, "first").await, 64);
        assert_eq!(held(&relayed.store, "second").await, 0, "it lives, and has handed nothing over");
        drop(first);
        eventually("the second one has everything", DEADLINE, async || {
            held(&relayed.store, "second").await == 64
        })
        .await;
    });
}

/// Such as one behind a pooler.
#[test]
fn relay_without_a_session_keeps_its_shards_during_its_lease() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        let older =
            "INSERT INTO messagekit.relay_members (name, until) VALUES ('older', now() + interval '600 s')";
        sqlx::query(older).execute(relayed.store.pool()).await.unwrap();
        sqlx::query("UPDATE messagekit.relay_shards SET owner = 'older'")
            .execute(relayed.store.pool())
            .await
            .unwrap();
        present(&relayed.store, "second").await;
        assert_eq!(held(&relayed.store, "second").await, 0);
        sqlx::query("UPDATE messagekit.relay_members SET until = now() WHERE name = 'older'")
            .execute(relayed.store.pool())
            .await
            .unwrap();
        assert_eq!(held(&relayed.store, "second").await, 64);
    });
}

#[test]
fn a_live_relay_taken_for_dead_regains_shards_in_a_new_epoch() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        let first = relayed.database.store().await;
        present(&first, "first").await;
        let before = first.lease("first", LEASE).await.unwrap();
        // A relay that is renewed takes a lost lock again at once.
        let mut taken = before.clone();
        eventually("the second one takes it for gone", DEADLINE, async || {
            cut(relayed.store.pool()).await;
            taken = relayed.store.lease("second", LEASE).await.unwrap();
            taken.held.len() == 64
        })
        .await;
        assert!(
            std::iter::zip(&before.held, &taken.held)
                .all(|(old, new)| old.shard == new.shard && new.epoch > old.epoch)
        );
        relayed.write("e-1", Some("k")).await;
        assert!(relayed.read("first", &before).await.rows.is_empty(), "it reads nothing any more");

        // Its row may still mark it as present, from before the loss of its lock.
        let mut surplus = taken;
        eventually("the first one counts again", DEADLINE, async || {
            first.lease("first", LEASE).await.unwrap();
            surplus = relayed.store.lease("second", LEASE).await.unwrap();
            surplus.surplus == 32
        })
        .await;
        relayed.store.hand_over("second", &surplus.held[..32]).await.unwrap();
        assert_eq!(held(&first, "first").await, 32);
    });
}

#[test]
fn a_relay_that_leaves_leaves_no_lock_behind() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        present(&relayed.store, "first").await;
        relayed.store.hand_over("first", &[]).await.unwrap();
        eventually("the lock is free", DEADLINE, async || cut(relayed.store.pool()).await == 0).await;
    });
}

/// A program may drop a relay and start another one for as long as it runs.
#[test]
fn dropped_relay_keeps_no_session_after_its_lease() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        let sessions = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1835758192
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        for name in ["first", "second", "third"] {
            eventually("it is present", DEADLINE, async || {
                relayed.store.lease(name, Duration::from_millis(100)).await.unwrap();
                let is_present = "SELECT is_present FROM messagekit.relay_members WHERE name = $1";
                sqlx::query_scalar(is_present).bind(name).fetch_one(relayed.store.pool()).await.unwrap()
            })
            .await;
        }
        present(&relayed.store, "last").await;
        eventually("the last one's is left", DEADLINE, async || {
            relayed.lease("last").await;
            relayed.count(sessions).await == 1
        })
        .await;
    });
}
