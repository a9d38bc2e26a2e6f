//! A projection over two topics of a file, whose process is killed while it is primed, and when it goes live. `crate::primed` has its database.

use std::num::NonZeroU32;
use std::ops::Range;
use std::path::Path;
use std::time::Instant;

use messagekit::adapter::OutboxRows;
use messagekit::{Message, Store, headers};
use messagekit_sqlite::SqliteStore;
use messagekit_testkit::{block_on, unique};
use messagekit_tests::Projection;

use crate::primed::Home;
use crate::time::{SOON, wait_until};

const TOPICS: [&str; 2] = ["left.number", "right.number"];

/// Returns how many records are past, how many follow while the projection runs, and how many processes are killed.
fn size() -> (usize, usize, usize) {
    if messagekit_tests::is_full() { (40_000, 2_000, 40) } else { (1_500, 150, 6) }
}

async fn open(file: &Path) -> SqliteStore {
    let options = SqliteStore::options().partitions(NonZeroU32::new(3).expect("3 > 0"));
    options.transaction_timeout(SOON).busy_timeout(SOON).open(file).await.expect("the file opens")
}

/// Appends numbers to both topics in turns, each with a time of its own.
async fn append(file: &Path, numbers: Range<usize>) {
    let store = open(file).await;
    for number in numbers {
        let message = Message::new(TOPICS[number % 2], number.to_string())
            .with_key(format!("k-{}", number % 7))
            .with_header(headers::ID, unique("n"))
            .with_header(headers::EVENT_TYPE, "shop.number.noted");
        let mut tx = store.begin().await.expect("begins");
        store.write(&mut tx, &[message]).await.expect("writes");
        store.commit(tx).await.expect("commits");
    }
    store.close().await.expect("closes");
}

/// Each number was taken once, and those of the past in the order of their time.
fn check(home: &Home, past: usize, all: usize) {
    let taken = home.taken();
    let mut sorted = taken.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..all).collect::<Vec<_>>(), "none lost, none twice");
    assert_eq!(home.markers(), all, "each has its marker");
    let of_the_past: Vec<usize> = taken.into_iter().filter(|number| *number < past).collect();
    assert!(of_the_past.is_sorted(), "the past came in order");
}

#[test]
fn a_killed_priming_resumes_and_goes_live() {
    let (past, new, kills) = size();
    let home = Home::of(TOPICS);
    block_on(append(&home.log(), 0..past));
    let (mut projection, mut hit) = (home.start(), 0);
    for kill in 1..=kills {
        // The last ones die at the end of the past, or behind it.
        let reached = past * kill / kills;
        wait_until("it goes on", SOON, || home.count() >= reached);
        projection.kill();
        hit += usize::from(home.count() < past);
        projection = home.start();
        if kill == kills / 2 {
            let file = home.log();
            std::thread::spawn(move || block_on(append(&file, past..past + new))).join().expect("appends");
        }
    }
    println!("{hit} of {kills} kills hit the priming");
    assert!(hit > 0, "void: no kill hit the priming");
    let all = past + new;
    wait_until("all is taken", SOON, || home.count() >= all);
    let began = Instant::now();
    block_on(append(&home.log(), all..all + 20));
    wait_until("it is live", SOON, || home.count() >= all + 20);
    println!("20 records after it was live took {:?}", began.elapsed());
    projection.finish();
    check(&home, past, all + 20);
}

/// Crashes the projection at a point of its priming, and compares what two healthy ones have taken afterwards.
fn heals_after(at: &str) {
    let (past, new) = (400, 40);
    let home = Home::of(TOPICS);
    block_on(append(&home.log(), 0..past));
    home.crash_at(at);
    block_on(append(&home.log(), past..past + new));
    let both: Vec<Projection> = (0..2).map(|_| home.start()).collect();
    wait_until("all is taken", SOON, || home.count() >= past + new);
    both.into_iter().for_each(Projection::finish);
    check(&home, past, past + new);
}

/// Crashes a priming by force at a point, and compares what two healthy processes without force have taken afterwards: all of the past a
/// second time, as no marker is left.
fn forced_heals_after(at: &str) {
    let past = 400;
    let home = Home::of(TOPICS);
    block_on(append(&home.log(), 0..past));
    let first = home.start();
    wait_until("it is primed", SOON, || home.is_primed());
    first.finish();
    home.forget_markers();
    home.crash_forced_at(at);
    let both: Vec<Projection> = (0..2).map(|_| home.start()).collect();
    block_on(append(&home.log(), past..past + 20));
    wait_until(&format!("{at}: all is taken again"), SOON, || home.count() >= 2 * past + 20);
    both.into_iter().for_each(Projection::finish);
    let mut again = home.taken().split_off(past);
    again.retain(|number| *number < past);
    assert_eq!(again, (0..past).collect::<Vec<_>>(), "{at}: in order, none lost, none twice");
    assert_eq!(home.markers(), past + 20, "{at}");
}

/// Generates one test for each line.
macro_rules! points {
    ($($test:ident: $point:literal, $time:literal;)*) => {
        $(
            #[test]
            fn $test() {
                heals_after(concat!($point, ":", $time));
            }
        )*

        #[test]
        fn a_priming_by_force_resumes_after_a_crash_at_each_point() {
            $(forced_heals_after(concat!($point, ":", $time));)*
        }

        #[test]
        fn every_point_of_a_priming_has_a_test() {
            let tested = [$($point),*];
            let own = messagekit::crash::POINTS.iter().filter(|point| point.starts_with("priming."));
            assert!(own.clone().count() > 0 && own.clone().all(|point| tested.contains(point)));
        }
    };
}

points! {
    projection_dies_when_its_start_is_noted: "priming.begun", 1;
    projection_dies_after_the_first_claim: "consumer.claimed", 1;
    projection_dies_after_a_handler_of_the_past: "consumer.handled", 90;
    projection_dies_after_its_positions: "consumer.advanced", 2;
    projection_dies_after_a_commit_of_the_past: "consumer.committed", 2;
    projection_dies_when_all_of_the_past_is_taken: "priming.live", 1;
    projection_dies_when_it_goes_live: "priming.finished", 1;
}
