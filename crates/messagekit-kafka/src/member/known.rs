//! What is known of partitions that are assigned: asked in the background, because every answer may take long.

use std::sync::{Arc, Weak};

use messagekit::{NextOffset, chain};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaResult;

use super::continuity::{self, Handled};
use super::offsets::{self, Partition};
use super::place::GroupOffset;
use crate::client::GroupClient;
use crate::context::Context;
use crate::memory::Memory;

/// What group, database and log say of partitions.
#[derive(Default)]
pub(super) struct Known {
    pub(super) committed: Vec<(Partition, Option<GroupOffset>)>,
    /// What the database remembers; `None` when there is nothing to ask, or no answer.
    pub(super) remembered: Option<Vec<NextOffset>>,
    /// A record that was handled, and that is not in its partition any more.
    pub(super) broken: Option<Handled>,
}

/// Whom to ask.
pub(super) struct Question {
    pub(super) client: GroupClient,
    /// The group is left when nothing holds it any more.
    pub(super) consumer: Weak<BaseConsumer<Context>>,
    pub(super) name: Arc<str>,
    pub(super) memory: Memory,
}

impl Question {
    /// Asks the group first: what the database remembers and what is in the log is compared with it, and must be newer.
    ///
    /// # Errors
    /// As librdkafka says of the group's offsets. Where database or log do not answer, a warning is logged: a lane must not wait
    /// for them.
    pub(super) fn ask(self, partitions: TopicPartitionList) -> KafkaResult<Known> {
        let Some(consumer) = self.consumer.upgrade() else { return Ok(Known::default()) };
        let committed = offsets::committed(&consumer, partitions)?;
        drop(consumer);
        let consumer = &*self.name;
        let topics = committed.iter().map(|((topic, _), _)| topic.clone()).collect();
        let remembered = self.memory.now(topics).transpose().unwrap_or_else(|error| {
            let error = chain(&error);
            tracing::warn!(consumer, %error, "database did not say whether it has lost commits of this consumer");
            None
        });
        let broken = self.broken(&committed).unwrap_or_else(|error| {
            tracing::warn!(consumer, %error, "brokers did not say whether partitions have lost records");
            None
        });
        Ok(Known { committed, remembered, broken })
    }

    fn broken(&self, committed: &[(Partition, Option<GroupOffset>)]) -> KafkaResult<Option<Handled>> {
        let last = |((topic, partition), committed): &(Partition, Option<GroupOffset>)| {
            let GroupOffset { offset, proof } = (*committed)?;
            Some(Handled {
                topic: topic.clone(),
                partition: *partition,
                offset: offset - 1,
                print: proof.flatten()?,
            })
        };
        let handled: Vec<Handled> = committed.iter().filter_map(last).collect();
        if handled.is_empty() {
            return Ok(None);
        }
        continuity::broken(&self.client.reader()?, &handled)
    }
}
