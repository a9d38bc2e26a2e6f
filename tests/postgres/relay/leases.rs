//! Who may publish which slice.

use std::collections::BTreeMap;
use std::time::Duration;

use messagekit::ErrorKind;
use messagekit::relay::{OutboxReader, SHARDS, ShardLease, Wanted};
use messagekit_testkit::{DEADLINE, block_on, eventually};
use messagekit_tests::Database;

use super::outbox::{LEASE, Relayed, ids};

#[test]
fn one_relay_has_every_slice_and_two_share_them() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        let first = relayed.lease("r1").await;
        assert_eq!(
            first.held.iter().map(|lease| lease.shard).collect::<Vec<_>>(),
            (0..SHARDS).collect::<Vec<_>>()
        );
        assert_eq!(first.surplus, 0);
        assert_eq!(relayed.lease("r1").await, first, "a renewal changes no epoch");

        assert_eq!(relayed.lease("r2").await.held, [], "nobody is robbed");
        let first = relayed.lease("r1").await;
        assert_eq!((first.held.len(), first.surplus), (64, 32));
        relayed.store.hand_over("r1", &first.held[..32]).await.unwrap();
        let second = relayed.lease("r2").await;
        assert_eq!((second.held.len(), second.surplus), (32, 0));
        for (mine, theirs) in second.held.iter().zip(&first.held) {
            assert_eq!((mine.shard, mine.epoch), (theirs.shard, theirs.epoch + 1));
        }

        // It leaves for good.
        relayed.store.hand_over("r2", &[]).await.unwrap();
        let first = relayed.lease("r1").await;
        assert_eq!((first.held.len(), first.surplus), (64, 0));
    });
}

#[test]
fn slices_of_a_relay_that_died_are_taken_when_its_lease_ends() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        relayed.write("e-1", Some("k")).await;
        let before = relayed.store.lease("r1", Duration::from_millis(300)).await.unwrap();
        eventually("its lease ends", DEADLINE, async || relayed.lease("r2").await.held.len() == 64).await;
        let after = relayed.lease("r2").await;
        assert!(std::iter::zip(&before.held, &after.held).all(|(old, new)| old.epoch < new.epoch));

        let dead = relayed.read("r1", &before).await;
        assert_eq!((dead.rows.len(), dead.lost.len()), (0, 64), "it reads nothing any more");
        let woken = relayed.lease("r1").await;
        assert_eq!(woken.held, [], "and has nothing when it wakes");
        assert_eq!(ids(&relayed.read("r2", &after).await), ["e-1"]);
    });
}

#[test]
fn lease_that_has_ended_reads_nothing_also_when_nobody_else_came() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        relayed.write("e-1", Some("k")).await;
        let leases = relayed.store.lease("r1", Duration::from_millis(1)).await.unwrap();
        eventually("it ends", DEADLINE, async || relayed.read("r1", &leases).await.lost.len() == 64).await;
        let again = relayed.lease("r1").await;
        assert_eq!(again.held, leases.held, "nobody had them in between");
        assert_eq!(ids(&relayed.read("r1", &again).await), ["e-1"]);
    });
}

#[test]
fn slice_of_another_epoch_is_lost_and_the_others_are_read() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        for number in 0..50 {
            relayed.write(&format!("e-{number}"), Some(&format!("k-{number}"))).await;
        }
        let leases = relayed.lease("r1").await;
        let all = relayed.read("r1", &leases).await;
        let of = all.rows[0].shard;
        let wanted: Vec<Wanted> = leases
            .held
            .iter()
            .map(|lease| {
                let epoch = lease.epoch - i64::from(lease.shard == of);
                Wanted { lease: ShardLease { epoch, ..*lease }, above: i64::MIN }
            })
            .collect();
        let page = relayed.store.pending("r1", &wanted, &[], &[], 1_000).await.unwrap();
        assert_eq!(page.lost, [of]);
        let others: Vec<_> = all.rows.iter().filter(|row| row.shard != of).cloned().collect();
        assert_eq!(page.rows, others);
        let stranger = relayed.read("r2", &leases).await;
        assert_eq!((stranger.rows.len(), stranger.lost.len()), (0, 64));
    });
}

#[test]
fn many_that_come_at_once_share_each_slice_out_once() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        let tasks: Vec<_> = (0..8)
            .map(|number| {
                let store = relayed.store.clone();
                tokio::spawn(async move {
                    let name = format!("r{number}");
                    for _ in 0..20 {
                        let leases = store.lease(&name, LEASE).await.unwrap();
                        let surplus = &leases.held[..leases.surplus];
                        if !surplus.is_empty() {
                            store.hand_over(&name, surplus).await.unwrap();
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let mut owners = BTreeMap::new();
        for number in 0..8 {
            let name = format!("r{number}");
            let leases = relayed.lease(&name).await;
            for lease in &leases.held[leases.surplus..] {
                let other = owners.insert(lease.shard, name.clone());
                assert_eq!(other, None, "slice {} has two owners: {leases:?}", lease.shard);
            }
            if leases.surplus > 0 {
                relayed.store.hand_over(&name, &leases.held[..leases.surplus]).await.unwrap();
            }
        }
        for number in 0..8 {
            assert_eq!(relayed.lease(&format!("r{number}")).await.held.len(), 8);
        }
    });
}

#[test]
fn outbox_that_was_not_made_for_a_relay_says_so() {
    block_on(async {
        let database = Database::fresh().await;
        let error = database.store().await.lease("r1", LEASE).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Schema);
        assert!(error.to_string().contains("messagekit migrate --relay"), "{error}");
    });
}
