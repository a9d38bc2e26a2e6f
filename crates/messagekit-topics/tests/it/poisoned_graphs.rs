//! Random graphs of topics, in which one arm fails on one record: every other record has the outputs that it has without that failure.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::TryStreamExt;
use messagekit_topics::{Pipeline, Strategy, Topic, Topics};
use serde_json::{Value, json};

use super::home::{self, Db};

const TOPICS: usize = 6;
const RECORDS: u64 = 8;

/// Topics with arms between them, and how often these were called.
struct Graph {
    topics: Topics<Db>,
    opened: Vec<Topic<Value, Db>>,
    edges: Vec<(usize, usize)>,
    calls: Arc<AtomicU32>,
}

impl Graph {
    async fn new(edges: &[(usize, usize)]) -> Self {
        let topics = home::topics().await;
        let mut opened = Vec::new();
        for number in 0..TOPICS {
            let topic = topics.untyped(format!("t{number}")).open().await.unwrap();
            let rows: Vec<_> =
                (0..RECORDS).map(|n| json!({ "n": n, "path": format!("{number}.{n}") })).collect();
            topic.extend(&rows).await.unwrap();
            opened.push(topic);
        }
        Self { topics, opened, edges: edges.to_vec(), calls: Arc::default() }
    }

    /// Returns the arm of an edge, which fails on the record that has come this way.
    fn arm(&self, (from, to): (usize, usize), poison: Option<String>) -> Pipeline<Db> {
        let calls = Arc::clone(&self.calls);
        let call = move |value: Value| {
            calls.fetch_add(1, Ordering::Relaxed);
            let path = value["path"].as_str().unwrap().to_owned();
            let made = if poison.as_ref() == Some(&path) {
                Err(format!("no {path}"))
            } else {
                Ok(json!({ "n": value["n"], "path": format!("{path}>{to}") }))
            };
            async move { made }
        };
        self.opened[from].pipe(call).to(&self.opened[to])
    }

    /// Runs the graph, with an arm that fails on one record, and returns how often it has failed.
    async fn run(&self, poison: Option<(usize, String)>) -> usize {
        let arms = self.edges.iter().enumerate().map(|(index, edge)| {
            let own = poison.as_ref().filter(|(arm, _)| *arm == index);
            self.arm(*edge, own.map(|(_, path)| path.clone()))
        });
        let graph = self.topics.full_pipeline(arms.collect::<Vec<_>>()).unwrap();
        match graph.strategy(Strategy::BestEffort).run().await {
            Ok(_) => 0,
            Err(error) => error.failures().len(),
        }
    }

    async fn paths(&self, topic: usize) -> Vec<String> {
        let all: Vec<_> = self.opened[topic].iter_all().try_collect().await.unwrap();
        let path = |value: &Value| value["path"].as_str().unwrap().to_owned();
        let mut paths: Vec<String> = all.iter().map(|record| path(&record.data)).collect();
        paths.sort();
        paths
    }
}

fn edges(random: &mut fastrand::Rng) -> Vec<(usize, usize)> {
    let pairs = (0..TOPICS).flat_map(|to| (0..to).map(move |from| (from, to)));
    let mut edges: Vec<(usize, usize)> = pairs.filter(|_| random.bool()).collect();
    random.shuffle(&mut edges);
    if edges.is_empty() { vec![(0, 1)] } else { edges }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_record_changes_nothing_for_any_other() {
    for seed in 0..home::SEEDS / 4 {
        let mut random = fastrand::Rng::with_seed(seed);
        let edges = edges(&mut random);
        let (clean, poisoned) = (Graph::new(&edges).await, Graph::new(&edges).await);
        assert_eq!(clean.run(None).await, 0, "seed {seed}");
        let arm = random.usize(..edges.len());
        let (from, to) = edges[arm];
        let inputs = clean.paths(from).await;
        let poison = inputs[random.usize(..inputs.len())].clone();
        // It fails until it is dead: each run leaves the others as they are.
        for _ in 0..2 {
            assert_eq!(poisoned.run(Some((arm, poison.clone()))).await, 1, "seed {seed}: {poison} to {to}");
            let lost = format!("{poison}>{to}");
            for topic in 0..TOPICS {
                let mut expected = clean.paths(topic).await;
                expected.retain(|path| *path != lost && !path.starts_with(&format!("{lost}>")));
                assert_eq!(poisoned.paths(topic).await, expected, "seed {seed}: topic {topic} of {edges:?}");
            }
        }
        // The second run calls the arm that has failed, and nothing else.
        let made: u32 = clean.calls.load(Ordering::Relaxed);
        assert!(poisoned.calls.load(Ordering::Relaxed) <= made + 2, "seed {seed}: called again");
    }
}
