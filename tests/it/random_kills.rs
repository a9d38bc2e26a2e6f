//! Processes killed at random moments, while others work on the same file.

use std::time::Duration;

use messagekit_sqlite::migrations::MIGRATIONS;
use messagekit_tests::is_full;

use crate::book::Outcome;
use crate::shop::Shop;
use crate::time::wait_until;
use crate::worker::{Role, Worker};

/// More than are placed before the last kill, however fast the machine.
const ORDERS: u64 = 1_000_000;
/// This number contains enough orders that are rolled back, and enough failed messages.
const ENOUGH: i64 = 1_000;
/// Returns the number of tables: the shop's, those of every migration step, and the one with its version.
fn all_tables() -> i64 {
    let of_step = |sql: &str| sql.matches("CREATE TABLE ").count() - sql.matches("DROP TABLE ").count();
    5 + MIGRATIONS.iter().map(|step| of_step(step.sql)).sum::<usize>() as i64 + 1
}

/// Returns the number of orders with an unknown outcome. It is exact while no order service runs.
fn unknown(shop: &Shop) -> usize {
    shop.book.orders().values().filter(|order| order.outcome == Outcome::Unknown).count()
}

/// Returns whether a worker of this role has work left.
fn is_unfinished(shop: &Shop, role: Role) -> bool {
    let view = shop.look();
    match role {
        // It never reaches the end of its orders.
        Role::Orders { .. } => true,
        Role::Billing | Role::Calling | Role::DeadlyBilling { .. } => {
            view.behind("billing", "orders.order") > 0 || view.failed_messages_to_run() > 0
        }
        Role::Printing => view.behind("printing", "billing.bill") > 0,
        Role::Parking | Role::Operator => view.waiting() > 0,
        Role::Claiming | Role::Holding | Role::Migrating | Role::Piping { .. } => false,
    }
}

#[test]
fn random_kills_lose_and_double_nothing() {
    let seed = std::env::var("MESSAGEKIT_SEED").map_or(1, |seed| seed.parse().expect("a seed is a number"));
    println!("MESSAGEKIT_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let shop = Shop::new();
    // Two for billing: one works and the other stands by.
    let roles = [Role::Orders { count: ORDERS, seed }, Role::Billing, Role::Billing, Role::Printing];
    let mut workers = roles.map(|role| shop.start(role));
    workers.iter().for_each(Worker::until_ready);

    let wanted = if is_full() { 200 } else { 20 };
    let mut kills = 0;
    let mut kills_of = [0; 4];
    let (mut idle, mut met) = (0, 0);
    // More kills on a machine so fast or so slow that a worker was not killed at work yet, or no order in flight was hit.
    while kills < wanted || kills_of.contains(&0) || met == 0 {
        assert!(kills < 10 * wanted, "killed {kills_of:?}, met {met} orders in flight");
        // The kill comes at a moment that nothing in the workers decides.
        std::thread::sleep(Duration::from_micros(random.u64(10_000..250_000)));
        let index = random.usize(..workers.len());
        let victim = &mut workers[index];
        let role = victim.role();
        if !is_unfinished(&shop, role) {
            idle += 1;
            assert!(idle < 20 * wanted, "the workers have nothing to do: {kills} kills in {idle} moments");
            continue;
        }
        assert!(victim.is_alive(), "{role:?} has ended by itself");
        victim.kill();
        if matches!(role, Role::Orders { .. }) {
            met = unknown(&shop);
        }
        // Only kills that leave work unfinished count as interruptions.
        if is_unfinished(&shop, role) {
            kills += 1;
            kills_of[index] += 1;
        }
        *victim = shop.start(role);
        // Others are killed while they open the file.
        if random.bool() {
            victim.until_ready();
        }
    }
    wait_until("enough orders are tried", Duration::from_secs(600), || shop.book.next_number() >= ENOUGH);
    workers.into_iter().for_each(Worker::finish);
    let statistics = shop.heal_and_compare();
    println!("{} orders tried, {kills} kills with unfinished work, {idle} moments without", statistics.tried);
    println!("kills of each worker: {kills_of:?}");
    assert!(statistics.committed > 500 && statistics.rolled_back > 50, "{statistics:?}");
    assert!(statistics.dead > 20 && statistics.resolved > 20, "{statistics:?}");
    assert!(statistics.unknown > 0, "{statistics:?}");
}

#[test]
fn processes_killed_while_they_make_the_file_leave_it_usable() {
    let mut random = fastrand::Rng::with_seed(29);
    // Adapts to the machine: about every second file is incomplete.
    let mut longest = Duration::from_millis(12);
    let (mut rounds, mut unmade) = (0, 0);
    while rounds < 20 || unmade < 4 {
        rounds += 1;
        assert!(rounds <= 200, "only {unmade} of 200 were killed in time");
        let shop = Shop::new();
        let roles = [Role::Orders { count: 5, seed: 1 }, Role::Billing, Role::Printing];
        let mut workers = roles.map(|role| shop.start(role));
        std::thread::sleep(longest.mul_f64(random.f64()));
        let is_made = shop.file().exists() && shop.look().tables() == all_tables();
        for worker in &mut workers {
            worker.kill();
        }
        unmade += u32::from(!is_made);
        longest = longest.mul_f64(if is_made { 0.8 } else { 1.25 });
        shop.start(Role::Orders { count: 20, seed: 2 }).until_done();
        shop.heal_and_compare();
        assert_eq!(shop.look().tables(), all_tables());
    }
}
