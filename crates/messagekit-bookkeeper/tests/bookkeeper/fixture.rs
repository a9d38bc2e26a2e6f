//! An in-memory broker and database, and a bookkeeper between them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use messagekit::adapter::{BoxFuture, PublishError, PublishErrorKind, Published, Publisher};
use messagekit::operations::{
    Action, ActionResult, FailedMessage, FailedMessageFilter, FailedMessageState, FailedMessages, Operator,
};
use messagekit::{Error, ErrorKind, Message, Shutdown, headers};
use messagekit_bookkeeper::{Bookkeeper, BookkeeperStats};
use messagekit_memory::{MemoryLog, MemoryStore};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Name of the dead-letter queue and of the dead-letter topic.
pub(crate) const DEAD: &str = "dead";
/// Longer than any lease and any outage in these tests, in virtual time.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// The broker's response to the next batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Refuses it.
    Refuse(PublishErrorKind, ErrorKind),
    /// Accepts it and never responds.
    TakeAndStaySilent,
    /// Accepts it, and responds when the test allows.
    TakeAndWait,
}

/// A broker with scripted responses.
#[derive(Clone)]
pub(crate) struct Broker {
    pub(crate) log: MemoryLog,
    answers: Arc<Mutex<VecDeque<Answer>>>,
    pub(crate) allowed: Arc<Semaphore>,
}

impl Publisher for Broker {
    fn publish<'a>(&'a self, batch: &'a [Message]) -> BoxFuture<'a, Vec<Published>> {
        Box::pin(async move {
            let answer = self.answers.lock().expect("answers").pop_front();
            match answer {
                Some(Answer::Refuse(refusal, kind)) => {
                    let error = Error::new(kind, "the broker said no");
                    batch.iter().map(|_| Err(PublishError { refusal, error: error.clone() })).collect()
                }
                Some(Answer::TakeAndStaySilent) => {
                    self.log.publish(batch).await;
                    std::future::pending().await
                }
                Some(Answer::TakeAndWait) => {
                    let taken = self.log.publish(batch).await;
                    self.allowed.acquire().await.expect("open").forget();
                    taken
                }
                None => self.log.publish(batch).await,
            }
        })
    }

    fn max_bytes(&self) -> usize {
        self.log.max_bytes()
    }
}

pub(crate) struct World {
    pub(crate) broker: Broker,
    pub(crate) store: MemoryStore,
}

impl World {
    pub(crate) fn new() -> Self {
        let (answers, allowed) = (Arc::default(), Arc::new(Semaphore::new(0)));
        let broker = Broker { log: MemoryLog::new(1), answers, allowed };
        Self { broker, store: MemoryStore::new() }
    }

    /// Sets the broker's responses to the next batches.
    pub(crate) fn next(&self, answers: impl IntoIterator<Item = Answer>) {
        self.broker.answers.lock().expect("answers").extend(answers);
    }

    /// Returns the number of unused responses.
    pub(crate) fn answers_left(&self) -> usize {
        self.broker.answers.lock().expect("answers").len()
    }

    /// Adds a message to the dead-letter queue.
    pub(crate) async fn dies(&self, message: Message) {
        let published = self.broker.log.publish(&[message]).await;
        published.into_iter().for_each(|published| published.expect("published"));
    }

    /// Returns the content of a queue.
    pub(crate) fn queue(&self, name: &str) -> Vec<Message> {
        self.broker.log.records(name).into_iter().map(|record| record.message).collect()
    }

    /// Returns every failed message, oldest first.
    pub(crate) async fn failed_messages(&self) -> Vec<FailedMessage> {
        let ids = self.store.ids(&FailedMessageFilter::default(), u32::MAX).await.expect("failed_messages");
        let mut failed_messages = Vec::new();
        for id in ids {
            failed_messages.push(self.store.show(id).await.expect("it is listed"));
        }
        failed_messages
    }

    /// Returns the only failed message.
    pub(crate) async fn failed_message(&self) -> FailedMessage {
        let mut failed_messages = self.failed_messages().await;
        assert_eq!(failed_messages.len(), 1, "one failed message");
        failed_messages.remove(0)
    }

    /// Applies an operator's action to a failed message.
    pub(crate) async fn act(&self, act: Action, failed_message: i64) -> ActionResult {
        self.store.act(act, &[failed_message], &Operator::new("ann", "test")).await.expect("the desk answers")
            [0]
    }

    /// Requests the redelivery of a failed message, as an operator.
    pub(crate) async fn retry(&self, failed_message: i64) {
        assert_eq!(self.act(Action::Retry, failed_message).await, ActionResult::Done);
    }

    pub(crate) async fn until_failed_messages(&self, failed_messages: usize) {
        until(async || self.failed_messages().await.len() == failed_messages).await;
    }

    pub(crate) async fn until_state(&self, failed_message: i64, state: FailedMessageState) {
        until(async || self.store.show(failed_message).await.expect("a failed message").state == state).await;
    }

    /// Starts a bookkeeper of the dead-letter queue.
    pub(crate) fn keep_queue(&self) -> Running {
        let queues = self.broker.log.topics([DEAD]);
        let builder = Bookkeeper::builder("bookkeeper", self.store.clone());
        Running::start(builder.queues(queues, self.broker.clone()).build().expect("a valid bookkeeper"))
    }

    /// Starts a bookkeeper of the dead-letter topic.
    pub(crate) fn keep_topic(&self) -> Running {
        let topics = self.broker.log.topics([DEAD]);
        let builder = Bookkeeper::builder("bookkeeper", self.store.clone());
        Running::start(builder.topics(topics, self.broker.clone()).build().expect("a valid bookkeeper"))
    }
}

/// Returns a message that a consumer of `queue` has rejected.
pub(crate) fn rejected(id: &str, queue: &str) -> Message {
    let account = format!(r#"[{{"queue":{queue:?},"reason":"rejected","count":1}}]"#);
    Message::new(DEAD, format!(r#"{{"eventType":"orders.order.placed","eventId":{id:?}}}"#))
        .with_key("order-1")
        .with_header(headers::ID, id.to_owned())
        .with_header("tenant", "north")
        .with_header(headers::X_DEATH, account)
}

/// A running bookkeeper.
pub(crate) struct Running {
    pub(crate) stats: BookkeeperStats,
    shutdown: Shutdown,
    task: JoinHandle<Result<(), Error>>,
}

impl Running {
    pub(crate) fn start(bookkeeper: Bookkeeper) -> Self {
        let (stats, shutdown) = (bookkeeper.stats(), Shutdown::new());
        Self { stats, task: tokio::spawn(bookkeeper.run(shutdown.clone())), shutdown }
    }

    /// Waits for the end.
    pub(crate) async fn ended(self) -> Result<(), Error> {
        let ended = tokio::time::timeout(PATIENCE, self.task).await;
        ended.expect("the bookkeeper ends").expect("the bookkeeper does not panic")
    }

    /// Stops it as a deployment does.
    pub(crate) async fn stop(self) {
        self.shutdown.request();
        self.ended().await.expect("a clean stop");
    }

    /// Stops it as a crash does.
    pub(crate) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.is_err(), "it was at work");
        // The runtime drops aborted futures during this time.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Waits until a condition holds; panics after an hour of virtual time.
#[track_caller]
pub(crate) fn until(mut holds: impl AsyncFnMut() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let started = Instant::now();
        while !holds().await {
            assert!(started.elapsed() < PATIENCE, "waited in vain at {caller}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Advances virtual time.
pub(crate) async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}
