//! Workers in several processes share the records of one file, and are killed while they have some.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use messagekit::adapter::OutboxRows;
use messagekit::{Message, Store};
use messagekit_sqlite::SqliteStore;
use messagekit_testkit::block_on;

use crate::console::patient;
use crate::shop::Shop;
use crate::time::{SOON, wait_until};
use crate::worker::{Role, Worker};

const TOPIC: &str = "jobs.job";
const WRITERS: usize = 24;
const WORKERS: usize = 4;

/// Returns how many jobs each writer adds, and how many processes are killed.
fn size() -> (usize, usize) {
    if messagekit_tests::is_full() { (500, 40) } else { (40, 6) }
}

/// Appends the jobs of all writers at the same time.
async fn write_jobs(store: &SqliteStore, each: usize) {
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for number in 0..each {
                    let job = format!("{writer}-{number}");
                    let mut tx = store.begin().await.unwrap();
                    store.write(&mut tx, &[Message::new(TOPIC, job.clone()).with_key(job)]).await.unwrap();
                    store.commit(tx).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
}

/// Returns how often each job was done.
fn done(shop: &Shop) -> BTreeMap<String, i64> {
    let rows =
        shop.look().all("SELECT job, count(*) FROM jobs GROUP BY job", |row| Ok((row.get(0)?, row.get(1)?)));
    rows.into_iter().collect()
}

/// Returns how many partitions have records that a process has claimed.
fn claimed(shop: &Shop) -> i64 {
    shop.look().number("SELECT count(*) FROM messagekit_record_claims WHERE ranges LIKE '%\"claimed\"%'")
}

#[test]
fn every_job_is_done_once_while_workers_are_killed() {
    let (each, kills) = size();
    let shop = Shop::new();
    let file = shop.file();
    let open = async || patient().partitions(NonZeroU32::new(4).unwrap()).open(&file).await.unwrap();
    // The topic is there before its workers are.
    block_on(async { write_jobs(&open().await, 1).await });
    let mut workers: Vec<Worker> = (0..WORKERS).map(|_| shop.start(Role::Claiming)).collect();
    let writing = std::thread::spawn({
        let file = shop.file();
        move || {
            block_on(async {
                let store = patient().open(&file).await.unwrap();
                write_jobs(&store, each).await;
            });
        }
    });
    for kill in 0..kills {
        let mut victim = workers.remove(kill % WORKERS);
        assert!(victim.is_alive(), "it has ended by itself");
        victim.kill();
        workers.push(shop.start(Role::Claiming));
    }
    writing.join().unwrap();
    let all = WRITERS * each;
    wait_until("every job is done", SOON, || done(&shop).len() == all && claimed(&shop) == 0);
    workers.into_iter().for_each(Worker::finish);
    let done = done(&shop);
    // The first job of each writer was written twice, before and after.
    let wrong: Vec<_> =
        done.iter().filter(|(job, count)| **count != if job.ends_with("-0") { 2 } else { 1 }).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn a_killed_worker_loses_its_records_at_once() {
    let shop = Shop::new();
    block_on(async {
        let store = patient().partitions(NonZeroU32::MIN).open(shop.file()).await.unwrap();
        write_jobs(&store, 1).await;
        store.close().await.unwrap();
    });
    let mut holder = shop.start(Role::Holding);
    holder.until_ready();
    assert_eq!(claimed(&shop), 1);
    let worker = shop.start(Role::Claiming);
    wait_until("the other records are done", SOON, || done(&shop).len() == WRITERS - 8);
    let killed = Instant::now();
    holder.kill();
    wait_until("its records are done too", SOON, || done(&shop).len() == WRITERS);
    println!("took {:?} from the kill, with a lease of a day", killed.elapsed());
    worker.finish();
    assert!(done(&shop).values().all(|count| *count == 1));
    assert_eq!(claimed(&shop), 0);
    let left: Vec<_> = std::fs::read_dir(shop.file().parent().unwrap())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".holder"))
        .collect();
    assert!(left.is_empty(), "side files of ended processes stay: {left:?}");
    assert!(killed.elapsed() < Duration::from_secs(3_600));
}
