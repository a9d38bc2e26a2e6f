//! Publishing to Kafka.

mod answers;
mod client;
mod clients;
mod delivery_outcome;
mod route;
mod size_limits;
mod warm_up;

use std::fmt;
use std::sync::Arc;

use futures_util::future::join_all;
use messagekit::Message;
use messagekit::adapter::{BoxFuture, MAX_PAYLOAD_BYTES, Published, Publisher, on_wire};
use tokio::time::Instant;

use crate::record::wire_size;
use crate::{Error, Kafka};
use answers::{Answers, RouteBatch};
use clients::Clients;
use delivery_outcome::DeliveryOutcome;
use rdkafka::error::RDKafkaErrorCode as Code;
use route::Route;
use size_limits::SizeLimits;

/// Publishes to Kafka with confirmation by every in-sync replica; clones share their clients.
///
/// # Answers
/// - `Rejected`: the record is too large for the client or the topic, the topic does not exist or is forbidden, or
///   the message breaks the limits of [`Message::check`].
/// - `KeyBlocked`: an earlier message of the same topic and key failed, and this one never left the process.
/// - `Unavailable`: the message never left the process, because no broker took it within `delivery.timeout.ms` or
///   because the client ended first. Or the broker rejected the timestamp of this machine's clock. A retry is useful.
/// - `Unknown`: it was sent and no answer came. A retry is useful; readers may see the message twice.
///
/// # Limits of size
/// The limit of a topic, `max.message.bytes`, counts after compression, so only the broker knows whether a message fits.
/// The publisher asks the brokers for the limit of each topic (right `DescribeConfigs` on it), and sends a message that
/// is larger before compression alone, by a client of its own: a refusal costs other messages nothing. It learns of a
/// lowered limit by the first refusal and of a raised one within five minutes. A topic with a limit below `batch.size`
/// gets smaller batches. Without the right, refusals teach the limit.
///
/// A rejection of any other message ends its client, because later records of a key must not pass a rejected one; the
/// next call uses a new client. Messages of other calls in flight through the same client are then answered
/// `Unavailable` or `Unknown`. A broker rejects requests, not records. The publisher sends the records of a rejected
/// request again, one per request, so that only a record that is itself too large is `Rejected`.
#[derive(Clone)]
pub struct KafkaPublisher {
    shared: Arc<Shared>,
    checks: bool,
}

struct Shared {
    kafka: Kafka,
    clients: Clients,
    limits: Arc<SizeLimits>,
}

impl Kafka {
    /// Creates a publisher; its clones share their clients.
    ///
    /// An unreachable broker is no error here: [`publish`](messagekit::adapter::Publisher::publish) reports it.
    ///
    /// # Errors
    /// Permanent, [`ErrorKind::InvalidConfiguration`](messagekit::ErrorKind::InvalidConfiguration), when librdkafka does
    /// not accept a setting.
    pub fn publisher(&self) -> Result<KafkaPublisher, Error> {
        let clients = Clients::new(self.producer())?;
        let limits = Arc::new(SizeLimits::new(self.asking()));
        Ok(KafkaPublisher { shared: Arc::new(Shared { kafka: self.clone(), clients, limits }), checks: true })
    }
}

impl KafkaPublisher {
    /// Skips the check of [`Message::check`]; the limits of the client and the broker, such as `message.max.bytes`,
    /// still apply. It is for messages that were read from Kafka and return there with a few more headers, as failed
    /// messages do.
    #[must_use]
    pub fn without_limits(mut self) -> Self {
        self.checks = false;
        self
    }

    async fn publish_batch(&self, batch: &[Message]) -> Vec<Published> {
        let (shared, batch) = (&*self.shared, &*on_wire(batch));
        let deadline = Instant::now() + shared.kafka.delivery_timeout();
        let mut answers = Answers::new(batch, self.checks);
        while answers.have_open() {
            let began = Instant::now();
            let limits = shared.limits.learn(&answers.open_topics(), deadline).await;
            let route = |message: &Message| match (wire_size(message), limits.get(&message.topic)) {
                (size, _) if size > shared.clients.max_message_bytes => Some(Route::Alone),
                (size, limit) => Some(Route::of(size, *limit?, shared.clients.batch_bytes)),
            };
            // At once: a broker that is away holds up only what goes to it.
            let parts = answers.parts(route);
            let sent = join_all(parts.iter().map(|part| shared.send(part, began, deadline))).await;
            let mut is_over = Instant::now() >= deadline;
            for (part, outcomes) in parts.iter().zip(sent) {
                match outcomes {
                    Ok(outcomes) => answers.note(part, outcomes),
                    Err(error) => {
                        tracing::warn!(%error, "publisher cannot be made again");
                        is_over = true;
                    }
                }
            }
            if is_over {
                break;
            }
        }
        answers.finish()
    }
}

impl Shared {
    /// Sends the messages of one route, and notes what the answers say of the limits of topics.
    async fn send(
        &self,
        part: &RouteBatch<'_>,
        began: Instant,
        deadline: Instant,
    ) -> Result<Vec<(usize, DeliveryOutcome)>, messagekit::Error> {
        let client = self.clients.of(part.route)?;
        let (outcomes, ended) = client.send(part.messages.clone(), deadline).await;
        if ended {
            self.clients.remove(part.route, &client);
        }
        let too_large = DeliveryOutcome::Refused(Code::MessageSizeTooLarge);
        for (index, _) in outcomes.iter().filter(|(_, fate)| *fate == too_large) {
            let Some((_, message)) = part.messages.iter().find(|(sent, _)| sent == index) else { continue };
            let size = wire_size(message);
            match part.route {
                // The client itself refuses what is over its own setting, which says nothing of the topic.
                Route::Alone if size > self.clients.max_message_bytes => {}
                Route::Alone => self.limits.refused_alone(&message.topic, size),
                Route::Common | Route::Narrow(_) => self.limits.refused(&message.topic, began),
            }
        }
        Ok(outcomes)
    }
}

impl Publisher for KafkaPublisher {
    fn publish<'a>(&'a self, batch: &'a [Message]) -> BoxFuture<'a, Vec<Published>> {
        Box::pin(self.publish_batch(batch))
    }

    fn max_bytes(&self) -> usize {
        if self.checks { MAX_PAYLOAD_BYTES } else { usize::MAX }
    }

    fn system(&self) -> &'static str {
        "kafka"
    }
}

impl fmt::Debug for KafkaPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaPublisher").field("kafka", &self.shared.kafka).finish_non_exhaustive()
    }
}
