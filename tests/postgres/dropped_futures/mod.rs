//! Futures that are dropped or time out at every await: nothing is lost or applied twice, and the next user of the pool is in
//! no other transaction.

mod consumer;
mod failed_messages;
mod orders;
mod relay;

use std::sync::atomic::{AtomicUsize, Ordering};

use messagekit::Error;
use messagekit_postgres::PostgresStore;
use messagekit_testkit::{Moment, given_up};
use messagekit_tests::Database;
use sqlx::Row;

/// The smallest number of drops in each stage, and of complete walks through each operation, from its first poll to its end.
const TIMES: usize = 3;

/// The caller's knowledge of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Kept,
    Nothing,
    Unknown,
}

/// The current stage of an operation.
#[derive(Default)]
struct Stage(AtomicUsize);

impl Stage {
    fn is(&self, stage: usize) {
        self.0.store(stage, Ordering::Relaxed);
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Returns the caller's knowledge from the result of a future. Only in the last stage something may be kept.
fn known(outcome: Option<Result<(), Error>>, stage: &Stage, stages: &[&str]) -> Known {
    match outcome {
        Some(outcome) => {
            outcome.unwrap();
            Known::Kept
        }
        None if stage.get() + 1 == stages.len() => Known::Unknown,
        None => Known::Nothing,
    }
}

/// Drops one operation after another, each a poll later than the previous one, until every stage was hit.
async fn strike<T>(
    stages: &[&str],
    prepare: impl AsyncFn(usize) -> T,
    work: impl AsyncFn(&T, &Stage) -> Result<(), Error>,
    after: impl AsyncFn(T, Known),
) {
    let mut number = 0;
    for moment in [Moment::Waiting, Moment::Answered] {
        let (mut struck, mut walks) = (vec![0; stages.len()], 0);
        let mut polls = 1;
        while walks < TIMES || struck.iter().any(|times| *times < TIMES) {
            number += 1;
            assert!(number < 20_000, "{moment:?}: struck {struck:?} times at {stages:?}");
            let (subject, stage) = (prepare(number).await, Stage::default());
            let outcome = given_up(work(&subject, &stage), polls, moment).await;
            let known = known(outcome, &stage, stages);
            // The server may answer before the next poll, so the same number of polls may end at another await.
            if known == Known::Kept {
                (polls, walks) = (1, walks + 1);
            } else {
                (polls, struck[stage.get()]) = (polls + 1, struck[stage.get()] + 1);
            }
            after(subject, known).await;
        }
    }
}

/// Opens a database with few connections: the next user meets the state that an operation left on one.
async fn narrow(database: &Database, connections: u32) -> PostgresStore {
    let options = PostgresStore::options().max_connections(connections);
    options.connect(database.url()).await.unwrap()
}

/// Checks every connection of a pool as its next user would find it.
async fn assert_pool_is_clean(store: &PostgresStore) {
    let mut held = Vec::new();
    for _ in 0..store.pool().options().get_max_connections() {
        let mut connection = store.pool().acquire().await.unwrap();
        // The two are equal if no transaction was open before.
        let is_alone = sqlx::raw_sql("SELECT now() = statement_timestamp()");
        let row = is_alone.fetch_one(&mut *connection).await.unwrap();
        assert!(row.get::<bool, _>(0), "a connection came back in a transaction");
        held.push(connection);
    }
}
