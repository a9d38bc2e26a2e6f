//! Publishing to Kafka.

mod answers;
mod client;
mod delivery_outcome;
mod warm_up;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use messagekit::Message;
use messagekit::adapter::{BoxFuture, MAX_PAYLOAD_BYTES, Published, Publisher};
use tokio::time::Instant;

use crate::{Error, Kafka};
use answers::Answers;
use client::Client;

/// Publishes to Kafka with confirmation by every in-sync replica; clones share one client.
///
/// # Answers
/// - `Rejected`: the record is too large for the client or the topic, the topic does not exist or is forbidden, or
///   the message breaks the limits of [`Message::check`].
/// - `KeyBlocked`: an earlier message of the same topic and key failed, and this one never left the process.
/// - `Unavailable`: the message never left the process, because no broker took it within `delivery.timeout.ms` or
///   because the client ended first. Or the broker rejected the timestamp of this machine's clock. A retry is useful.
/// - `Unknown`: it was sent and no answer came. A retry is useful; readers may see the message twice.
///
/// A rejection ends the client, because later records of a key must not pass a rejected one; the next call uses a new
/// client. Messages of other calls in flight through the same client are then answered `Unavailable` or `Unknown`. A
/// broker rejects requests, not records. The publisher sends the records of a rejected request again, one per
/// request, so that only a record that is itself too large is `Rejected`.
#[derive(Clone)]
pub struct KafkaPublisher {
    shared: Arc<Shared>,
    checks: bool,
}

struct Shared {
    kafka: Kafka,
    client: Mutex<Arc<Client>>,
}

impl Kafka {
    /// Creates a publisher; its clones share one client.
    ///
    /// An unreachable broker is no error here: [`publish`](messagekit::adapter::Publisher::publish) reports it.
    ///
    /// # Errors
    /// Permanent, [`ErrorKind::InvalidConfiguration`](messagekit::ErrorKind::InvalidConfiguration), when librdkafka does
    /// not accept a setting.
    pub fn publisher(&self) -> Result<KafkaPublisher, Error> {
        let client = Mutex::new(Arc::new(Client::new(&self.producer())?));
        Ok(KafkaPublisher { shared: Arc::new(Shared { kafka: self.clone(), client }), checks: true })
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
        let deadline = Instant::now() + self.shared.kafka.delivery_timeout();
        let mut answers = Answers::new(batch, self.checks);
        let client = self.shared.client();
        let (outcomes, ended) = client.send(answers.open(), deadline).await;
        if ended {
            self.shared.replace(&client);
        }
        drop(client);
        answers.note(outcomes, false);
        while answers.have_open() && Instant::now() < deadline {
            let mut config = self.shared.kafka.producer();
            config.set("batch.num.messages", "1");
            let single = match Client::new(&config) {
                Ok(single) => single,
                Err(error) => {
                    tracing::warn!(%error, "publisher cannot be made again");
                    break;
                }
            };
            let (outcomes, _) = single.send(answers.open(), deadline).await;
            answers.note(outcomes, true);
        }
        answers.finish()
    }
}

impl Shared {
    fn client(&self) -> Arc<Client> {
        Arc::clone(&self.client.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces an ended client, unless another call has done so already.
    fn replace(&self, ended: &Arc<Client>) {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&client, ended) {
            return;
        }
        match Client::new(&self.kafka.producer()) {
            Ok(new) => *client = Arc::new(new),
            // The next call tries again.
            Err(error) => tracing::warn!(%error, "publisher cannot be made again"),
        }
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
