//! A file with a table of notes, for the tests that need no other process.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use messagekit::adapter::{Publisher, codec};
use messagekit::consumer::ConsumerStats;
use messagekit::operations::{Action, FailedMessage, FailedMessageFilter, FailedMessages, Operator};
use messagekit::{
    Consumer, ConsumerBuilder, Envelope, Error, Event, HandlerError, Message, OnFailure, Shutdown, Stats,
    Store,
};
use messagekit_sqlite::{SqliteOptions, SqliteSource, SqliteStore, SqliteTx};
use messagekit_testkit::eventually;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::time::SOON;

/// The event of the tests.
#[derive(Clone, Debug, Event, Serialize, Deserialize)]
#[event(type = "desk.note.taken", key = "pad")]
pub(crate) struct NoteTaken {
    pub(crate) pad: String,
    pub(crate) number: i64,
}

/// A new file in its own folder.
pub(crate) struct Console {
    folder: TempDir,
    pub(crate) store: SqliteStore,
}

impl Console {
    /// Creates the file. Topics have one partition, which gives one order of all records.
    pub(crate) async fn new() -> Self {
        Self::with(patient().partitions(NonZeroU32::MIN)).await
    }

    pub(crate) async fn with(options: SqliteOptions) -> Self {
        let folder = TempDir::new().expect("a folder can be made");
        let store = options.open(folder.path().join("desk.db")).await.unwrap();
        let console = Self { folder, store };
        console.change("CREATE TABLE notes (number INTEGER NOT NULL, text TEXT) STRICT").await;
        console
    }

    /// Opens the same file once more, as another process would.
    pub(crate) async fn second(&self) -> SqliteStore {
        patient().open(self.path()).await.unwrap()
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("desk.db")
    }

    /// Runs statements in a transaction.
    pub(crate) async fn change(&self, sql: &'static str) {
        let mut tx = self.store.begin().await.unwrap();
        tx.call(move |c| c.execute_batch(sql)).await.unwrap();
        self.store.commit(tx).await.unwrap();
    }

    /// Returns the first column of a query.
    pub(crate) async fn numbers(&self, sql: &'static str) -> Vec<i64> {
        self.store.read(move |c| c.query_all(sql, (), |row| row.get(0))).await.unwrap()
    }

    /// Returns the numbers that handlers have inserted, in that order.
    pub(crate) async fn notes(&self) -> Vec<i64> {
        self.numbers("SELECT number FROM notes ORDER BY rowid").await
    }

    pub(crate) async fn failed_messages(&self) -> Vec<FailedMessage> {
        let mut failed_messages = Vec::new();
        for id in self.store.ids(&FailedMessageFilter::default(), 1_000).await.unwrap() {
            failed_messages.push(self.store.show(id).await.unwrap());
        }
        failed_messages
    }

    /// Requests a retry of a failed message.
    pub(crate) async fn retry(&self, failed_message: i64) -> Result<(), Error> {
        retry(&self.store, failed_message).await
    }

    pub(crate) async fn publish(&self, messages: &[Message]) {
        for result in self.store.publisher().publish(messages).await {
            result.unwrap();
        }
    }

    /// Publishes notes with these numbers, each with a new id.
    pub(crate) async fn publish_notes(&self, numbers: impl IntoIterator<Item = i64>) {
        self.publish(&numbers.into_iter().map(note).collect::<Vec<_>>()).await;
    }

    /// Returns a consumer of the notes, without a handler.
    pub(crate) fn consumer(&self) -> ConsumerBuilder<SqliteStore, SqliteSource> {
        consumer(&self.store)
    }
}

/// Requests a retry of a failed message, as an operator.
pub(crate) async fn retry(store: &SqliteStore, failed_message: i64) -> Result<(), Error> {
    store.act(Action::Retry, &[failed_message], &Operator::new("operator", "test")).await?[0]
        .done(Action::Retry, failed_message)
}

/// Returns options for tests that do not test the transaction timeout: a busy machine must not look like a misbehaving handler.
pub(crate) fn patient() -> SqliteOptions {
    SqliteStore::options().transaction_timeout(Duration::from_secs(60)).busy_timeout(Duration::from_secs(60))
}

/// Returns the consumer `reader` of a store's notes, without a handler. Notes are independent: one that fails blocks no other.
pub(crate) fn consumer(store: &SqliteStore) -> ConsumerBuilder<SqliteStore, SqliteSource> {
    let notes = store.topics([NoteTaken::TOPIC]);
    Consumer::builder("reader", store.clone()).from(notes).on_failure(OnFailure::DeadLetter)
}

/// Returns a note as a message with its own id.
pub(crate) fn note(number: i64) -> Message {
    let note = NoteTaken { pad: "p-1".to_owned(), number };
    codec::encode(&Envelope::new(note), "desk").unwrap()
}

/// Handles a note correctly.
pub(crate) async fn write_down(tx: &mut SqliteTx, note: Envelope<NoteTaken>) -> Result<(), HandlerError> {
    write(tx, note.data.number).await?;
    Ok(())
}

/// Inserts a number into the notes.
pub(crate) async fn write(tx: &mut SqliteTx, number: i64) -> Result<usize, messagekit_sqlite::Error> {
    tx.call(move |c| c.execute("INSERT INTO notes (number) VALUES (?1)", [number])).await
}

/// A running consumer.
pub(crate) struct Running {
    pub(crate) shutdown: Shutdown,
    pub(crate) stats: Stats,
    task: JoinHandle<Result<(), Error>>,
}

impl Running {
    pub(crate) fn start(consumer: ConsumerBuilder<SqliteStore, SqliteSource>) -> Self {
        let consumer = consumer.build().unwrap();
        let (shutdown, stats) = (Shutdown::new(), consumer.stats());
        let task = tokio::spawn(consumer.run(shutdown.clone()));
        Self { shutdown, stats, task }
    }

    /// Waits until the statistics are as expected.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(ConsumerStats) -> bool) {
        eventually(what, SOON, async || {
            assert!(!self.task.is_finished(), "the consumer ended before: {what}");
            holds(self.stats.read())
        })
        .await;
    }

    /// Stops it and returns its statistics.
    pub(crate) async fn stop(self) -> ConsumerStats {
        self.shutdown.request();
        tokio::time::timeout(SOON, self.task).await.expect("the consumer ends in time").unwrap().unwrap();
        self.stats.read()
    }
}
