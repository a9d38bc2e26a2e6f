//! Parking under random schedules of statements: owners, replaced owners, retries, operators, crashes of processes and
//! of sessions.
//!
//! A schedule is a seed. Every process reaches the server through a proxy on which each statement waits for permission. The
//! schedule permits one at a time, by weights that change: transactions stop half-way, and continue when others have passed. The
//! next one is permitted when nothing goes on by itself, so that a seed plays the same schedule again, until several sessions wait
//! for one lock: then the server decides which of them is next.
//! Records come without a fence, as from a broker: replaced owners continue.

mod claimer;
mod mutants;
mod operator;
mod owner;
mod rest;
mod schedule;
mod second_look;
mod seen;
mod taken_back;
mod verdict;
mod wire;
mod world;

use std::collections::BTreeSet;

use messagekit_tests::is_full;

use mutants::{LOOKS_AT_NO_KEY_AGAIN, MUTANTS, Mutant, TAKEN_BACK_FORGETS, Wrong};
use schedule::Theatre;
use seen::Seen;

/// Returns the seeds of the schedules: the first ones with those of the mutants, so that what a mutant does wrong is also noticed when the
/// program does it, or the stated size.
fn seeds() -> BTreeSet<u64> {
    let first = 0..if is_full() { 2_000 } else { 16 };
    first.chain(MUTANTS.iter().map(|mutant| mutant.seed)).collect()
}

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(test)
}

#[test]
fn random_schedules_keep_key_order_and_apply_messages_once() {
    run(async {
        let theatre = Theatre::open().await;
        let mut seen = Seen::default();
        for seed in seeds() {
            match theatre.play(seed, None).await.0 {
                Ok(of_this) => seen += of_this,
                Err(broken) => panic!("seed {seed}: {broken}"),
            }
        }
        println!("{seen:?}");
        seen.assert_everything_happened();
    });
}

/// Checks this at once, not after all schedules.
#[test]
fn every_wrong_statement_is_made_of_one_that_there_is() {
    let exists = |from: &str| messagekit_postgres::statements().iter().any(|(_, text)| text.contains(from));
    let of_mutants = MUTANTS.iter().filter_map(|mutant| match mutant.wrong {
        Wrong::Statement(rewrites) => Some(rewrites),
        Wrong::Step(_) => None,
    });
    for rewrite in of_mutants.chain([TAKEN_BACK_FORGETS, LOOKS_AT_NO_KEY_AGAIN]).flatten() {
        assert!(exists(rewrite.from), "no statement has {:?}", rewrite.from);
    }
}

#[test]
fn every_mutant_is_caught() {
    run(async {
        let theatre = Theatre::open().await;
        for mutant in MUTANTS {
            let (seed, broken) = catch(&theatre, mutant).await;
            println!("{:<55} seed {seed:>3}: {broken}", mutant.name);
        }
    });
}

/// The number of schedules within which each mutant must be caught.
const ENOUGH: u64 = 1_000;

/// How often the schedule that is known to catch a mutant is played. It mostly goes as it went before, see the module.
const REPEATED: usize = 3;

/// Plays the schedule that is known to catch a mutant, and all of them at the stated size, or when that one does not notice.
async fn catch(theatre: &Theatre, mutant: &'static Mutant) -> (u64, String) {
    let mut struck = matches!(mutant.wrong, Wrong::Step(_));
    let known = std::iter::repeat_n(mutant.seed, if is_full() { 0 } else { REPEATED });
    for seed in known.chain(0..ENOUGH) {
        let (ended, rewrote) = theatre.play(seed, Some(mutant)).await;
        struck |= rewrote;
        if let Err(broken) = ended {
            assert!(struck, "{}: caught before it was there: {broken}", mutant.name);
            return (seed, broken);
        }
    }
    assert!(struck, "no statement has the text of: {}", mutant.name);
    panic!("nobody notices: {}", mutant.name);
}
