//! What the broker says of a virtual host.

use jiff::Timestamp;
use lapin::types::AMQPValue;
use serde_json::Value;

use super::management::{Management, Missing, encoded};
use crate::topology::queue::Arguments;

/// The queues, exchanges and bindings of a virtual host.
#[derive(Clone, Debug, Default)]
pub(super) struct Broker {
    pub(super) queues: Vec<Found>,
    pub(super) exchanges: Vec<String>,
    pub(super) bindings: Vec<Binding>,
    /// The clock of the broker and the clock here, at one answer.
    pub(super) clocks: Option<(Timestamp, Timestamp)>,
}

/// A durable queue.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) arguments: Value,
    pub(super) consumers: u64,
    pub(super) messages: u64,
}

/// A binding between an exchange and a queue or exchange.
#[derive(Clone, Debug)]
pub(super) struct Binding {
    pub(super) exchange: String,
    pub(super) queue: String,
    pub(super) routing_key: String,
    pub(super) arguments: Value,
    pub(super) is_to_queue: bool,
}

impl Broker {
    pub(super) fn read(management: &Management, vhost: &str) -> Result<Self, Missing> {
        let vhost = encoded(vhost);
        let queues = management.get(&format!("queues/{vhost}"))?;
        let here = Timestamp::now();
        let exchanges = management.get(&format!("exchanges/{vhost}"))?.body;
        let bindings = management.get(&format!("bindings/{vhost}"))?.body;
        let date = queues.date.as_deref();
        let there = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()).map(|date| date.timestamp());
        Ok(Self {
            queues: list(&queues.body).iter().filter_map(Found::of).collect(),
            exchanges: list(&exchanges).iter().map(|exchange| text(exchange, "name")).collect(),
            bindings: list(&bindings).iter().map(Binding::of).collect(),
            clocks: there.map(|there| (there, here)),
        })
    }
}

impl Found {
    /// Leaves out streams, and queues that end with their connection or their last consumer.
    fn of(queue: &Value) -> Option<Self> {
        let is = |field: &str| queue[field].as_bool() == Some(true);
        let kind = queue["type"].as_str().unwrap_or("classic").to_owned();
        if !is("durable") || is("auto_delete") || is("exclusive") || kind == "stream" {
            return None;
        }
        let number = |field: &str| queue[field].as_u64().unwrap_or(0);
        Some(Self {
            name: text(queue, "name"),
            kind,
            arguments: with_policy(&queue["arguments"], &queue["effective_policy_definition"]),
            consumers: number("consumers"),
            messages: number("messages"),
        })
    }

    pub(super) fn text(&self, argument: &str) -> Option<&str> {
        self.arguments[argument].as_str()
    }

    /// Returns the arguments of the declaration in the form of the protocol.
    pub(super) fn declared(&self) -> Arguments {
        let mut arguments = Arguments::new();
        let own = self.arguments.as_object().into_iter().flatten();
        for (name, value) in own.filter(|(name, _)| !name.starts_with(POLICY)) {
            let value = match value {
                Value::String(text) => AMQPValue::LongString(text.as_str().into()),
                Value::Bool(value) => AMQPValue::Boolean(*value),
                value => match value.as_i64() {
                    Some(number) => AMQPValue::LongLongInt(number),
                    None => continue,
                },
            };
            arguments.insert(name.clone(), value);
        }
        arguments.insert("x-queue-type".to_owned(), AMQPValue::LongString(self.kind.as_str().into()));
        arguments
    }

    /// Returns where dead letters go: an exchange and a routing key, by the declaration or a policy.
    pub(super) fn dead_letters(&self) -> Option<(&str, Option<&str>)> {
        let said =
            |name: &str| self.text(&format!("x-{name}")).or_else(|| self.text(&format!("{POLICY}{name}")));
        Some((said("dead-letter-exchange")?, said("dead-letter-routing-key")))
    }
}

/// The prefix under which the values of a policy stand beside the arguments.
pub(super) const POLICY: &str = "policy:";

fn with_policy(arguments: &Value, policy: &Value) -> Value {
    let mut all = arguments.as_object().cloned().unwrap_or_default();
    for (name, value) in policy.as_object().into_iter().flatten() {
        all.insert(format!("{POLICY}{name}"), value.clone());
    }
    Value::Object(all)
}

impl Binding {
    fn of(binding: &Value) -> Self {
        Self {
            exchange: text(binding, "source"),
            queue: text(binding, "destination"),
            routing_key: text(binding, "routing_key"),
            arguments: binding["arguments"].clone(),
            is_to_queue: binding["destination_type"] == "queue",
        }
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}
