//! A relay that aborts at each of its crash points, and the relay after it.

use messagekit_testkit::block_on;

use crate::TURNS;
use crate::stage::{POISON, Stage};
use crate::verdict::compare;

const KEYS: usize = 20;
const OF_EACH: usize = 20;

/// Crashes a relay at a point while it has work, starts another one and requires that every event arrives.
fn dies_at(point: &str) {
    let _turn = TURNS.together();
    block_on(async {
        let stage = Stage::new(2).await;
        for n in 0..OF_EACH {
            let mut events: Vec<_> = (0..KEYS)
                .map(|key| stage.event(&format!("k{key}"), &format!("k{key}-{n}"), b"{\"a\": 1}".to_vec()))
                .collect();
            if n == OF_EACH / 2 {
                events.insert(0, stage.poison("k0"));
            }
            stage.write(&events).await;
        }
        stage.doomed(point).dies().await;
        assert!(stage.pending().await > 0, "void: nothing was unfinished at {point}");

        let mut relay = stage.relay("healthy");
        stage.until_published().await;
        let statistics = compare(&stage, Some(POISON)).await;
        // The poison event, and the events of its key from the middle on.
        assert_eq!(stage.rejected().await, 1 + (OF_EACH / 2) as i64, "{point}");
        println!("{point}: {statistics}");
        relay.stop().await;
    });
}

#[test]
fn a_relay_that_dies_with_its_first_lease_is_replaced() {
    dies_at("relay.leased:1");
}

#[test]
fn a_relay_that_dies_with_what_it_has_read_is_replaced() {
    dies_at("relay.read:1");
}

#[test]
fn a_relay_that_dies_between_confirm_and_delete_publishes_again() {
    dies_at("relay.published:1");
}

#[test]
fn a_relay_that_dies_after_a_delete_goes_on_behind_it() {
    dies_at("relay.settled:1");
}

#[test]
fn event_stays_rejected_when_its_relay_crashes_afterwards() {
    dies_at("relay.rejected:1");
}
