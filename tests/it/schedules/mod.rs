//! Parking under random schedules: owners, late owners, retries, operators and crashes over one file.
//!
//! A schedule is a seed. One transaction writes to a file at a time, so the world lets one role at a time take one step.
//! A step is a transaction, or a part of one that ends with a crash of its process. Records come without a fence, as from
//! a broker: replaced owners continue.

mod claimer;
mod mutants;
mod operator;
mod owner;
mod schedule;
mod seen;
mod verdict;
mod world;

use messagekit_tests::is_full;

use mutants::MUTANTS;
use seen::Seen;

/// How many schedules run: enough to catch each mutant several times, or the configured number.
fn schedules() -> u64 {
    if is_full() { 2_000 } else { 40 }
}

#[tokio::test]
async fn random_schedules_keep_key_order_and_apply_messages_once() {
    let mut seen = Seen::default();
    for seed in 0..schedules() {
        let ended = schedule::run(seed, None).await;
        match ended {
            Ok(of_this) => seen += of_this,
            Err(broken) => panic!("seed {seed}: {broken}"),
        }
    }
    println!("{seen:?}");
    seen.assert_everything_happened();
}

#[tokio::test]
async fn every_mutant_is_caught() {
    for mutant in MUTANTS {
        let mut caught = None;
        for seed in 0..schedules() {
            if let Err(broken) = schedule::run(seed, Some(mutant)).await {
                caught = Some((seed, broken));
                break;
            }
        }
        let (seed, broken) = caught.unwrap_or_else(|| panic!("nobody notices that {}", mutant.name));
        println!("{:<55} seed {seed:>3}: {broken}", mutant.name);
    }
}
