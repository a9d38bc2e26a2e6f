//! A transaction that stays open elsewhere in the database keeps dead rows; the relay continues.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use messagekit_testkit::{DEADLINE, block_on, eventually};
use messagekit_tests::is_full;
use sqlx::Executor;

use crate::TURNS;
use crate::stage::Stage;

/// Returns how long events are written without the open transaction, and again beside it.
fn time() -> Duration {
    Duration::from_secs(if is_full() { 60 } else { 5 })
}

/// Returns the events per transaction. A machine that keeps up writes 5,000 events a second, or 1,000 at the smaller
/// size, which a busy machine keeps up with too. On a slower machine the times are those of a growing queue.
fn batch() -> u64 {
    if is_full() { 50 } else { 10 }
}

const APART: Duration = Duration::from_millis(10);

/// The writer pauses at this number of waiting events.
const BACKLOG: u64 = 20_000;

/// Times below this are noise of a debug build beside other tests.
const NOISE: Duration = Duration::from_millis(100);
/// Another process that uses the machine during one half spoils some of the measurements; dead rows spoil each.
const MEASUREMENTS: usize = 6;

#[test]
fn relay_goes_on_beside_a_transaction_that_stays_open() {
    let _turn = TURNS.together();
    block_on(async {
        let mut measured = Vec::new();
        while measured.len() < MEASUREMENTS {
            let (without, beside) = measure().await;
            // Events beside the transaction may take three times as long, and not longer the longer it is open.
            if beside <= 3 * without.max(NOISE) {
                return;
            }
            measured.push((without, beside));
        }
        panic!("p99 beside the transaction is more than three times that without, each time: {measured:.1?}");
    });
}

/// Returns the p99 from write to arrival, without the transaction and beside it.
async fn measure() -> (Duration, Duration) {
    let stage = Arc::new(Stage::new(4).await);
    let mut relay = stage.relay("relay");
    let start = Instant::now();
    let (stop, arrived) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let reader = {
        let (stage, stop, arrived) = (stage.clone(), stop.clone(), arrived.clone());
        std::thread::spawn(move || {
            // When it was written, and how long it took to arrive.
            let mut times: Vec<(Duration, Duration)> = Vec::new();
            stage.topic.follow(|record| {
                if let Some(record) = record {
                    let written: u64 = String::from_utf8(record.payload).unwrap().parse().unwrap();
                    let written = Duration::from_micros(written);
                    times.push((written, start.elapsed().saturating_sub(written)));
                    arrived.fetch_add(1, Ordering::Relaxed);
                }
                !stop.load(Ordering::Relaxed)
            });
            times
        })
    };
    let mut written = write(&stage, start, &arrived, 0).await;
    // The backlog of the first half counts for that half.
    stage.until_published().await;
    let mut elsewhere = stage.database.connection().await;
    let look = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM messagekit.outbox_events";
    elsewhere.execute(sqlx::raw_sql(look)).await.unwrap();
    let (opened, before) = (start.elapsed(), arrived.load(Ordering::Relaxed));
    written += write(&stage, start, &arrived, written).await;
    stage.until_published().await;
    eventually("everything arrives", 2 * DEADLINE, async || arrived.load(Ordering::Relaxed) >= written).await;
    assert!(arrived.load(Ordering::Relaxed) > before, "void: nothing was published beside it");
    let (still, lasted): (bool, f64) = sqlx::query_as(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE state = 'idle in transaction' AND datname = current_database()),
           coalesce((SELECT max(extract(epoch FROM clock_timestamp() - xact_start))::float8 FROM pg_stat_activity
             WHERE state = 'idle in transaction' AND datname = current_database()), 0)",
    )
    .fetch_one(stage.store.pool())
    .await
    .unwrap();
    assert!(still, "void: the transaction has ended");
    elsewhere.execute(sqlx::raw_sql("ROLLBACK")).await.unwrap();

    stop.store(true, Ordering::Relaxed);
    let times = reader.join().unwrap();
    let (without, beside): (Vec<_>, Vec<_>) = times.into_iter().partition(|(written, _)| *written < opened);
    let (without, beside) = (Times::of(without), Times::of(beside));
    println!(
        "{written} events; without: {}; beside a transaction that was open for {lasted:.0} s: {}",
        without.in_words(),
        beside.in_words()
    );
    relay.stop().await;
    (without.at(990), beside.at(990))
}

/// Writes for a while, and returns the number of events.
async fn write(stage: &Stage, start: Instant, arrived: &AtomicU64, before: u64) -> u64 {
    let (begun, mut written, batch) = (Instant::now(), 0, batch());
    while begun.elapsed() < time() {
        let now = start.elapsed().as_micros();
        let events: Vec<_> = (0..batch)
            .map(|n| {
                let id = before + written + n;
                stage.event(&format!("k{}", id % 1_000), &format!("e-{id}"), now.to_string().into_bytes())
            })
            .collect();
        stage.write(&events).await;
        written += batch;
        // The backlog of a slow machine must not grow without a bound.
        while written.is_multiple_of(10 * batch)
            && before + written > arrived.load(Ordering::Relaxed) + BACKLOG
            && begun.elapsed() < DEADLINE
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let due = APART * u32::try_from(written / batch).unwrap();
        tokio::time::sleep(due.saturating_sub(begun.elapsed())).await;
    }
    written
}

/// The latencies of events in ascending order.
struct Times(Vec<Duration>);

impl Times {
    fn of(times: Vec<(Duration, Duration)>) -> Self {
        let mut times: Vec<Duration> = times.into_iter().map(|(_, took)| took).collect();
        assert!(!times.is_empty(), "void: nothing was measured");
        times.sort_unstable();
        Self(times)
    }

    /// Returns the latency that `part` thousandths of the events did not exceed.
    fn at(&self, part: usize) -> Duration {
        self.0[self.0.len() * part / 1_000]
    }

    fn in_words(&self) -> String {
        format!("{} in {:.1?} (p50), {:.1?} (p99)", self.0.len(), self.at(500), self.at(990))
    }
}
