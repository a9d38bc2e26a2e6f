//! A group of consumers over HTTP while writers append and the server is killed: for any database.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::http_consumers::{Book, PLANTED, consume, until, write};
use super::http_served::Served;

/// How much a run does.
struct Size {
    consumers: usize,
    kills: usize,
    writers: i64,
    records: i64,
}

impl Size {
    /// Returns the stated size with `MESSAGEKIT_FULL=1`, and otherwise a short one.
    fn get() -> Self {
        if messagekit_tests::is_full() {
            Self { consumers: 40, kills: 10, writers: 8, records: 400 }
        } else {
            Self { consumers: 12, kills: 3, writers: 4, records: 60 }
        }
    }
}

/// Each record is applied once, and none comes again after its acknowledgement was answered.
///
/// # Panics
/// If that does not hold, or if no kill has met a claim.
pub(crate) fn consume_under_kills(database: &str) {
    let Size { consumers, kills, writers, records } = Size::get();
    let (served, book, is_over) = (Served::start(database), Book::default(), AtomicBool::new(false));
    let all = usize::try_from(writers * records).unwrap();
    let mut held_at_kills = 0;
    std::thread::scope(|threads| {
        let over = Ends(&is_over);
        for number in 0..consumers {
            let (served, book, is_over) = (&served, &book, &is_over);
            threads.spawn(move || consume(served, book, 7 + number, || is_over.load(Ordering::Relaxed)));
        }
        for writer in 0..writers {
            let (served, numbers) = (&served, writer * records..(writer + 1) * records);
            threads.spawn(move || write(served, numbers));
        }
        let mut seen = 0;
        for kill in 0..kills {
            // Each kill meets work: as much again as before the last one is done, and something is claimed.
            let enough = (seen + 1).max(all * (kill + 1) / (kills + 2));
            until("consumers go on after a kill", || book.acknowledged() >= enough && book.holding() > 0);
            held_at_kills += book.holding();
            served.kill();
            seen = book.acknowledged();
        }
        until("every record is applied", || book.applied() >= all);
        until("every claim has ended", || {
            let rows = served.sql("SELECT lag FROM system.topic_offsets WHERE group_id = 'g'");
            rows.as_array().unwrap().iter().all(|row| row[0] == 0)
        });
        drop(over);
    });
    let outcome = book.outcome();
    println!("{all} records, {kills} kills, {held_at_kills} consumers with claims at them: {outcome:?}");
    assert_eq!(outcome.records, all);
    assert!(held_at_kills > 0 && outcome.cut_calls > 0, "no kill has met a claim: {outcome:?}");
    assert!(outcome.redelivered > 0, "claims were left, and come again: {outcome:?}");
    let log = served.log();
    for secret in served.secrets().into_iter().chain([PLANTED]) {
        assert!(!log.contains(secret), "the log holds a secret: {log}");
    }
    assert_eq!(served.sql("SELECT partitions FROM system.topics"), json!([[4]]));
}

/// Ends the consumers, also when the test fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
