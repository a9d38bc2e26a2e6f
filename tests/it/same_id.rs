//! One id, many workers: one effect and one run of the handler.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use messagekit::adapter::{Publisher, codec};
use messagekit::{
    Claim, Consumer, Envelope, Event, HandlerError, Message, MessageId, Shutdown, Store, claim,
};
use messagekit_memory::MemoryLog;
use messagekit_sqlite::{SqliteStore, SqliteTx};
use messagekit_testkit::eventually;

use crate::console::{Console, NoteTaken, Running, consumer, patient, write};
use crate::time::SOON;

const WORKERS: u64 = 16;
/// The number of tries of the id by all workers together.
const TRIES: u64 = 10_000;

/// Returns the tries per worker: 10,000 together, or each in the long form.
fn tries_of_each() -> u64 {
    if messagekit_tests::is_full() { TRIES } else { TRIES / WORKERS }
}

#[derive(Default)]
struct Counted(AtomicU64);

impl Counted {
    async fn write_down(&self, tx: &mut SqliteTx, note: Envelope<NoteTaken>) -> Result<(), HandlerError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        write(tx, note.data.number).await?;
        Ok(())
    }

    fn runs(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Returns copies of one message that differ only in their key, which puts them into different partitions.
fn copies(count: u64) -> Vec<Message> {
    let original = codec::encode(&Envelope::new(NoteTaken { pad: "p".into(), number: 7 }), "desk").unwrap();
    (0..count).map(|copy| original.clone().with_key(format!("k-{copy}"))).collect()
}

/// Claims an id by hand, and writes the effect when the claim is fresh.
async fn apply_once(
    store: &SqliteStore,
    id: &MessageId,
    effects: &AtomicU64,
) -> Result<Claim, messagekit::Error> {
    let mut tx = store.begin().await?;
    let answer = claim(store, &mut tx, "payments", id).await?;
    if answer == Claim::Fresh {
        effects.fetch_add(1, Ordering::Relaxed);
        write(&mut tx, 7).await?;
    }
    store.commit(tx).await?;
    Ok(answer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn same_id_claimed_by_sixteen_workers_has_one_effect() {
    let console = Console::new().await;
    let second = console.second().await;
    let id: MessageId = "pay-7".parse().unwrap();
    let effects = Arc::new(AtomicU64::new(0));
    let workers: Vec<_> = (0..WORKERS)
        .map(|worker| {
            // Half of them as another process would: with their own writer.
            let store = if worker % 2 == 0 { console.store.clone() } else { second.clone() };
            let (id, effects) = (id.clone(), Arc::clone(&effects));
            tokio::spawn(async move {
                let mut done = 0;
                for _ in 0..tries_of_each() {
                    done += u64::from(apply_once(&store, &id, &effects).await.unwrap() == Claim::Done);
                }
                done
            })
        })
        .collect();
    let mut done = 0;
    for worker in workers {
        done += worker.await.unwrap();
    }
    second.close().await.unwrap();
    assert_eq!((effects.load(Ordering::Relaxed), done), (1, WORKERS * tries_of_each() - 1));
    assert_eq!(console.notes().await, [7]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_rival_claims_an_id_after_rollback_and_not_after_commit() {
    let console = Console::new().await;
    let effects = Arc::new(AtomicU64::new(0));
    for number in 0..60 {
        let id: MessageId = format!("pay-{number}").parse().unwrap();
        let mut tx = console.store.begin().await.unwrap();
        assert_eq!(claim(&console.store, &mut tx, "payments", &id).await.unwrap(), Claim::Fresh);
        write(&mut tx, -1).await.unwrap();
        let (store, counted) = (console.store.clone(), Arc::clone(&effects));
        let rival = tokio::spawn(async move { apply_once(&store, &id, &counted).await });
        let expected = match number % 3 {
            0 => {
                drop(tx);
                Claim::Fresh
            }
            1 => {
                console.store.rollback(tx).await.unwrap();
                Claim::Fresh
            }
            _ => {
                console.store.commit(tx).await.unwrap();
                Claim::Done
            }
        };
        assert_eq!(rival.await.unwrap().unwrap(), expected);
    }
    assert_eq!(effects.load(Ordering::Relaxed), 40);
    let mut notes = console.notes().await;
    notes.sort_unstable();
    assert_eq!(notes, [vec![-1; 20], vec![7; 40]].concat());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn same_id_at_sixteen_consumers_sharing_the_work_has_one_effect() {
    let console = Console::new().await;
    // A log whose partitions are shared, to let sixteen loops claim on the file at the same time.
    let log = MemoryLog::new(WORKERS as usize);
    let handler = Arc::new(Counted::default());
    let shutdown = Shutdown::new();
    let second = console.second().await;
    let mut stats = Vec::new();
    let mut running = Vec::new();
    for worker in 0..WORKERS {
        let store = if worker % 2 == 0 { console.store.clone() } else { second.clone() };
        let consumer = Consumer::builder("reader", store)
            .from(log.topics([NoteTaken::TOPIC]))
            .on_with(Arc::clone(&handler), Counted::write_down)
            .build()
            .unwrap();
        stats.push(consumer.stats());
        running.push(tokio::spawn(consumer.run(shutdown.clone())));
    }
    let copies = copies(TRIES);
    let busy = || stats.iter().filter(|stats| stats.read().batches > 0).count();
    let mut published = 0;
    // Some join late on a busy machine: then all copies are published once more.
    while published < TRIES || busy() < 8 {
        assert!(published < 20 * TRIES, "only {} of the consumers had work", busy());
        for batch in copies.chunks(100) {
            log.publish(batch).await.into_iter().for_each(|result| result.unwrap());
        }
        published += TRIES;
        eventually("every copy is dealt with", SOON, async || {
            stats.iter().map(|stats| stats.read().handled + stats.read().duplicates).sum::<u64>() >= published
        })
        .await;
    }
    shutdown.request();
    for consumer in running {
        consumer.await.unwrap().unwrap();
    }
    second.close().await.unwrap();
    assert_eq!(stats.iter().map(|stats| stats.read().handled).sum::<u64>(), 1);
    assert_eq!((handler.runs(), console.notes().await), (1, vec![7]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn same_id_read_by_sixteen_consumers_of_a_file_has_one_effect() {
    // However fast the first one is, it finds only a part of the work.
    const PARTS: u64 = 4;
    let console = Console::with(patient()).await;
    let copies = copies(TRIES);
    let mut parts = copies.chunks((TRIES / PARTS) as usize);
    let second = console.second().await;
    let handler = Arc::new(Counted::default());
    let mut standing_by: Vec<Running> = (0..WORKERS)
        .map(|worker| {
            let store = if worker % 2 == 0 { &console.store } else { &second };
            Running::start(consumer(store).on_with(Arc::clone(&handler), Counted::write_down))
        })
        .collect();
    // One works at a time: stop it, and the next one continues.
    let (mut handled, mut passed, mut published) = (0, 0, 0);
    while handled + passed < TRIES {
        let is_last = standing_by.len() == 1;
        while published < TRIES && (is_last || published == handled + passed) {
            let part = parts.next().expect("there is more");
            console.publish(part).await;
            published += part.len() as u64;
        }
        let mut active = None;
        eventually("one of them works", SOON, async || {
            active = standing_by.iter().position(|running| running.stats.read().batches > 0);
            active.is_some()
        })
        .await;
        let active = standing_by.swap_remove(active.expect("it was found"));
        if standing_by.is_empty() {
            let rest = TRIES - handled - passed;
            active.until("the rest is passed", |stats| stats.handled + stats.duplicates == rest).await;
        }
        let stats = active.stop().await;
        (handled, passed) = (handled + stats.handled, passed + stats.duplicates);
    }
    let turns = WORKERS - standing_by.len() as u64;
    assert!(turns >= PARTS, "{turns} turns");
    for running in standing_by {
        running.stop().await;
    }
    second.close().await.unwrap();
    assert_eq!((handled, passed), (1, TRIES - 1));
    assert_eq!((handler.runs(), console.notes().await), (1, vec![7]));
}
