//! A database, a dead-letter queue and a bookkeeper for one test.

use std::time::Duration;

use messagekit::operations::{
    Action, ActionResult, FailedMessage, FailedMessageFilter, FailedMessageState, FailedMessages, Operator,
};
use messagekit::{Error, Shutdown};
use messagekit_bookkeeper::{Bookkeeper, BookkeeperStats, Reading};
use messagekit_kafka::Kafka;
use messagekit_postgres::PostgresStore;
use messagekit_rabbitmq::RabbitMq;
use messagekit_testkit::{eventually, unique};
use messagekit_tests::{Database, make_topic, services};
use tokio::task::JoinHandle;

use crate::rabbit::Rabbit;

/// Longer than a start and a rebalance on a busy machine take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) struct Stage {
    pub(crate) name: String,
    pub(crate) database: Database,
    pub(crate) store: PostgresStore,
    pub(crate) rabbit: Rabbit,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let database = Database::fresh().await;
        let store = database.store().await;
        let stage = Self { name: unique("bookkeeper"), database, store, rabbit: Rabbit::connect().await };
        stage.rabbit.queue(&stage.dead(), &[]).await;
        stage
    }

    /// Returns a name that is unique to this test.
    pub(crate) fn of(&self, name: &str) -> String {
        format!("{}.{name}", self.name)
    }

    /// Returns the name of the dead-letter queue and of the dead-letter topic.
    pub(crate) fn dead(&self) -> String {
        self.of("dead")
    }

    pub(crate) fn rabbitmq() -> RabbitMq {
        RabbitMq::new(&services::amqp_url()).unwrap().allow_lossy_queues()
    }

    /// Starts a bookkeeper of the dead-letter queue.
    pub(crate) fn keep_queue(&self) -> Running {
        let rabbit = Self::rabbitmq();
        let bookkeeper = Bookkeeper::builder(&*self.name, self.store.clone());
        Running::start(bookkeeper.queues(rabbit.queue(self.dead()), rabbit.publisher()).build().unwrap())
    }

    /// Creates the dead-letter topic and starts a bookkeeper of it.
    pub(crate) async fn keep_topic(&self) -> Running {
        make_topic(&self.dead(), 1, &[]).await;
        let kafka = Kafka::new(services::kafka());
        let bookkeeper = Bookkeeper::builder(&*self.name, self.store.clone());
        let topics = kafka.topics([self.dead()]);
        Running::start(bookkeeper.topics(topics, kafka.publisher().unwrap()).build().unwrap())
    }

    /// Returns every failed message, oldest first.
    pub(crate) async fn failed_messages(&self) -> Vec<FailedMessage> {
        let mut failed_messages = Vec::new();
        for id in self.store.ids(&FailedMessageFilter::default(), 1_000).await.unwrap() {
            failed_messages.push(self.store.show(id).await.unwrap());
        }
        failed_messages
    }

    /// Waits for `failed_messages` failed messages.
    pub(crate) async fn until_failed_messages(&self, failed_messages: usize) -> Vec<FailedMessage> {
        let mut found = Vec::new();
        eventually("the failed messages are kept", PATIENCE, async || {
            found = self.failed_messages().await;
            found.len() == failed_messages
        })
        .await;
        found
    }

    /// Performs an action as an operator.
    pub(crate) async fn act(&self, act: Action, failed_message: i64) -> ActionResult {
        self.store.act(act, &[failed_message], &Operator::new("ann", "test")).await.unwrap()[0]
    }

    pub(crate) async fn until_state(&self, failed_message: i64, state: FailedMessageState) {
        eventually(&format!("failed message {failed_message} is {state}"), PATIENCE, async || {
            self.store.show(failed_message).await.unwrap().state == state
        })
        .await;
    }

    /// Retries a failed message as an operator, and waits until it is redelivered.
    pub(crate) async fn send_back(&self, failed_message: i64) {
        assert_eq!(self.act(Action::Retry, failed_message).await, ActionResult::Done);
        self.until_state(failed_message, FailedMessageState::Resolved).await;
    }
}

/// A running loop.
pub(crate) struct Running {
    pub(crate) stats: BookkeeperStats,
    pub(crate) readings: Vec<Reading>,
    shutdown: Shutdown,
    task: JoinHandle<Result<(), Error>>,
}

impl Running {
    fn start(bookkeeper: Bookkeeper) -> Self {
        let (stats, readings, shutdown) = (bookkeeper.stats(), bookkeeper.readings(), Shutdown::new());
        Self { stats, readings, task: tokio::spawn(bookkeeper.run(shutdown.clone())), shutdown }
    }

    /// Stops the loop as a deployment does.
    pub(crate) async fn stop(self) {
        self.shutdown.request();
        self.task.await.unwrap().unwrap();
    }
}
