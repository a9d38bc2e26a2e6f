//! The required properties of a queue.

use std::collections::BTreeMap;
use std::fmt;

use lapin::types::{AMQPValue, LongString};

/// The delivery limit of a queue by default.
///
/// Each prefetched message that is not handled when a process crashes counts one delivery, so the limit is far above
/// any number of attempts.
pub const DELIVERY_LIMIT: u32 = 1_000;

/// The lowest delivery limit that is no fault.
pub(crate) const LOWEST_LIMIT: i64 = 100;

/// A limit this high has no effect.
const NO_LIMIT: u32 = 1_000_000_000;

/// Describes a durable quorum queue.
///
/// The broker sends a message over the delivery limit to the dead-letter exchange; without one it drops the message.
#[derive(Clone, Debug)]
pub struct Queue {
    pub(super) name: String,
    delivery_limit: u32,
    pub(super) dead_letter: Option<(String, String)>,
    max_length: Option<u32>,
    single_active_consumer: bool,
}

impl Queue {
    /// Creates a queue with a limit of [`DELIVERY_LIMIT`] deliveries.
    pub fn quorum(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            delivery_limit: DELIVERY_LIMIT,
            dead_letter: None,
            max_length: None,
            single_active_consumer: false,
        }
    }

    /// Creates a queue for dead letters. It has no delivery limit, because its messages have no further destination.
    pub fn dead_letters(name: impl Into<String>) -> Self {
        Self { delivery_limit: NO_LIMIT, ..Self::quorum(name) }
    }

    /// Sets how often a message may be delivered.
    #[must_use]
    pub fn delivery_limit(mut self, deliveries: u32) -> Self {
        self.delivery_limit = deliveries;
        self
    }

    /// Sends dead letters to an exchange with a routing key, at least once: a message stays in this queue until the
    /// exchange has routed it and the target queue has it. The queue refuses new messages instead of dropping old
    /// ones (`reject-publish`).
    ///
    /// The default exchange is `""`; its routing key is the name of the dead-letter queue.
    #[must_use]
    pub fn dead_letter(mut self, exchange: impl Into<String>, routing_key: impl Into<String>) -> Self {
        self.dead_letter = Some((exchange.into(), routing_key.into()));
        self
    }

    /// Refuses new messages above a number; a quorum queue accepts a few more.
    #[must_use]
    pub fn max_length(mut self, messages: u32) -> Self {
        self.max_length = Some(messages);
        self
    }

    /// Lets one consumer read at a time with the others on standby: the order of keys holds with several processes.
    #[must_use]
    pub fn single_active_consumer(mut self) -> Self {
        self.single_active_consumer = true;
        self
    }

    /// Returns the arguments of the declaration.
    pub(crate) fn arguments(&self) -> Arguments {
        let mut arguments = Arguments::new();
        let mut text = |name: &str, value: &str| {
            arguments
                .insert(name.to_owned(), AMQPValue::LongString(LongString::from(value.as_bytes().to_vec())));
        };
        text("x-queue-type", "quorum");
        if let Some((exchange, routing_key)) = &self.dead_letter {
            text("x-dead-letter-exchange", exchange);
            text("x-dead-letter-routing-key", routing_key);
            text("x-dead-letter-strategy", "at-least-once");
        }
        if self.dead_letter.is_some() || self.max_length.is_some() {
            text("x-overflow", "reject-publish");
        }
        let mut number = |name: &str, value: u32| {
            arguments.insert(name.to_owned(), AMQPValue::LongLongInt(i64::from(value)));
        };
        number("x-delivery-limit", self.delivery_limit);
        if let Some(messages) = self.max_length {
            number("x-max-length", messages);
        }
        if self.single_active_consumer {
            arguments.insert("x-single-active-consumer".to_owned(), AMQPValue::Boolean(true));
        }
        arguments
    }
}

/// The names and values of a declaration's arguments.
pub(crate) type Arguments = BTreeMap<String, AMQPValue>;

/// A way in which a queue that a consumer reads may lose messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Danger {
    /// Its type, which supports none of the other arguments; the broker does not compare them.
    NotQuorum(String),
    /// An argument with its value or `absent`, and the required value: dead letters may get lost.
    LosesDeadLetters(&'static str, String, &'static str),
    NoDeadLetterExchange,
    NoDeliveryLimit,
    LowDeliveryLimit(i64),
}

impl fmt::Display for Danger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotQuorum(kind) => write!(f, "x-queue-type is {kind} and should be quorum"),
            Self::LosesDeadLetters(name, found, wanted) => {
                write!(f, "{name} is {found} and should be {wanted}")
            }
            Self::NoDeadLetterExchange => f.write_str("x-dead-letter-exchange is absent"),
            Self::NoDeliveryLimit => {
                write!(f, "x-delivery-limit is absent and should be set, to {DELIVERY_LIMIT} or more")
            }
            Self::LowDeliveryLimit(limit) => {
                write!(f, "x-delivery-limit is {limit} and should be far above the attempts, 100 or more")
            }
        }
    }
}

/// Returns the faults of a queue that a consumer reads; empty if no message can be lost.
pub(crate) fn dangers(found: &Arguments) -> Vec<Danger> {
    let text = |name: &str| match found.get(name) {
        Some(AMQPValue::LongString(text)) => Some(text.to_string()),
        _ => None,
    };
    let limit = match found.get("x-delivery-limit") {
        Some(AMQPValue::LongLongInt(limit)) => Some(*limit),
        _ => None,
    };
    let kind = text("x-queue-type").unwrap_or_else(|| "classic".to_owned());
    if kind != "quorum" {
        return vec![Danger::NotQuorum(kind)];
    }
    let mut dangers = Vec::new();
    // A queue without an effective limit drops nothing.
    if limit.is_none_or(|limit| limit < i64::from(NO_LIMIT)) {
        for (name, wanted) in [("x-dead-letter-strategy", "at-least-once"), ("x-overflow", "reject-publish")]
        {
            let found = text(name);
            if found.as_deref() != Some(wanted) {
                let found = found.unwrap_or_else(|| "absent".to_owned());
                dangers.push(Danger::LosesDeadLetters(name, found, wanted));
            }
        }
        if text("x-dead-letter-exchange").is_none() {
            dangers.push(Danger::NoDeadLetterExchange);
        }
    }
    match limit {
        None => dangers.push(Danger::NoDeliveryLimit),
        Some(limit) if limit < LOWEST_LIMIT => dangers.push(Danger::LowDeliveryLimit(limit)),
        Some(_) => {}
    }
    dangers
}
