//! Reads the death headers of a broker dead letter.
//!
//! Others write these headers, and recording a message needs none of them. A name is accepted only if the broker allows
//! it. A message with unreadable headers becomes [`Unexplained`](messagekit::adapter::FailureKind::Unexplained); it is never lost.

mod connect;
mod dead_letter_topic;
mod death;
mod failed_message_id;
#[cfg(test)]
mod hostile;
mod x_death;

use messagekit::adapter::{BrokerDeadLetter, Failure, Identity, ReceivedMessage, check_topic};
use messagekit::operations::Origin;
use messagekit::{Message, MessageId, Position, headers};

use death::Death;
use x_death::is_queue;

/// Holds a broker dead letter with the content of its death headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeathHeaders {
    /// The dead letter. Its id is the message's id, followed by `+n` if it was dead-lettered again after `n`
    /// redeliveries.
    pub found: BrokerDeadLetter,
    /// The id of the event, or `None` if the message has no usable id.
    pub event_id: Option<MessageId>,
}

impl DeathHeaders {
    /// Reads a message of a RabbitMQ dead-letter queue: the broker's headers, else those of a consumer without a
    /// database.
    pub fn of_queue(message: Message) -> Self {
        let set_aside = || {
            let death = dead_letter_topic::read(&message, is_queue)?;
            // A consumer reads one queue; the queue identifies it better than its name.
            Some(Death { at: death.return_to.clone(), ..death })
        };
        let death =
            x_death::read(&message).or_else(set_aside).unwrap_or_else(|| Death::unexplained(&message));
        let queue = death.at.clone().unwrap_or_else(|| message.topic.to_string());
        let nameless = failed_message_id::of_bytes(&queue, &message);
        Self::new(Origin::Queue, format!("queue:{queue}"), death, message, None, nameless)
    }

    /// Reads a message of a Kafka dead-letter topic, written by messagekit or by Kafka Connect.
    pub fn of_topic(message: Message, position: Option<Position>) -> Self {
        let is_topic = |name: &str| check_topic(name).is_ok();
        let connect = connect::read(&message);
        let original = match &connect {
            Some(_) => connect::original(&message),
            None => dead_letter_topic::original(&message),
        };
        let death = connect.or_else(|| dead_letter_topic::read(&message, is_topic));
        let death = death.unwrap_or_else(|| Death::unexplained(&message));
        // Programs that share a dead-letter topic fail on the same messages; record each failure separately.
        let scope = match &death.at {
            Some(by) => format!("topic:{}/{by}", message.topic),
            None => format!("topic:{}", message.topic),
        };
        let nameless = original.or_else(|| position.clone()).map(|position| MessageId::at(&position));
        let nameless = nameless.unwrap_or_else(|| failed_message_id::of_bytes(&message.topic, &message));
        Self::new(Origin::Topic, scope, death, message, position, nameless)
    }

    /// Reads a message of `origin`.
    pub(super) fn of(origin: Origin, message: Message, position: Option<Position>) -> Self {
        match origin {
            Origin::Queue => Self::of_queue(message),
            Origin::Topic | Origin::Store => Self::of_topic(message, position),
        }
    }

    fn new(
        origin: Origin,
        scope: String,
        death: Death,
        message: Message,
        position: Option<Position>,
        nameless: MessageId,
    ) -> Self {
        let returns = returns(&message);
        let mut error = death.error;
        if death.times > 1 {
            error = format!("{error} ({} times)", death.times);
        }
        if returns > 0 {
            error = format!("{error}; sent back {returns} times before");
        }
        let (mut kind, mut event_id) = (death.kind, Identity::undisputed(&message));
        if let Some(unreadable) = Failure::of_unreadable(&message) {
            (kind, event_id) = (unreadable.kind, None);
            error = format!("{error}; {}", unreadable.error);
        }
        let id = failed_message_id::after(event_id.clone().unwrap_or(nameless), returns);
        let failure = Failure { attempts: death.times.max(1), ..Failure::permanent(kind, error) };
        let received = ReceivedMessage { id, message, position };
        let found = BrokerDeadLetter { origin, scope, return_to: death.return_to, received, failure };
        Self { found, event_id }
    }
}

/// Creates the id for the claim of a recorder.
pub(super) fn claim_id(found: &BrokerDeadLetter) -> MessageId {
    failed_message_id::of_claim(&found.scope, &found.received.id)
}

/// Returns the number of redeliveries. A million or more is forged and counts as none.
pub(super) fn returns(message: &Message) -> u32 {
    let returns = message.headers.text(headers::RETURNS).and_then(|digits| digits.parse().ok());
    returns.filter(|returns| *returns < 1_000_000).unwrap_or_default()
}
