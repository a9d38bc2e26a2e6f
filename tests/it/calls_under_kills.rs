//! Processes killed around the calls of handlers in two phases: each order is billed once, and a call is made at most once more
//! for each kill.

use std::time::Duration;

use messagekit_tests::is_full;

use crate::book::{Kind, Outcome};
use crate::shop::Shop;
use crate::worker::{Role, Worker};

/// More than are placed before the last kill, however fast the machine.
const MANY: u64 = 1_000_000;

/// Returns how often a bill of this kind is run when nothing is killed.
fn runs_of(kind: Kind) -> u32 {
    match kind {
        Kind::Placed => 1,
        // Its effects fail in the first run, and a run begins with its call.
        Kind::Shaky => 2,
        Kind::Spoiled => 0,
    }
}

/// Where a process ends: before its transaction, in it, around its commit, and the same in a retry.
const AT: [&str; 9] = [
    "consumer.called:30",
    "consumer.claimed:3",
    "consumer.handled:30",
    "consumer.advanced:2",
    "store.before_commit:8",
    "consumer.committed:3",
    "retry.called:2",
    "retry.handled:2",
    "retry.resolved:2",
];

/// Requires that each order that is billed was paid, and returns how many calls were made more than runs. `kills` processes
/// that make calls were killed.
fn calls_beyond_runs(shop: &Shop, kills: u32) -> u32 {
    let (calls, orders) = (shop.calls(), shop.book.orders());
    let mut beyond = 0;
    for (number, order) in &orders {
        let made = calls.get(number).copied().unwrap_or_default();
        let runs = runs_of(order.kind);
        match order.outcome {
            Outcome::Committed => {
                assert!((runs..=runs + kills).contains(&made), "{number}: {made} calls, {order:?}");
            }
            Outcome::RolledBack => assert_eq!(made, 0, "{number}: {order:?}"),
            Outcome::Unknown => assert!(made <= runs + kills, "{number}: {made} calls, {order:?}"),
        }
        beyond += made.saturating_sub(runs);
    }
    assert!(calls.keys().all(|number| orders.contains_key(number)), "no call without an order");
    beyond
}

fn has_repeated_a_call(shop: &Shop) -> bool {
    let orders = shop.book.orders();
    let is_repeated =
        |(number, made): (i64, u32)| orders.get(&number).is_some_and(|order| made > runs_of(order.kind));
    shop.calls().into_iter().any(is_repeated)
}

#[test]
fn a_process_that_dies_repeats_a_call_at_most_once() {
    for at in AT {
        let shop = Shop::new();
        shop.crash_among_orders(Role::Calling, at);
        let statistics = shop.heal_and_compare_with_calls();
        assert!(statistics.billed > 50 && statistics.dead > 0, "{statistics:?}");
        let beyond = calls_beyond_runs(&shop, 1);
        println!("{at}: {beyond} calls were made again");
        // Elsewhere it may have been a transaction without a call.
        if at.contains(".called") {
            assert!(beyond > 0, "{at}: its call was made again");
        }
    }
}

#[test]
fn killed_around_calls_every_order_is_billed_once() {
    let seed = std::env::var("MESSAGEKIT_SEED").map_or(9, |seed| seed.parse().expect("a seed is a number"));
    println!("MESSAGEKIT_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let shop = Shop::new();
    let roles = [Role::Orders { count: MANY, seed }, Role::Calling, Role::Calling];
    let mut workers = roles.map(|role| shop.start(role));
    workers.iter().for_each(Worker::until_ready);

    let wanted = if is_full() { 200 } else { 12 };
    let (mut kills, mut idle) = (0, 0);
    // More kills if none of them has met a call yet: one of the two workers may only stand by.
    while kills < wanted || !has_repeated_a_call(&shop) {
        assert!(kills < 20 * wanted, "{kills} kills have met no call");
        // The kill comes at a moment that nothing in the workers decides.
        std::thread::sleep(Duration::from_millis(random.u64(5..150)));
        let index = random.usize(1..workers.len());
        let victim = &mut workers[index];
        assert!(victim.is_alive(), "billing has ended by itself");
        victim.kill();
        // Only kills while there is work count.
        if shop.look().behind("billing", "orders.order") > 0 {
            kills += 1;
        } else {
            idle += 1;
            assert!(idle < 50 * wanted, "there was no work: {kills} kills in {idle} moments");
        }
        shop.end_leases();
        *victim = shop.start(Role::Calling);
        victim.until_ready();
    }
    workers.into_iter().for_each(Worker::finish);
    let statistics = shop.heal_and_compare_with_calls();
    let beyond = calls_beyond_runs(&shop, kills + idle);
    println!("{kills} kills, {idle} without work; {beyond} of {} calls were made again", shop.calls().len());
    assert!(beyond > 0 && statistics.billed > 50, "a kill met a call: {statistics:?}");
}
