//! Publishing to RabbitMQ.

mod batches;
mod channel;
mod channel_task;
mod confirms;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use messagekit::{
    BoxFuture, Error, ErrorKind, MAX_PAYLOAD_BYTES, Message, PublishError, PublishErrorKind, Published,
    Publisher,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::RabbitMq;
use batches::Order;
use channel_task::ChannelTask;

/// Publishes to RabbitMQ: persistent, mandatory and confirmed. Clones share one connection, which the first publish opens.
///
/// Messages of one key go one after the other, whatever their routing keys and whichever call brings them: the next one
/// leaves when the broker has confirmed the one before. Keys, and messages without a key, go side by side, up to
/// [`window`](RabbitMq::window) unconfirmed messages. Many calls at once share that window and cost no more than one.
///
/// # Answers
/// - `Rejected`: no queue is bound for the routing key (312), the exchange is not there (404), this user may not write to
///   it (403), the broker takes no message of that size (406), the routing key is over 255 bytes, or the message breaks the
///   limits of [`Message::check_sizes`] or has more than 64 KiB of key and headers.
/// - `KeyBlocked`: an earlier message of the same key and call failed, and this one never left the process.
/// - `Full`: a queue refused the message because it has no room; behind an exchange other queues may have taken it.
/// - `Unavailable`: it never left the process within the [deadline](RabbitMq::confirm_deadline): the broker is away or has
///   stopped publishers.
/// - `Unknown`: it was sent, and no confirmation came before the connection or the time ended. Repeat it; readers may see
///   it twice.
///
/// The broker closes a channel over a single message and says not which one: what was unconfirmed on it is sent again, one
/// by one, so that only the one that it will not take is `Rejected`; others of that moment may arrive twice.
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

impl RabbitMqPublisher {
    pub(crate) fn new(rabbit: RabbitMq, exchange: &str) -> Self {
        let (exchange, blocked) = (Arc::from(exchange), Arc::default());
        Self { shared: Arc::new(Shared { rabbit, exchange, task: Mutex::new(None), blocked }) }
    }

    /// Returns whether the broker has stopped publishers, as a rule for want of memory or disk.
    ///
    /// It says so only after the first publish that it does not take; false while there is no connection.
    pub fn is_blocked(&self) -> bool {
        self.shared.blocked.load(Ordering::Relaxed)
    }

    async fn publish_batch(&self, batch: &[Message]) -> Vec<Published> {
        if batch.is_empty() {
            return Vec::new();
        }
        let (reply, answers) = oneshot::channel();
        let deadline = Instant::now() + self.shared.rabbit.confirm_deadline;
        self.shared.order(Order { messages: batch.to_vec(), deadline, reply });
        let Ok(answers) = answers.await else {
            // The runtime that it ran in is being shut down.
            let text = "publisher ended before rabbitmq answered: the message may be published or not";
            let error = Error::new(ErrorKind::OutcomeUnknown, text);
            let unknown = || Err(PublishError { refusal: PublishErrorKind::Unknown, error: error.clone() });
            return batch.iter().map(|_| unknown()).collect();
        };
        answers
    }
}

impl Shared {
    /// Hands an order to the desk, and opens a desk when there is none in a living runtime.
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
        // It cannot be closed: the desk has its other end.
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
}

impl fmt::Debug for RabbitMqPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RabbitMqPublisher")
            .field("rabbit", &self.shared.rabbit)
            .field("exchange", &self.shared.exchange)
            .finish_non_exhaustive()
    }
}
