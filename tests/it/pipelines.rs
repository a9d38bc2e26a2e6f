//! Processes that run one pipeline over a file, and are killed in its function.

use std::collections::BTreeMap;
use std::path::Path;

use messagekit_testkit::block_on;
use messagekit_topics::Topics;
use serde_json::{Value, json};

use crate::shop::Shop;
use crate::time::{SOON, wait_until};
use crate::worker::{Role, Worker};

/// Appends the numbers from 1.
fn write_numbers(file: &Path, count: u64) {
    block_on(async {
        let topics = Topics::open(file).await.unwrap();
        let numbers = topics.untyped("numbers.number").open().await.unwrap();
        topics.untyped("numbers.double").open().await.unwrap();
        let records: Vec<Value> = (1..=count).map(|n| json!({ "n": n })).collect();
        numbers.extend(&records).await.unwrap();
        topics.close().await.unwrap();
    });
}

/// Returns the outputs in order.
fn doubles(shop: &Shop) -> Vec<u64> {
    let sql = "SELECT json_extract(CAST(r.payload AS TEXT), '$.n') FROM messagekit_topic_records r
        JOIN messagekit_topic_partitions p ON p.id = r.pos >> 40 JOIN messagekit_topics t ON t.id = p.topic_id
        WHERE t.name = 'numbers.double' ORDER BY r.pos";
    shop.look().all(sql, |row| row.get::<_, i64>(0)).into_iter().map(i64::unsigned_abs).collect()
}

/// Returns how many records are handled.
fn handled(shop: &Shop) -> i64 {
    shop.look().number(
        "SELECT count(*) FROM messagekit_processed_messages m JOIN messagekit_consumers c ON c.id = m.consumer_id
         WHERE c.name = 'default'",
    )
}

/// Returns how often the function was called for each number.
fn calls(shop: &Shop) -> BTreeMap<u64, u32> {
    let text = std::fs::read_to_string(shop.file().with_extension("calls")).unwrap();
    let mut calls = BTreeMap::new();
    for line in text.lines() {
        *calls.entry(line.parse().unwrap()).or_default() += 1;
    }
    calls
}

fn every_double(count: u64) -> Vec<u64> {
    (1..=count).map(|n| 2 * n).collect()
}

#[test]
fn a_kill_inside_a_function_leaves_its_record_new() {
    let shop = Shop::new();
    let (kills, step) = (20, 7);
    let count = (kills + 1) * step;
    write_numbers(&shop.file(), count);
    for kill in 1..=kills {
        let row = kill * step;
        let mut worker = shop.start(Role::Piping { hangs: Some(row) });
        worker.until_ready();
        // It is ready twice: with the file open, and inside the function.
        worker.until_ready();
        wait_until("what came before is committed", SOON, || doubles(&shop).len() as u64 == row - 1);
        worker.kill();
        assert_eq!(
            (handled(&shop), doubles(&shop)),
            (row as i64 - 1, every_double(row - 1)),
            "killed at {row}"
        );
    }
    let worker = shop.start(Role::Piping { hangs: None });
    wait_until("the rest is done", SOON, || doubles(&shop).len() as u64 == count);
    worker.finish();
    assert_eq!((handled(&shop), doubles(&shop)), (count as i64, every_double(count)));
    let twice: Vec<u64> = calls(&shop).into_iter().filter(|(_, calls)| *calls == 2).map(|(n, _)| n).collect();
    assert_eq!(twice, (1..=kills).map(|kill| kill * step).collect::<Vec<_>>());
}

#[test]
fn two_processes_never_run_a_record_twice() {
    let shop = Shop::new();
    let count = if messagekit_tests::is_full() { 20_000 } else { 2_000 };
    write_numbers(&shop.file(), count);
    let workers: Vec<Worker> = (0..2).map(|_| shop.start(Role::Piping { hangs: None })).collect();
    wait_until("everything is done", SOON, || doubles(&shop).len() as u64 == count);
    workers.into_iter().for_each(Worker::finish);
    assert_eq!(doubles(&shop), every_double(count));
    assert!(calls(&shop).values().all(|calls| *calls == 1));
}

#[test]
fn kills_at_any_time_neither_lose_nor_double_an_output() {
    let shop = Shop::new();
    let (count, kills) = if messagekit_tests::is_full() { (50_000, 60) } else { (6_000, 6) };
    write_numbers(&shop.file(), count);
    let mut workers: Vec<Worker> = (0..2).map(|_| shop.start(Role::Piping { hangs: None })).collect();
    let mut cut_short = 0;
    for kill in 1..=kills {
        let goal = count * kill / (kills + 2);
        wait_until("some more is done", SOON, || doubles(&shop).len() as u64 >= goal);
        for mut victim in workers.drain(..) {
            assert!(victim.is_alive(), "it has ended by itself");
            victim.kill();
        }
        cut_short += u32::from((doubles(&shop).len() as u64) < count);
        workers.extend((0..2).map(|_| shop.start(Role::Piping { hangs: None })));
    }
    assert!(cut_short > 0, "every kill came too late");
    wait_until("everything is done", SOON, || doubles(&shop).len() as u64 == count);
    workers.into_iter().for_each(Worker::finish);
    assert_eq!((handled(&shop), doubles(&shop)), (count as i64, every_double(count)));
}

#[test]
fn a_pipeline_that_dies_at_any_commit_is_completed() {
    let count = 1_000;
    let mut cut_short = 0;
    for point in ["store.before_commit", "store.committed"] {
        for commit in 1..=6 {
            let shop = Shop::new();
            write_numbers(&shop.file(), count);
            shop.that_crashes(Role::Piping { hangs: None }, &format!("{point}:{commit}")).until_crashed();
            let done = handled(&shop);
            assert_eq!(doubles(&shop), every_double(done as u64), "{point}, commit {commit}");
            cut_short += u32::from(done > 0 && (done as u64) < count);
            let worker = shop.start(Role::Piping { hangs: None });
            wait_until("everything is done", SOON, || doubles(&shop).len() as u64 == count);
            worker.finish();
            assert_eq!((handled(&shop), doubles(&shop)), (count as i64, every_double(count)));
        }
    }
    assert!(cut_short > 2, "the crashes came before the first commit, or after the last: {cut_short}");
}
