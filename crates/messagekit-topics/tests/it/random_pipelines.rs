//! Pipelines under random failures, dropped runs and operators, compared with a model.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use fastrand::Rng;
use futures_util::{FutureExt, TryStreamExt};
use messagekit::ErrorKind;
use messagekit::operations::{Action, FailedMessageFilter, FailedMessages, Operator};
use messagekit_topics::{Pipeline, RecordStatus, Strategy, Topic, Topics};
use serde_json::{Value, json};

use super::home::{self, Db};

type Json = Topic<Value, Db>;

/// One random life of a graph: a source, up to four arms, some of which lead on.
struct Life {
    random: Arc<Mutex<Rng>>,
    topics: Topics<Db>,
    source: Json,
    targets: Vec<Json>,
    /// Every function succeeds from now on.
    repaired: Arc<Mutex<bool>>,
    written: u64,
    /// Records that an operator or a consumer has settled without the graph.
    settled_by_hand: Vec<i64>,
    strict_only: bool,
}

impl Life {
    async fn new(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let topics = home::topics().await;
        let source = topics.untyped("source").open().await.unwrap();
        let mut targets = Vec::new();
        for arm in 0..random.usize(1..=4) {
            targets.push(topics.untyped(format!("target.{arm}")).open().await.unwrap());
        }
        let strict_only = random.bool();
        let (random, repaired) = (Arc::new(Mutex::new(random)), Arc::default());
        Self {
            random,
            topics,
            source,
            targets,
            repaired,
            written: 0,
            settled_by_hand: Vec::new(),
            strict_only,
        }
    }

    fn below(&self, end: u64) -> u64 {
        self.random.lock().unwrap().u64(0..end)
    }

    /// Fails, hangs for a while, or reports an outage, by chance.
    fn graph(&self) -> Pipeline<Db> {
        let arm = |target: &Json| {
            let (random, repaired) = (self.random.clone(), self.repaired.clone());
            let function = move |record: Value| {
                let chance = if *repaired.lock().unwrap() { 99 } else { random.lock().unwrap().u64(0..100) };
                async move {
                    for _ in 0..chance % 3 {
                        tokio::task::yield_now().await;
                    }
                    match chance {
                        0..8 => Err("not now".into()),
                        8..10 => Err(messagekit::Error::new(ErrorKind::Unavailable, "away").into()),
                        10..12 => panic!("a bug of the function"),
                        _ => Ok::<Value, Box<dyn std::error::Error + Send + Sync>>(record),
                    }
                }
            };
            self.source.pipe(function).to(target)
        };
        self.topics.full_pipeline(self.targets.iter().map(arm)).unwrap()
    }

    async fn step(&mut self) {
        match self.below(10) {
            0..3 => {
                let records: Vec<Value> =
                    (0..=self.below(6)).map(|n| json!({ "n": self.written + n })).collect();
                self.written += records.len() as u64;
                self.source.extend(&records).await.unwrap();
            }
            3..8 => self.run().await,
            8 => self.acknowledge().await,
            _ => self.operate().await,
        }
    }

    /// Runs the graph, half of the times only for some polls.
    async fn run(&self) {
        let graph = match (self.strict_only, self.below(3)) {
            (true, 0) => self.graph().atomic_batch(1 + self.below(5) as usize),
            (true, _) | (false, 0) => self.graph(),
            (false, _) => self.graph().strategy(Strategy::BestEffort),
        };
        let graph = graph.attempts(1 + self.below(4) as u32);
        let mut run = std::pin::pin!(graph.run());
        if self.below(2) == 0 {
            let _ = run.await;
            return;
        }
        for _ in 0..self.below(40) {
            if (&mut run).now_or_never().is_some() {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn acknowledge(&mut self) {
        let mut new = self.source.iter_new();
        if let Some(record) = new.try_next().await.unwrap() {
            match self.source.ack(&record).await {
                Ok(()) => self.settled_by_hand.push(record.id),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WrongState),
            }
        }
    }

    async fn operate(&mut self) {
        let store = self.topics.store();
        let open = store.list(&FailedMessageFilter::default(), 50).await.unwrap();
        let Some(head) = open.first().filter(|head| head.state.is_open()) else { return };
        let action = if self.below(2) == 0 { Action::Discard } else { Action::Retry };
        let message = store.show(head.id).await.unwrap();
        let done = store.act(action, &[head.id], &Operator::new("ada", "test")).await.unwrap();
        if action == Action::Discard && done == [messagekit::operations::ActionResult::Done] {
            let n = serde_json::from_slice::<Value>(&message.received.message.payload).unwrap()["n"]
                .as_i64()
                .unwrap();
            // The records of the source are the only ones before the first output, but not after: ask by value.
            let all: Vec<_> = self.source.iter_all().try_collect().await.unwrap();
            self.settled_by_hand
                .extend(all.iter().filter(|record| record.data["n"] == n).map(|record| record.id));
        }
    }

    /// Repairs every function and retries everything, until nothing is new.
    async fn come_to_rest(&self) {
        *self.repaired.lock().unwrap() = true;
        let store = self.topics.store();
        let ids = store.ids(&FailedMessageFilter::default(), 1_000).await.unwrap();
        store.act(Action::Retry, &ids, &Operator::new("ada", "test")).await.unwrap();
        let graph = if self.strict_only { self.graph() } else { self.graph().strategy(Strategy::BestEffort) };
        graph.run().await.unwrap();
    }

    async fn compare(&self, seed: u64) {
        let records: Vec<_> = self.source.iter_all().try_collect().await.unwrap();
        assert_eq!(records.len() as u64, self.written, "seed {seed}: records of the source");
        let mut outputs: Vec<BTreeMap<u64, u32>> = Vec::new();
        for target in &self.targets {
            let mut made: BTreeMap<u64, u32> = BTreeMap::new();
            let all: Vec<_> = target.iter_all().try_collect().await.unwrap();
            for record in all {
                *made.entry(record.data["n"].as_u64().unwrap()).or_default() += 1;
            }
            outputs.push(made);
        }
        for record in &records {
            let n = record.data["n"].as_u64().unwrap();
            let made: Vec<u32> = outputs.iter().map(|made| made.get(&n).copied().unwrap_or(0)).collect();
            assert!(made.iter().all(|made| *made <= 1), "seed {seed}: {n} was doubled: {made:?}");
            if self.settled_by_hand.contains(&record.id) {
                continue;
            }
            assert_eq!(record.status, RecordStatus::Handled, "seed {seed}: {n}");
            assert!(made.iter().all(|made| *made == 1), "seed {seed}: {n} was lost: {made:?}");
        }
        if self.strict_only {
            let kept_together =
                |n: u64| outputs.windows(2).all(|pair| pair[0].contains_key(&n) == pair[1].contains_key(&n));
            assert!((0..self.written).all(kept_together), "seed {seed}: arms of a record were parted");
        }
    }
}

#[tokio::test]
async fn random_lives_lose_and_double_nothing() {
    let seeds = if std::env::var_os("MESSAGEKIT_FULL").is_some() { home::SEEDS * 20 } else { home::SEEDS };
    // Panics of the functions are meant.
    std::panic::set_hook(Box::new(|_| {}));
    let (mut handled, mut by_hand) = (0, 0);
    for seed in 0..seeds {
        let mut life = Life::new(seed).await;
        for _ in 0..60 {
            life.step().await;
        }
        life.come_to_rest().await;
        let compared = std::panic::AssertUnwindSafe(life.compare(seed)).catch_unwind().await;
        if let Err(panic) = compared {
            let _ = std::panic::take_hook();
            std::panic::resume_unwind(panic);
        }
        handled += life.source.count().await.unwrap().handled;
        by_hand += life.settled_by_hand.len();
    }
    let _ = std::panic::take_hook();
    println!("{handled} records handled, {by_hand} settled by hand");
    assert!(handled > 16 * seeds && by_hand as u64 > seeds, "little happened: {handled} and {by_hand}");
}
