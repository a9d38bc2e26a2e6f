//! Parking under random schedules: owners, late owners, retries, people and deaths over one file.
//!
//! A schedule is a seed. One transaction writes to a file at a time, so the world lets one role at a time take one step, which
//! is a transaction or a piece of one that ends with the death of its process. Records come without a fence, as from a broker:
//! owners that were replaced go on.

mod claimer;
mod mutants;
mod operator;
mod owner;
mod schedule;
mod verdict;
mod world;

use mutants::MUTANTS;

/// How many schedules are run: enough for each of the mutants to be caught several times over, or the stated size.
fn schedules() -> u64 {
    if std::env::var_os("MESSAGEKIT_FULL").is_some() { 2_000 } else { 40 }
}

#[tokio::test]
async fn random_schedules_keep_key_order_and_apply_messages_once() {
    let mut seen = schedule::Seen::default();
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
