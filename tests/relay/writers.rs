//! Services that write events of a few keys continuously, faster than a blocked relay can publish.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use messagekit::Store;
use messagekit::adapter::OutboxRows;
use messagekit_testkit::DEADLINE;
use tokio::task::JoinHandle;

use crate::stage::Stage;

/// The writers pause at this number of waiting events: a slow machine must publish and read all of them.
const BACKLOG: i64 = 2_000;

pub(crate) struct Writers {
    stop: Arc<AtomicBool>,
    poison: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Writers {
    /// Each writer has its own keys, which are committed in the order in which they are added. Every fifth
    /// transaction is rolled back. The first key gets the poison event on request.
    pub(crate) fn start(stage: &Arc<Stage>, keys: Vec<Vec<String>>) -> Self {
        let (stop, poison) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let tasks = keys
            .into_iter()
            .enumerate()
            .map(|(writer, keys)| {
                let poison = if writer == 0 { poison.clone() } else { Arc::default() };
                tokio::spawn(write(stage.clone(), keys, seed() + writer as u64, stop.clone(), poison))
            })
            .collect();
        Self { stop, poison, tasks }
    }

    /// Lets the first writer commit an event that is larger than the topic accepts, with more events of its key behind it.
    pub(crate) fn poison(&self) {
        self.poison.store(true, Ordering::Relaxed);
    }

    /// Lets them finish their transactions.
    pub(crate) async fn finish(self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            tokio::time::timeout(DEADLINE, task).await.expect("writers end").unwrap();
        }
    }
}

async fn write(
    stage: Arc<Stage>,
    keys: Vec<String>,
    seed: u64,
    stop: Arc<AtomicBool>,
    poison: Arc<AtomicBool>,
) {
    let mut dice = fastrand::Rng::with_seed(seed);
    for number in 0_u64.. {
        while number.is_multiple_of(10) && !stop.load(Ordering::Relaxed) && stage.pending().await > BACKLOG {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let kept = dice.u8(..5) > 0;
        let mut events = Vec::new();
        for n in 0..dice.u64(1..20) {
            let key = &keys[dice.usize(..keys.len())];
            let id = format!("{}{key}-{number}-{n}", if kept { "" } else { "gone-" });
            let text = format!("{{\"n\": {number}, \"note\": \"{}\"}}", "x".repeat(dice.usize(..200)));
            events.push(stage.event(key, &id, text.into_bytes()));
        }
        if kept && poison.swap(false, Ordering::Relaxed) {
            events.push(stage.poison(&keys[0]));
            events.push(stage.event(&keys[0], "behind-the-poison", b"{}".to_vec()));
        }
        let mut tx = stage.store.begin().await.unwrap();
        stage.store.write(&mut tx, &events).await.unwrap();
        match kept {
            true => stage.store.commit(tx).await.unwrap(),
            false => stage.store.rollback(tx).await.unwrap(),
        }
    }
}

pub(crate) fn seed() -> u64 {
    let seed = std::env::var("MESSAGEKIT_SEED").ok();
    seed.map_or(7, |seed| seed.parse().expect("MESSAGEKIT_SEED is a number"))
}
