//! A process that crashes at each crash point, and the recovery by other processes.

use messagekit::crash::POINTS;

use crate::shop::Shop;
use crate::worker::Role;

/// Crashes a worker at a point while another one works beside it, and compares the file after healthy workers have run.
fn heals_after(role: Role, at: &str) {
    let shop = Shop::new();
    match role {
        Role::Orders { .. } => {
            let crashing = shop.that_crashes(role, at);
            let billing = shop.start(Role::Billing);
            crashing.until_crashed();
            billing.finish();
            // The service continues after the orders that it printed.
            shop.start(Role::Orders { count: 100, seed: 6 }).until_done();
        }
        _ => shop.crash_among_orders(role, at),
    }
    let statistics = shop.heal_and_compare();
    assert!(statistics.billed > 50 && statistics.dead > 0 && statistics.rolled_back > 0, "{statistics:?}");
}

/// Generates one test for each line. Every point must have a line.
macro_rules! points {
    ($($test:ident: $role:expr, $point:literal, $time:literal;)*) => {
        $(
            #[test]
            fn $test() {
                heals_after($role, concat!($point, ":", $time));
            }
        )*

        #[test]
        fn every_point_has_a_test() {
            let mut tested = vec![$($point),*];
            tested.dedup();
            // The shop has no broker, migrates no topic and primes nothing: their crash points are tested elsewhere.
            let has_tests_elsewhere = |point: &str| {
                ["relay.", "bridge.", "bookkeeper.", "migration.", "priming."].into_iter().any(|suite| point.starts_with(suite))
            };
            let points: Vec<&str> = POINTS.iter().copied().filter(|point| !has_tests_elsewhere(point)).collect();
            assert_eq!(tested, points);
        }
    };
}

points! {
    writer_dies_after_writing_the_event: Role::orders(), "outbox.written", 30;
    consumer_dies_after_writing_an_event: Role::Billing, "outbox.written", 30;
    writer_dies_before_its_commit: Role::orders(), "store.before_commit", 30;
    consumer_dies_before_its_commit: Role::Billing, "store.before_commit", 8;
    writer_dies_after_its_commit: Role::orders(), "store.committed", 30;
    consumer_dies_after_its_commit: Role::Billing, "store.committed", 8;
    consumer_dies_when_bound: Role::Billing, "consumer.bound", 1;
    consumer_dies_when_its_first_batch_is_noted: Role::Billing, "consumer.attempt_begun", 1;
    consumer_dies_after_a_call: Role::Calling, "consumer.called", 30;
    consumer_dies_after_the_claim: Role::Billing, "consumer.claimed", 3;
    consumer_dies_after_a_handler: Role::Billing, "consumer.handled", 30;
    consumer_dies_after_the_offsets: Role::Billing, "consumer.advanced", 3;
    consumer_dies_between_commit_and_settling: Role::Billing, "consumer.committed", 3;
    consumer_dies_after_settling: Role::Billing, "consumer.settled", 3;
    consumer_dies_while_setting_aside: Role::Billing, "set_aside.written", 3;
    consumer_dies_after_setting_aside: Role::Billing, "set_aside.committed", 3;
    consumer_dies_with_a_leased_failed_message: Role::Billing, "retry.leased", 3;
    consumer_dies_after_the_call_of_a_retry: Role::Calling, "retry.called", 2;
    consumer_dies_after_the_handler_of_a_retry: Role::Billing, "retry.handled", 3;
    consumer_dies_after_resolving_a_failed_message: Role::Billing, "retry.resolved", 3;
    consumer_dies_after_the_commit_of_a_retry: Role::Billing, "retry.committed", 3;
}
