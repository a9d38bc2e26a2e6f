//! Futures that are dropped or time out at every await: nothing is lost, nothing is doubled, and whoever uses the pool next is in
//! nobody's transaction.

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

/// So often each stage is struck at least, and each piece of work is walked through from its first poll to its end.
const TIMES: usize = 3;

/// What its caller knows of a piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Kept,
    Nothing,
    Unknown,
}

/// How far a piece of work has come.
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

/// Says what the caller knows of work whose future gave this, if anything. Only in the last stage something may be kept.
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

/// Drops one piece of work after the other, each a poll later than the one before, until every stage was struck.
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
            // The server may answer before it is asked again, so the same number of polls may end at another await.
            if known == Known::Kept {
                (polls, walks) = (1, walks + 1);
            } else {
                (polls, struck[stage.get()]) = (polls + 1, struck[stage.get()] + 1);
            }
            after(subject, known).await;
        }
    }
}

/// Opens a database with few connections, so that what is left on one is met by the next user.
async fn narrow(database: &Database, connections: u32) -> PostgresStore {
    let options = PostgresStore::options().max_connections(connections);
    options.connect(database.url()).await.unwrap()
}

/// Looks at every connection of a pool as its next user does.
async fn assert_pool_is_clean(store: &PostgresStore) {
    let mut held = Vec::new();
    for _ in 0..store.pool().options().get_max_connections() {
        let mut connection = store.pool().acquire().await.unwrap();
        // The two are the same where no transaction was open before.
        let is_alone = sqlx::raw_sql("SELECT now() = statement_timestamp()");
        let row = is_alone.fetch_one(&mut *connection).await.unwrap();
        assert!(row.get::<bool, _>(0), "a connection came back in a transaction");
        held.push(connection);
    }
}
