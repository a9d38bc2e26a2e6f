//! Two processes of one consumer: one works, the other takes over when it is gone.

use std::time::Duration;

use crate::shop::Shop;
use crate::time::wait_until;
use crate::worker::{Role, Worker};

/// The kernel frees the name at once, and the other one checks ten times a second. The rest is for a busy machine.
const TAKEOVER: Duration = Duration::from_secs(120);
/// More than are placed in a test, however fast the machine.
const ORDERS: u64 = 1_000_000;

/// Returns how many records billing has read.
fn passed(shop: &Shop) -> i64 {
    shop.look().number(
        "SELECT coalesce(sum(next), 0) FROM messagekit_consumer_cursors
         WHERE consumer_id = (SELECT id FROM messagekit_consumers WHERE name = 'billing')",
    )
}

/// Replaces the active process repeatedly while orders arrive, and checks which one continues.
fn takes_over(end: impl Fn(Worker)) {
    let shop = Shop::new();
    let mut active = shop.start(Role::Billing);
    active.until_ready();
    let orders = shop.start(Role::Orders { count: ORDERS, seed: 11 });
    wait_until("the first process works", TAKEOVER, || passed(&shop) > 0);
    for round in 0..5 {
        let standby = shop.start(Role::Billing);
        standby.until_ready();
        end(active);
        let at_its_end = passed(&shop);
        wait_until(&format!("the standby of round {round} works"), TAKEOVER, || passed(&shop) > at_its_end);
        active = standby;
    }
    wait_until("there is something to bill", TAKEOVER, || shop.book.next_number() > 200);
    orders.finish();
    active.finish();
    let statistics = shop.heal_and_compare();
    assert!(statistics.billed > 100, "{statistics:?}");
}

#[test]
fn a_standby_takes_over_when_the_active_process_is_killed() {
    takes_over(|mut active| {
        assert!(active.is_alive(), "it has ended by itself");
        active.kill();
    });
}

#[test]
fn a_standby_takes_over_when_the_active_process_ends() {
    takes_over(Worker::finish);
}

#[test]
fn a_standby_comes_and_goes_without_disturbing_the_other() {
    let shop = Shop::new();
    let active = shop.start(Role::Billing);
    active.until_ready();
    shop.start(Role::Orders { count: 50, seed: 12 }).until_done();
    wait_until("the first process has billed", TAKEOVER, || {
        shop.look().behind("billing", "orders.order") == 0
    });

    // It may stand by and stop again without effect on the other one.
    let standby = shop.start(Role::Billing);
    standby.until_ready();
    shop.start(Role::Orders { count: 200, seed: 13 }).until_done();
    standby.finish();
    shop.start(Role::Orders { count: 50, seed: 14 }).until_done();
    wait_until("the first process goes on", TAKEOVER, || shop.look().behind("billing", "orders.order") == 0);
    active.finish();
    shop.heal_and_compare();
}
