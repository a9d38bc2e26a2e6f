//! Queues that a consumer reads.

use std::sync::Arc;

use messagekit::adapter::{BatchLimit, Capabilities, NextOffset, Source};
use messagekit::{Error, ErrorKind};

use crate::names::check_queue;
use crate::{RabbitMq, RabbitMqSubscriber};

/// Selects queues of a [`RabbitMq`] that a consumer reads.
///
/// A queue belongs to one consumer: another reader would take messages away from it. For a second consumer, bind a
/// second queue to the exchange.
#[derive(Clone, Debug)]
pub struct RabbitMqSource {
    rabbit: RabbitMq,
    queues: Vec<Arc<str>>,
}

impl RabbitMq {
    /// Returns a source over one queue; the queue's name is the topic.
    pub fn queue(&self, name: impl Into<Arc<str>>) -> RabbitMqSource {
        self.topics([name.into()])
    }

    /// Returns a source over queues; their names are the topics.
    pub fn topics<T: Into<Arc<str>>>(&self, queues: impl IntoIterator<Item = T>) -> RabbitMqSource {
        RabbitMqSource { rabbit: self.clone(), queues: queues.into_iter().map(Into::into).collect() }
    }
}

impl Source for RabbitMqSource {
    type Subscriber = RabbitMqSubscriber;

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            system: "rabbitmq",
            persistent: true,
            shares_work: true,
            positions: false,
            any_order: true,
            batch: BatchLimit::DEFAULT,
        }
    }

    fn topics(&self) -> &[Arc<str>] {
        &self.queues
    }

    // Spawning tasks needs a runtime.
    #[allow(clippy::unused_async)]
    async fn bind(self, consumer: &str, _remembered: &[NextOffset]) -> Result<RabbitMqSubscriber, Error> {
        let refused = |text: String| Err(Error::new(ErrorKind::InvalidConfiguration, text));
        if self.queues.is_empty() {
            return refused("a source without queues delivers nothing".to_owned());
        }
        self.queues.iter().try_for_each(|queue| check_queue(queue))?;
        if let Some(twice) =
            self.queues.iter().enumerate().find(|(index, queue)| self.queues[..*index].contains(queue))
        {
            return refused(format!("queue {} is named twice", twice.1));
        }
        if consumer.is_empty() || consumer.len() > 200 || consumer.contains(char::is_control) {
            return refused(format!(
                "consumer name {consumer:?} is not 1 to 200 bytes without control characters"
            ));
        }
        Ok(RabbitMqSubscriber::start(self.rabbit, self.queues, consumer))
    }
}
