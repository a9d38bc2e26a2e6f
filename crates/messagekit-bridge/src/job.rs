//! Converts a record into a message to forward or a dead letter.

use std::sync::Arc;

use messagekit::adapter::{Failure, FailureKind, Identity, PublishError};
use messagekit::{ErrorKind, Message, MessageId, Position, chain, headers};

use super::settings::{Settings, Target};

/// A message to publish for a record.
#[derive(Debug)]
pub(super) enum Job {
    /// A message for the target of a rule.
    Forward { target: usize, id: MessageId, message: Message },
    /// A message for the dead-letter topic.
    Bury { kind: FailureKind, dead_letter: Message },
}

impl Job {
    /// Returns the id if the message is to be forwarded.
    pub(super) fn id(&self) -> Option<&MessageId> {
        match self {
            Self::Forward { id, .. } => Some(id),
            Self::Bury { .. } => None,
        }
    }
}

impl Settings {
    /// Converts a record.
    ///
    /// A record of the retry topic is a repaired copy. Its headers name its source topic, whose rule applies.
    pub(super) fn job(&self, mut record: Message, position: Option<&Position>) -> Job {
        let source = if record.topic == self.retry_topic {
            for name in [headers::DEAD_KIND, headers::DEAD_ERROR, headers::DEAD_BY, headers::RETRY_TOPIC] {
                record.headers.remove(name);
            }
            record.headers.text(headers::SOURCE_TOPIC).map(Arc::from)
        } else {
            record.headers.set(headers::SOURCE_TOPIC, record.topic.to_string());
            if let Some(position) = position {
                record.headers.set(headers::SOURCE_PARTITION, position.partition.to_string());
                record.headers.set(headers::SOURCE_OFFSET, position.offset.to_string());
            }
            Some(record.topic.clone())
        };
        let Some(source) = source else {
            let text = format!(
                "repaired copy does not say where it comes from: set header {}",
                headers::SOURCE_TOPIC
            );
            return self.bury(record, FailureKind::Unroutable, text);
        };
        let Some(target) = self.by_topic.get(&source).copied() else {
            return self.bury(record, FailureKind::Unroutable, format!("no rule forwards topic {source}"));
        };
        let id = match Identity::unchecked(&record) {
            Ok(id) => id,
            Err(unusable) => return self.bury(record, unusable.kind, unusable.error),
        };
        let Target { publisher, routing_key, .. } = &self.targets[target];
        let routing_key = match routing_key.of(&record, &source) {
            Ok(routing_key) => routing_key,
            Err(error) => return self.bury(record, FailureKind::Unroutable, chain(&error).to_string()),
        };
        if record.payload.len() > publisher.max_bytes() {
            let text = format!(
                "payload of {} bytes is over the broker's limit of {}",
                record.payload.len(),
                publisher.max_bytes()
            );
            return self.bury(record, FailureKind::TooLarge, text);
        }
        if record.headers.get(headers::ID).is_none() {
            record.headers.set(headers::ID, id.to_string());
        }
        record.topic = routing_key.into();
        Job::Forward { target, id, message: record }
    }

    /// Converts a message for a target that the broker rejected. The routing key is named by its template: its values may come from
    /// the payload, and the error is shown to people who may not read that.
    pub(super) fn refused(&self, target: usize, mut message: Message, refusal: &PublishError) -> Job {
        let kind = match refusal.error.kind() {
            ErrorKind::TooLarge => FailureKind::TooLarge,
            ErrorKind::NotFound => FailureKind::Unroutable,
            _ => FailureKind::Rejected,
        };
        let text = format!("{} (routing key {})", chain(&refusal.error), self.targets[target].routing_key);
        message.topic = self.dead_letters.topic.clone();
        self.bury(message, kind, text)
    }

    fn bury(&self, mut message: Message, kind: FailureKind, error: String) -> Job {
        let failure = Failure::permanent(kind, error);
        message.topic = self.dead_letters.topic.clone();
        message.headers.set(headers::DEAD_KIND, failure.kind.as_str());
        message.headers.set(headers::DEAD_ERROR, failure.error);
        message.headers.set(headers::DEAD_BY, self.name.to_string());
        message.headers.set(headers::RETRY_TOPIC, self.retry_topic.to_string());
        Job::Bury { kind, dead_letter: message }
    }
}
