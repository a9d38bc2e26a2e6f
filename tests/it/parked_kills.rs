//! Processes killed while keys are blocked: a customer's orders are billed in order, through failures, kills and an operator.

use std::time::Duration;

use messagekit_tests::is_full;

use crate::shop::Shop;
use crate::worker::{Role, Worker};

/// More than are placed before the last kill, however fast the machine.
const ORDERS: u64 = 1_000_000;

#[test]
fn killed_while_keys_are_held_every_customer_is_billed_in_order() {
    let seed = std::env::var("MESSAGEKIT_SEED").map_or(7, |seed| seed.parse().expect("a seed is a number"));
    println!("MESSAGEKIT_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let shop = Shop::new();
    let roles = [Role::Orders { count: ORDERS, seed }, Role::Parking, Role::Operator];
    let mut workers = roles.map(|role| shop.start(role));
    workers.iter().for_each(Worker::until_ready);

    let wanted = if is_full() { 150 } else { 12 };
    let (mut kills, mut crash_count_of, mut idle) = (0, [0; 3], 0);
    // More kills if a worker was not killed at work yet.
    while kills < wanted || crash_count_of.contains(&0) {
        // The kill comes at a moment that nothing in the workers decides.
        std::thread::sleep(Duration::from_millis(random.u64(5..150)));
        let index = random.usize(..workers.len());
        let victim = &mut workers[index];
        let role = victim.role();
        assert!(victim.is_alive(), "{role:?} has ended by itself");
        victim.kill();
        // Only kills while orders wait behind a failed message count.
        if shop.look().waiting() > 0 {
            kills += 1;
            crash_count_of[index] += 1;
        } else {
            idle += 1;
            assert!(idle < 50 * wanted, "no key was held: {kills} kills in {idle} moments");
        }
        // Otherwise the lease of a failed message whose process crashed blocks its key for minutes.
        if role == Role::Parking {
            shop.end_leases();
        }
        *victim = shop.start(role);
        victim.until_ready();
    }
    workers.into_iter().for_each(Worker::finish);
    let statistics = shop.heal_and_compare_in_order();
    println!("{kills} kills while keys were held, of each worker {crash_count_of:?}; {idle} moments without");
    assert!(statistics.dead > 0 && statistics.resolved > 0, "{statistics:?}");
}
