//! A projection over four topics, whose process is killed while it is primed from their past, and when it goes live. A writer adds records
//! meanwhile.

mod history;
mod taken;

use std::time::{Duration, Instant};

use messagekit_testkit::block_on;

use self::history::History;
use self::taken::Taken;

/// The limit of each wait, far above what it takes.
const SOON: Duration = Duration::from_secs(300);

/// Returns how many records are past, and how many processes are killed while they are primed.
fn size() -> (usize, usize) {
    let is_full = messagekit_tests::is_full();
    if is_full { (1_000_000, 20) } else { (40_000, 5) }
}

async fn written(past: usize) -> History {
    let mut history = History::new().await;
    history.write_past(past);
    history
}

#[test]
fn a_killed_priming_goes_live_without_a_gap_or_a_repeat() {
    let (past, kills) = size();
    let history = block_on(written(past));
    let taken = Taken::of(&history.topics);
    let writing = history.go_on();
    let mut hit = 0;
    for kill in 1..=kills {
        let running = taken.start();
        taken.wait_until("it goes on", || taken.count() >= past * kill / (kills + 1));
        running.kill();
        hit += usize::from(!taken.is_finished() && taken.count() < past);
    }
    println!("{hit} of {kills} kills hit the priming of {past} records");
    assert!(hit > 0, "void: no kill hit the priming");

    taken.crash_at("priming.live");
    assert!(!taken.is_finished() && taken.count() >= past, "it died with all of the past");
    let running = taken.start();
    taken.wait_until("it goes live", || taken.is_finished());
    running.kill();
    let running = taken.start();
    let before = taken.count();
    taken.wait_until("it is live", || taken.count() > before);
    running.kill();
    let running = taken.start();
    let history = writing.stop();
    taken.wait_until("all is taken", || taken.count() >= history.records.len());
    running.finish();
    taken.compare(&history, past);
    measure(history);
}

/// Primes another projection, which is not killed, and prints how soon it goes on.
fn measure(history: History) {
    let (past, began) = (history.records.len(), Instant::now());
    let taken = Taken::of(&history.topics);
    let running = taken.start();
    let writing = history.go_on();
    let handled = running.past_at();
    taken.wait_until("it goes live", || taken.is_finished());
    let (live, before) = (Instant::now(), taken.count());
    taken.wait_until("it is live", || taken.count() > before);
    println!(
        "{past} records in {:.1?}, {:.0} a second; live {:.1?} after the last, the next record {:.1?} after it",
        handled - began,
        past as f64 / (handled - began).as_secs_f64(),
        live - handled,
        handled.elapsed(),
    );
    let history = writing.stop();
    taken.wait_until("all is taken", || taken.count() >= history.records.len());
    running.finish();
    taken.compare(&history, past);
}

/// Crashes the projection at a point of its priming, and compares what the next one has taken.
fn heals_after(point: &str) {
    let past = 2_000;
    let history = block_on(written(past));
    let taken = Taken::of(&history.topics);
    let writing = history.go_on();
    taken.crash_at(point);
    let running = taken.start();
    taken.wait_until("it goes live", || taken.is_finished());
    let before = taken.count();
    taken.wait_until("it is live", || taken.count() > before);
    let history = writing.stop();
    taken.wait_until("all is taken", || taken.count() >= history.records.len());
    running.finish();
    taken.compare(&history, past);
}

#[test]
fn projection_of_kafka_dies_when_its_start_is_noted() {
    heals_after("priming.begun:1");
}

#[test]
fn projection_of_kafka_dies_after_its_positions() {
    heals_after("consumer.advanced:2");
}

#[test]
fn projection_of_kafka_dies_when_it_has_gone_live() {
    heals_after("priming.finished:1");
}
