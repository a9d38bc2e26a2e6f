//! A priming that ends before it is finished, and resumes in another process.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use jiff::Timestamp;
use messagekit::adapter::BoxFuture;
use messagekit::consumer::PrimedConsumer;
use messagekit::log::{Bounds, Log, LogReader, OrderedReader, Page, PartitionStart, Start};
use messagekit::{Error, Event, Shutdown};
use messagekit_memory::{MemorySource, MemoryStore};

use super::priming::{NAME, OrderNoted, PaymentNoted, Running, Shop, eventually};

#[tokio::test]
async fn a_priming_that_was_dropped_resumes_where_it_was() {
    let shop = Shop::with(60).await;
    let (reached, mut hears) = tokio::sync::mpsc::unbounded_channel();
    let primed = shop.primed().on_progress(move |at| {
        let _ = reached.send(at.done);
    });
    {
        let running = primed.run(std::future::pending());
        let mut running = std::pin::pin!(running);
        // Dropped after its first batch, as a process that is killed.
        tokio::select! {
            ended = &mut running => panic!("it ended: {ended:?}"),
            done = hears.recv() => assert!(done.is_some_and(|done| done > 0)),
        }
    }
    let first = shop.seen().len();
    let noted = shop.priming().await.and_then(|priming| priming.frontier);
    assert!(noted.is_some(), "it has noted how far it was");
    let running = Running::start(shop.primed());
    eventually("the consumer is primed", async || shop.is_finished().await).await;
    shop.append(60..63).await;
    eventually("new events are handled", async || shop.effects(60..63) == [1; 3]).await;
    running.stop().await;
    let mut expected = vec![1; 63];
    expected[13] = 0;
    assert_eq!(shop.effects(0..63), expected, "each effect once, but for the one that fails");
    let past: Vec<i64> = shop.seen()[first..].iter().copied().filter(|n| *n < 60).collect();
    assert!(
        past.windows(2).all(|pair| pair[0] < pair[1] || pair[0] == 13),
        "a failure alone makes a batch run again: {past:?}"
    );
}

#[tokio::test]
async fn a_start_that_moves_with_the_clock_is_kept() {
    let shop = Shop::with(4).await;
    let now = Timestamp::now();
    shop.append(4..8).await;
    let start = Start::At(now);
    let has_begun = async {
        while shop.priming().await.is_none() {
            tokio::task::yield_now().await;
        }
    };
    // It has noted where it begins, and is stopped then.
    shop.consumer().prime(shop.reader(&start)).run(Box::pin(has_begun)).await.unwrap();
    let running = Running::start(shop.consumer().prime(shop.reader(&Start::Latest)));
    eventually("the consumer is primed", async || shop.is_finished().await).await;
    shop.append(8..9).await;
    eventually("new events are handled", async || shop.effects(8..9) == [1]).await;
    running.stop().await;
    assert_eq!(shop.sorted(), (4..9).collect::<Vec<_>>(), "older ones were left out on purpose, and stay so");
}

/// Returns a shop whose consumer has handled all of the past, and whose markers were removed long after.
async fn handled(past: i64) -> Shop {
    let shop = Shop::with(past).await;
    let running = Running::start(shop.primed());
    let mut expected = vec![1; usize::try_from(past).expect("it is small")];
    expected.get_mut(13).into_iter().for_each(|unlucky| *unlucky = 0);
    eventually("all is handled", async || shop.is_finished().await && shop.effects(0..past) == expected)
        .await;
    running.stop().await;
    shop.ids().iter().for_each(|id| shop.store.forget_marker(NAME, id));
    shop
}

/// Runs a priming until some batches are settled, and drops it, as a process that is killed. None: until its begin is stored.
async fn dropped_after(batches: usize, shop: &Shop, primed: PrimedConsumer<MemoryStore, MemorySource>) {
    let (settled, mut hears) = tokio::sync::mpsc::unbounded_channel();
    let primed = primed.on_progress(move |_| {
        let _ = settled.send(());
    });
    let mut running = std::pin::pin!(primed.run(std::future::pending()));
    let reached = async {
        eventually("it has begun", async || !shop.is_finished().await).await;
        for _ in 0..batches {
            hears.recv().await;
        }
    };
    tokio::select! {
        biased;
        () = reached => {}
        ended = &mut running => panic!("it ended: {ended:?}"),
    }
}

#[tokio::test]
async fn a_forced_priming_resumes_wherever_it_ended() {
    let mut expected = vec![2; 300];
    expected[13] = 0;
    for batches in 0..3 {
        let shop = handled(300).await;
        dropped_after(batches, &shop, shop.primed().force()).await;
        assert!(!shop.is_finished().await, "void: it was finished after {batches} batches");
        let running = Running::start(shop.primed());
        eventually("the consumer is primed", async || shop.is_finished().await).await;
        running.stop().await;
        assert_eq!(shop.effects(0..300), expected, "after {batches} batches");
    }
}

#[tokio::test]
async fn a_topic_that_joins_a_forced_priming_brings_its_past() {
    let shop = handled(12).await;
    let orders =
        OrderedReader::builder().source(Arc::new(shop.store.clone()), OrderNoted::TOPIC, Start::Earliest);
    dropped_after(0, &shop, shop.consumer().prime(orders).force()).await;
    let running = Running::start(shop.primed());
    eventually("the consumer is primed", async || shop.is_finished().await).await;
    running.stop().await;
    assert_eq!(shop.effects(0..12), [2; 12], "payments, too");
}

/// A log whose payments are silent, or which does not answer until it is let go.
struct SlowLog {
    store: MemoryStore,
    are_payments_silent: bool,
    is_let_go: Shutdown,
}

impl Log for SlowLog {
    fn bounds<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Vec<Bounds>, Error>> {
        Box::pin(async move {
            self.is_let_go.requested().await;
            Log::bounds(&self.store, topic).await
        })
    }

    fn offsets_at<'a>(
        &'a self,
        topic: &'a str,
        time: Timestamp,
    ) -> BoxFuture<'a, Result<Vec<(i32, i64)>, Error>> {
        self.store.offsets_at(topic, time)
    }

    fn committed_offsets<'a>(
        &'a self,
        topic: &'a str,
        consumer: &'a str,
    ) -> BoxFuture<'a, Result<Vec<(i32, i64)>, Error>> {
        self.store.committed_offsets(topic, consumer)
    }

    fn open<'a>(
        &'a self,
        topic: &'a Arc<str>,
        partitions: &'a [(i32, PartitionStart)],
    ) -> BoxFuture<'a, Result<Box<dyn LogReader>, Error>> {
        if self.are_payments_silent && **topic == *PaymentNoted::TOPIC {
            return Box::pin(async { Ok(Box::new(Silent) as Box<dyn LogReader>) });
        }
        Log::open(&self.store, topic, partitions)
    }
}

/// A reader that never brings a record.
struct Silent;

impl LogReader for Silent {
    fn poll_page(&mut self, _: usize, _: &mut Context<'_>) -> Poll<Result<Page, Error>> {
        Poll::Pending
    }

    fn pause(&mut self, _: i32) {}

    fn resume(&mut self, _: i32) {}

    fn seek(&mut self, _: i32, _: i64) {}
}

fn primed_from(shop: &Shop, log: SlowLog) -> PrimedConsumer<MemoryStore, MemorySource> {
    let log: Arc<dyn Log> = Arc::new(log);
    let reader = [OrderNoted::TOPIC, PaymentNoted::TOPIC]
        .into_iter()
        .fold(OrderedReader::builder().batch_size(7), |reader, topic| {
            reader.source(log.clone(), topic, Start::Earliest)
        });
    shop.consumer().prime(reader.idle_timeout(Duration::from_millis(1)))
}

#[tokio::test]
async fn an_idle_partition_is_primed_by_the_process_that_resumes() {
    let shop = handled(40).await;
    let is_let_go = Shutdown::new();
    is_let_go.request();
    let log = SlowLog { store: shop.store.clone(), are_payments_silent: true, is_let_go };
    let running = Running::start(primed_from(&shop, log).force());
    let orders = async || (0..40).step_by(2).all(|n| shop.effects(n..n + 1) == [2]);
    eventually("all orders are primed again", orders).await;
    assert_eq!(shop.effects(1..2), [1], "void: payments came");
    running.stop().await;
    let running = Running::start(shop.primed());
    eventually("the consumer is primed", async || shop.is_finished().await).await;
    running.stop().await;
    let mut expected = vec![2; 40];
    expected[13] = 0;
    assert_eq!(shop.effects(0..40), expected);
}

#[tokio::test]
async fn a_slower_process_does_not_take_a_finished_priming_back() {
    for is_begun in [false, true] {
        let shop = Shop::with(12).await;
        if is_begun {
            dropped_after(0, &shop, shop.primed()).await;
        }
        let is_let_go = Shutdown::new();
        let log =
            SlowLog { store: shop.store.clone(), are_payments_silent: false, is_let_go: is_let_go.clone() };
        let slower = Running::start(primed_from(&shop, log));
        // It has looked, and waits for its log.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let faster = Running::start(shop.primed());
        eventually("the faster one has primed it", async || shop.is_finished().await).await;
        faster.stop().await;
        is_let_go.request();
        shop.append(14..16).await;
        eventually("the slower process handles new events", async || {
            assert!(shop.is_finished().await, "it was taken back");
            shop.effects(14..16) == [1; 2]
        })
        .await;
        slower.stop().await;
        assert_eq!(shop.effects(0..12), [1; 12]);
    }
}

#[tokio::test]
async fn processes_that_force_together_prime_once() {
    let shop = handled(12).await;
    let both: Vec<_> = (0..2).map(|_| Running::start(shop.primed().force())).collect();
    let number = async || shop.priming().await.map_or(0, |priming| priming.number);
    eventually("the consumer is primed again", async || shop.is_finished().await && number().await > 1).await;
    shop.append(14..16).await;
    eventually("new events are handled", async || shop.effects(14..16) == [1; 2]).await;
    for running in both {
        running.stop().await;
    }
    assert_eq!((number().await, shop.effects(0..12)), (2, vec![2; 12]));
}
