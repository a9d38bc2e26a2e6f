//! Publishing to RabbitMQ.

mod batches;
mod channel;
mod channel_task;
mod confirms;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use messagekit::adapter::{
    BoxFuture, MAX_PAYLOAD_BYTES, PublishError, PublishErrorKind, Published, Publisher, on_wire,
};
use messagekit::{Error, ErrorKind, Message};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::RabbitMq;
use batches::Order;
use channel_task::ChannelTask;

/// Publishes persistent, mandatory messages to RabbitMQ with confirms. Clones share one connection, which the first
/// publish opens.
///
/// Messages of one key are published in sequence, across routing keys and calls: the next one leaves when the broker
/// has confirmed the one before. Keys, and messages without a key, are published concurrently, up to
/// [`window`](RabbitMq::window) unconfirmed messages. Concurrent calls share that window and cost no more than one.
///
/// # Answers
/// - `Rejected`: no queue is bound for the routing key (312), the exchange does not exist (404), the user lacks the
///   right to write to it (403), or the broker accepts no message of that size (406). Also when the routing key is
///   over 255 bytes, or the message breaks the limits of [`Message::check_sizes`] or has more than 64 KiB of key and
///   headers.
/// - `KeyBlocked`: an earlier message of the same key and call failed, and this one never left the process.
/// - `Full`: a queue rejected the message because it is full; other queues of the exchange may have accepted it.
/// - `Unavailable`: the message never left the process within the [deadline](RabbitMq::confirm_deadline): the broker
///   is unreachable or blocks publishers. A retry is useful.
/// - `Unknown`: it was sent, and no confirmation came before the connection or the time ended. A retry is useful;
///   readers may see the message twice.
///
/// The broker closes a channel because of a single message and does not say which one. The publisher sends the
/// channel's unconfirmed messages again, one by one, so that only the one that the broker does not accept is
/// `Rejected`. The others may arrive twice.
#[derive(Clone)]
pub struct RabbitMqPublisher {
    shared: Arc<Shared>,
}

struct Shared {
    rabbit: RabbitMq,
    exchange: Arc<str>,
    task: Mutex<Option<mpsc::UnboundedSender<Order>>>,
    blocked: Arc<AtomicBool>,
}

impl RabbitMq {
    /// Creates a publisher to queues: the topic of a message names the queue. Clones share one connection.
    pub fn publisher(&self) -> RabbitMqPublisher {
        RabbitMqPublisher::new(self.clone(), "")
    }

    /// Creates a publisher to an exchange: the topic of a message is its routing key. Clones share one connection.
    ///
    /// # Panics
    /// Panics if the name is longer than 255 bytes.
    pub fn publisher_to(&self, exchange: &str) -> RabbitMqPublisher {
        assert!(exchange.len() <= 255, "name of an exchange is over 255 bytes");
        RabbitMqPublisher::new(self.clone(), exchange)
    }
}

impl RabbitMqPublisher {
    fn new(rabbit: RabbitMq, exchange: &str) -> Self {
        let (exchange, blocked) = (Arc::from(exchange), Arc::default());
        Self { shared: Arc::new(Shared { rabbit, exchange, task: Mutex::new(None), blocked }) }
    }

    /// Returns whether the broker blocks publishers, usually because it lacks memory or disk.
    ///
    /// The broker reports this only after the first publish that it does not accept; false without a connection.
    pub fn is_blocked(&self) -> bool {
        self.shared.blocked.load(Ordering::Relaxed)
    }

    async fn publish_batch(&self, batch: &[Message]) -> Vec<Published> {
        if batch.is_empty() {
            return Vec::new();
        }
        let (reply, answers) = oneshot::channel();
        let deadline = Instant::now() + self.shared.rabbit.confirm_deadline;
        self.shared.order(Order { messages: on_wire(batch).into_owned(), deadline, reply });
        let Ok(answers) = answers.await else {
            // The task's runtime is shutting down.
            let text = "publisher ended before rabbitmq answered: the message may be published or not";
            let error = Error::new(ErrorKind::OutcomeUnknown, text);
            let unknown = || Err(PublishError { refusal: PublishErrorKind::Unknown, error: error.clone() });
            return batch.iter().map(|_| unknown()).collect();
        };
        answers
    }
}

impl Shared {
    /// Sends an order to the task, and starts a task if none runs in a live runtime.
    fn order(&self, order: Order) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = match &*task {
            Some(open) => match open.send(order) {
                Ok(()) => return,
                Err(refused) => refused.0,
            },
            None => order,
        };
        let (orders, incoming) = mpsc::unbounded_channel();
        let new = ChannelTask::new(self.rabbit.clone(), &self.exchange, incoming, Arc::clone(&self.blocked));
        tokio::spawn(new.run());
        // The send succeeds: the new task holds the receiver.
        let _ = orders.send(refused);
        *task = Some(orders);
    }
}

impl Publisher for RabbitMqPublisher {
    fn publish<'a>(&'a self, batch: &'a [Message]) -> BoxFuture<'a, Vec<Published>> {
        Box::pin(self.publish_batch(batch))
    }

    fn max_bytes(&self) -> usize {
        MAX_PAYLOAD_BYTES
    }

    fn system(&self) -> &'static str {
        "rabbitmq"
    }
}

impl fmt::Debug for RabbitMqPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RabbitMqPublisher")
            .field("rabbit", &self.shared.rabbit)
            .field("exchange", &self.shared.exchange)
            .finish_non_exhaustive()
    }
}
