//! What a message that a broker kept says about its death.
//!
//! Everything here was written by others. Nothing of it is needed to keep the message; a name is only taken where a broker
//! could have given it, and what cannot be read makes the failed message [`Unexplained`](crate::FailureKind::Unexplained), never
//! lost.

mod connect;
mod dead_letter_topic;
mod failed_message_id;
#[cfg(test)]
mod hostile;
mod x_death;

use crate::message::{headers, undisputed_id, unreadable};
use crate::store::{BrokerDeadLetter, Failure, FailureKind, ReceivedMessage};
use crate::{Message, MessageId, Origin, Position, check_topic};

/// A message that a broker kept, with what its headers say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeathHeaders {
    /// What is kept: under the message's own id, followed by `+n` when it died again after it was sent back `n` times.
    pub found: BrokerDeadLetter,
    /// The id of the event, or `None` where the message has no usable one.
    pub event_id: Option<MessageId>,
}

/// What killed a message.
#[derive(Debug)]
struct Death {
    /// The queue, or the program on Kafka, in which it died; nobody may have said so.
    at: Option<String>,
    /// Where a repaired one is taken again.
    return_to: Option<String>,
    kind: FailureKind,
    error: String,
    /// How often it died so.
    times: u32,
}

impl DeathHeaders {
    /// Reads a message of a RabbitMQ dead-letter queue: the account of the broker, else that of a consumer without a database.
    pub fn of_queue(message: Message) -> Self {
        let set_aside = || {
            let death = dead_letter_topic::read(&message, is_queue)?;
            // A consumer reads one queue, and that is the place; its name says less.
            Some(Death { at: death.return_to.clone(), ..death })
        };
        let death = x_death::read(&message).or_else(set_aside).unwrap_or_else(|| unexplained(&message));
        let queue = death.at.clone().unwrap_or_else(|| message.topic.to_string());
        let nameless = failed_message_id::of_bytes(&queue, &message);
        Self::new(Origin::Queue, format!("queue:{queue}"), death, message, None, nameless)
    }

    /// Reads a message of a Kafka dead-letter topic: our own, or the one of a connector of Kafka Connect.
    pub fn of_topic(message: Message, position: Option<Position>) -> Self {
        let is_topic = |name: &str| check_topic(name).is_ok();
        let connect = connect::read(&message);
        let original = match &connect {
            Some(_) => connect::original(&message),
            None => dead_letter_topic::original(&message),
        };
        let death = connect.or_else(|| dead_letter_topic::read(&message, is_topic));
        let death = death.unwrap_or_else(|| unexplained(&message));
        // Programs that share a dead-letter topic fail at the same messages, and each failure is a failed message of its own.
        let scope = match &death.at {
            Some(by) => format!("topic:{}/{by}", message.topic),
            None => format!("topic:{}", message.topic),
        };
        let nameless = original.or_else(|| position.clone()).map(|position| MessageId::at(&position));
        let nameless = nameless.unwrap_or_else(|| failed_message_id::of_bytes(&message.topic, &message));
        Self::new(Origin::Topic, scope, death, message, position, nameless)
    }

    /// Reads a message that came from `origin`.
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
        let (mut kind, mut event_id) = (death.kind, undisputed_id(&message));
        if let Some(unreadable) = unreadable(&message) {
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

/// Names what was found for the claim of who keeps it.
pub(super) fn claim_id(found: &BrokerDeadLetter) -> MessageId {
    failed_message_id::of_claim(&found.scope, &found.received.id)
}

/// Returns how often a message was sent back. No message comes near a million; more is forged and counts as none.
pub(super) fn returns(message: &Message) -> u32 {
    let returns = message.headers.text(headers::RETURNS).and_then(|digits| digits.parse().ok());
    returns.filter(|returns| *returns < 1_000_000).unwrap_or_default()
}

fn unexplained(message: &Message) -> Death {
    let reason = match message.headers.get(headers::X_DEATH) {
        Some(_) => "and its account of the death cannot be read",
        None => "without a reason",
    };
    Death {
        at: None,
        return_to: None,
        kind: FailureKind::Unexplained,
        error: format!("kept in {:?} {reason}: where it died is not known", short(&message.topic)),
        times: 1,
    }
}

/// Returns whether a queue can have this name and be sent to: not the pseudo queues of direct replies.
fn is_queue(name: &str) -> bool {
    (1..=255).contains(&name.len()) && !name.contains(char::is_control) && !name.starts_with("amq.rabbitmq.")
}

/// Returns the first 200 characters: nobody reads more of a name.
fn short(text: &str) -> &str {
    text.char_indices().nth(200).map_or(text, |(end, _)| &text[..end])
}
