//! Which relay may publish which shard.

use std::collections::BTreeMap;
use std::time::Duration;

use messagekit::relay::{OutboxReader, SHARDS, ShardLease, ShardRead};

use super::RelayFixture;
use super::fixture::{LEASE, event, everything, ids, lease, read, write, write_key};
use crate::{DEADLINE, eventually};

/// One relay gets all shards. A second relay takes no held shard, and gets the ones that the first hands over.
pub async fn one_relay_has_every_shard_and_two_share_them<F: RelayFixture>(fixture: &F) {
    let (store, other) = (fixture.store(), fixture.second().await);
    let first = lease(&store, "r1").await;
    let shards: Vec<u16> = first.held.iter().map(|lease| lease.shard).collect();
    assert_eq!((shards, first.surplus), ((0..SHARDS).collect(), 0));
    assert_eq!(lease(&store, "r1").await, first, "a renewal changes no epoch");

    assert_eq!(lease(&other, "r2").await.held, [], "nobody is robbed");
    let first = lease(&store, "r1").await;
    assert_eq!((first.held.len(), first.surplus), (64, 32));
    store.hand_over("r1", &first.held[..32]).await.expect("shards can be handed over");
    let second = lease(&other, "r2").await;
    assert_eq!((second.held.len(), second.surplus), (32, 0));
    for (mine, theirs) in second.held.iter().zip(&first.held) {
        assert_eq!((mine.shard, mine.epoch), (theirs.shard, theirs.epoch + 1));
    }

    // The relay leaves for good.
    other.hand_over("r2", &[]).await.expect("a relay can leave");
    let first = lease(&store, "r1").await;
    assert_eq!((first.held.len(), first.surplus), (64, 0));
}

/// The shards of a crashed relay are free when its lease ends. A later call of that relay returns nothing.
pub async fn shards_of_a_crashed_relay_are_taken_when_its_lease_ends<F: RelayFixture>(fixture: &F) {
    let (store, other) = (fixture.store(), fixture.second().await);
    write_key(&store, "k", &["e-1"]).await;
    let before = store.lease("r1", Duration::from_millis(300)).await.expect("shards can be leased");
    eventually("its lease ends", DEADLINE, async || lease(&other, "r2").await.held.len() == 64).await;
    let after = lease(&other, "r2").await;
    assert!(std::iter::zip(&before.held, &after.held).all(|(old, new)| old.epoch < new.epoch));

    let dead = read(&store, "r1", &before).await;
    assert_eq!((dead.rows.len(), dead.lost.len()), (0, 64), "it reads nothing any more");
    assert_eq!(lease(&store, "r1").await.held, [], "and has nothing when it wakes");
    assert_eq!(ids(&read(&other, "r2", &after).await), ["e-1"]);
}

/// The end of a lease ends its rights.
pub async fn expired_lease_reads_nothing_even_without_another_relay<F: RelayFixture>(fixture: &F) {
    let store = fixture.store();
    write_key(&store, "k", &["e-1"]).await;
    let leases = store.lease("r1", Duration::from_millis(1)).await.expect("shards can be leased");
    eventually("it ends", DEADLINE, async || read(&store, "r1", &leases).await.lost.len() == 64).await;
    let again = lease(&store, "r1").await;
    assert_eq!(again.held, leases.held, "nobody had them in between");
    assert_eq!(ids(&read(&store, "r1", &again).await), ["e-1"]);
}

/// A shard under another epoch is reported as lost. The other shards are read.
pub async fn shard_of_another_epoch_is_lost_and_the_others_are_read<F: RelayFixture>(fixture: &F) {
    let store = fixture.store();
    let events: Vec<_> =
        (0..50).map(|n| event(super::TOPICS[0], &format!("e-{n}"), Some(&format!("k-{n}")))).collect();
    write(&store, &events).await;
    let leases = lease(&store, "r1").await;
    let all = read(&store, "r1", &leases).await;
    assert_eq!(all.rows.len(), 50);
    let of = all.rows[0].shard;
    let before =
        |lease: ShardLease| ShardLease { epoch: lease.epoch - i64::from(lease.shard == of), ..lease };
    let wanted: Vec<ShardRead> = everything(&leases)
        .into_iter()
        .map(|wanted| ShardRead { lease: before(wanted.lease), ..wanted })
        .collect();
    let page = store.pending("r1", &wanted, &[], &[], 1_000).await.expect("what is pending can be read");
    assert_eq!(page.lost, [of]);
    let others: Vec<_> = all.rows.iter().filter(|row| row.shard != of).cloned().collect();
    assert_eq!(page.rows, others);
    let stranger = read(&store, "r2", &leases).await;
    assert_eq!((stranger.rows.len(), stranger.lost.len()), (0, 64));
}

/// However relays join and leave at the same time, no shard has two owners. In the end each relay has its share.
pub async fn many_that_come_at_once_share_each_shard_out_once<F: RelayFixture>(fixture: &F) {
    let other = fixture.second().await;
    let relays = (0..8).map(|number| {
        let store = if number % 2 == 0 { fixture.store() } else { other.clone() };
        tokio::spawn(async move {
            let name = format!("r{number}");
            for _ in 0..20 {
                let leases = store.lease(&name, LEASE).await.expect("shards can be leased");
                let surplus = &leases.held[..leases.surplus];
                if !surplus.is_empty() {
                    store.hand_over(&name, surplus).await.expect("shards can be handed over");
                }
            }
        })
    });
    for relay in relays.collect::<Vec<_>>() {
        relay.await.expect("no relay panics");
    }
    let (store, mut owners) = (fixture.store(), BTreeMap::new());
    for number in 0..8 {
        let name = format!("r{number}");
        let leases = lease(&store, &name).await;
        for lease in &leases.held[leases.surplus..] {
            let other = owners.insert(lease.shard, name.clone());
            assert_eq!(other, None, "shard {} has two owners: {leases:?}", lease.shard);
        }
        if leases.surplus > 0 {
            let surplus = &leases.held[..leases.surplus];
            store.hand_over(&name, surplus).await.expect("shards can be handed over");
        }
    }
    for number in 0..8 {
        assert_eq!(lease(&store, &format!("r{number}")).await.held.len(), 8);
    }
}
