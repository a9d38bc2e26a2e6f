//! What events have left in a database, and how that differs from what was expected.

use std::collections::BTreeMap;

use messagekit::Message;
use messagekit::adapter::codec;
use messagekit_memory::MemoryStore;
use serde_json::Value;

use crate::service::emitted::type_of;

/// Fields of an envelope that differ in each run of a correct handler.
const OF_A_RUN: [&str; 4] = ["eventId", "occurredAt", "correlationId", "causationId"];

/// The effects of a scenario: numbers, texts, and the events that were emitted, by topic and key.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Effects {
    numbers: BTreeMap<String, i64>,
    texts: BTreeMap<String, String>,
    emitted: BTreeMap<String, Vec<String>>,
}

impl Effects {
    pub(super) fn of(store: &MemoryStore) -> Self {
        let mut emitted: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for message in store.outbox() {
            emitted.entry(key_of(&message)).or_default().push(shown(&message));
        }
        // A sum of zero is as good as none.
        let numbers = store.numbers().into_iter().filter(|(_, number)| *number != 0).collect();
        Self { numbers, texts: store.texts(), emitted }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.numbers.is_empty() && self.texts.is_empty() && self.emitted.is_empty()
    }

    /// Returns a line for each difference.
    pub(super) fn differences(&self, expected: &Self) -> Vec<String> {
        let numbers = compared("number", &expected.numbers, &self.numbers, i64::to_string);
        let texts = compared("text", &expected.texts, &self.texts, |text| format!("{text:?}"));
        let shown = |events: &Vec<String>| events.join(", ");
        let emitted = compared("events of", &expected.emitted, &self.emitted, shown);
        numbers.into_iter().chain(texts).chain(emitted).collect()
    }
}

fn compared<T: PartialEq>(
    what: &str,
    expected: &BTreeMap<String, T>,
    found: &BTreeMap<String, T>,
    show: impl Fn(&T) -> String,
) -> Vec<String> {
    let shown = |value: Option<&T>| value.map_or("nothing".to_owned(), &show);
    let mut names: Vec<&String> = expected.keys().chain(found.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let differs = |name: &&String| expected.get(*name) != found.get(*name);
    let line = |name: &String| {
        format!("{what} {name:?}: expected {}, found {}", shown(expected.get(name)), shown(found.get(name)))
    };
    names.into_iter().filter(differs).map(line).collect()
}

fn key_of(message: &Message) -> String {
    let key = message.key.as_deref().map(String::from_utf8_lossy);
    key.map_or_else(|| message.topic.to_string(), |key| format!("{} {key}", message.topic))
}

/// Returns the type and the data of an event, without what differs in each run.
fn shown(message: &Message) -> String {
    let data = codec::data_of(message).ok().and_then(|data| serde_json::from_slice::<Value>(&data).ok());
    let mut data = data.unwrap_or_default();
    if let Value::Object(fields) = &mut data {
        OF_A_RUN.iter().for_each(|name| drop(fields.remove(*name)));
    }
    format!("`{}` {data}", type_of(message))
}
