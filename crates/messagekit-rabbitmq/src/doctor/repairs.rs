//! Repairs as calls of the management interface.

use lapin::types::AMQPValue;
use messagekit::operations::Repair;
use serde_json::{Map, Value, json};

use super::broker::{Binding, Found, POLICY};
use super::management::encoded;
use super::purpose::Purpose;
use crate::topology::queue::{Arguments, LOWEST_LIMIT, Queue};

/// Arguments that a quorum queue refuses.
const REFUSED: [&str; 4] = ["x-max-priority", "x-queue-mode", "x-queue-version", "x-queue-master-locator"];

/// The broker counts the messages of a quorum queue every five seconds.
const COUNTED: &str = "sleep 10";

/// Prints calls for `curl`, which takes the login from the variable RABBITMQ_LOGIN (`USER:PASSWORD`).
pub(super) struct Repairs {
    address: String,
    vhost: String,
}

impl Repairs {
    pub(super) fn new(address: String, vhost: &str) -> Self {
        Self { address, vhost: encoded(vhost) }
    }

    fn call(&self, method: &str, path: &str, body: Option<Value>) -> Repair {
        let url = format!("{}/api/{path}", self.address);
        let mut words = vec!["--request".to_owned(), method.to_owned()];
        if let Some(body) = body {
            words.extend(["--header", "content-type:application/json", "--data"].map(str::to_owned));
            words.push(body.to_string());
        }
        words.push(url);
        let words = Repair::command(words);
        Repair::Command(format!(
            "curl --fail --silent --show-error --user \"$RABBITMQ_LOGIN\" {}",
            words.text()
        ))
    }

    pub(super) fn exchange(&self, name: &str) -> Repair {
        let path = format!("exchanges/{}/{}", self.vhost, encoded(name));
        self.call("PUT", &path, Some(json!({ "type": "topic", "durable": true })))
    }

    /// Declares a queue for dead letters.
    pub(super) fn dead_letter_queue(&self, name: &str) -> Repair {
        self.queue(name, &Queue::dead_letters(name).arguments())
    }

    fn queue(&self, name: &str, arguments: &Arguments) -> Repair {
        self.declare(name, values(arguments))
    }

    fn declare(&self, name: &str, arguments: Map<String, Value>) -> Repair {
        let path = format!("queues/{}/{}", self.vhost, encoded(name));
        self.call("PUT", &path, Some(json!({ "durable": true, "arguments": arguments })))
    }

    pub(super) fn bind(&self, exchange: &str, queue: &str, routing_key: &str, arguments: &Value) -> Repair {
        let path = format!("bindings/{}/e/{}/q/{}", self.vhost, encoded(exchange), encoded(queue));
        let arguments = arguments.as_object().cloned().unwrap_or_default();
        self.call("POST", &path, Some(json!({ "routing_key": routing_key, "arguments": arguments })))
    }

    /// Replaces a queue, which cannot be changed, by one that loses nothing, with its bindings.
    pub(super) fn anew(&self, queue: &Found, bindings: &[&Binding], purpose: Purpose) -> Vec<Repair> {
        let name = &queue.name;
        let own = queue.arguments.as_object().into_iter().flatten();
        let own = own.filter(|(argument, _)| !argument.starts_with(POLICY));
        let (refused, mut arguments): (Map<_, _>, Map<_, _>) = own
            .map(|(argument, value)| (argument.clone(), value.clone()))
            .partition(|(argument, _)| REFUSED.contains(&argument.as_str()));
        let dead = format!("{name}.dead");
        let mut steps = vec![stop(name, &refused)];
        let mut declared = match (purpose, queue.dead_letters()) {
            (Purpose::Both, _) => return vec![separate(name)],
            (Purpose::DeadLetters, _) => values(&Queue::dead_letters(name).arguments()),
            (Purpose::Messages, Some((exchange, key))) => {
                let mut declared =
                    values(&Queue::quorum(name).dead_letter(exchange, key.unwrap_or_default()).arguments());
                // Without a key, a dead letter keeps its own.
                declared.retain(|argument, _| key.is_some() || argument != "x-dead-letter-routing-key");
                declared
            }
            (Purpose::Messages, None) => {
                steps.push(self.dead_letter_queue(&dead));
                values(&Queue::quorum(name).dead_letter("", &dead).arguments())
            }
        };
        let limit = arguments.get("x-delivery-limit").and_then(Value::as_i64);
        if purpose == Purpose::Messages && limit.is_some_and(|limit| limit >= LOWEST_LIMIT) {
            declared.remove("x-delivery-limit");
        }
        arguments.extend(declared);
        if arguments.get("x-overflow").is_some_and(|overflow| overflow == "reject-publish-dlx") {
            arguments.insert("x-overflow".to_owned(), json!("reject-publish"));
        }
        steps.extend([self.delete(queue), self.declare(name, arguments)]);
        let own = bindings.iter().filter(|binding| !binding.exchange.is_empty());
        steps.extend(
            own.map(|binding| self.bind(&binding.exchange, name, &binding.routing_key, &binding.arguments)),
        );
        steps
    }

    /// Deletes a queue that has neither messages nor consumers, and fails for any other.
    fn delete(&self, queue: &Found) -> Repair {
        let path = format!("queues/{}/{}", self.vhost, encoded(&queue.name));
        if queue.kind != "quorum" {
            return self.call("DELETE", &format!("{path}?if-empty=true&if-unused=true"), None);
        }
        // The broker knows these conditions for classic queues only.
        let count = self.call("GET", &format!("{path}?columns=consumers,messages"), None);
        let delete = self.call("DELETE", &path, None);
        let none = r#"grep --line-regexp --fixed-strings '{"consumers":0,"messages":0}'"#;
        Repair::Command(format!("{COUNTED} && {} | {none} && {}", count.text(), delete.text()))
    }
}

/// Returns arguments as JSON.
fn values(arguments: &Arguments) -> Map<String, Value> {
    let value = |value: &AMQPValue| match value {
        AMQPValue::LongString(text) => Some(json!(text.to_string())),
        AMQPValue::LongLongInt(number) => Some(json!(number)),
        AMQPValue::Boolean(value) => Some(json!(value)),
        _ => None,
    };
    arguments.iter().filter_map(|(name, argument)| Some((name.clone(), value(argument)?))).collect()
}

fn stop(name: &str, refused: &Map<String, Value>) -> Repair {
    let mut text = format!(
        "stop the programs that write to {name} and, once it is empty, those that read it: a queue with messages or \
         consumers is not deleted below"
    );
    if !refused.is_empty() {
        let refused: Vec<&str> = refused.keys().map(String::as_str).collect();
        text.push_str(&format!("; a quorum queue has no {}, so it is left out", refused.join(", ")));
    }
    Repair::Manual(text)
}

fn separate(name: &str) -> Repair {
    Repair::Manual(format!(
        "decide whether {name} is for messages or for dead letters, because it takes both, and declare a quorum queue for \
         each"
    ))
}
