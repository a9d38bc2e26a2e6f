//! Captures the log of this process. The process has one subscriber for it, which the tests share.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// By the `client.id`.
static STATISTICS: Mutex<BTreeMap<String, Value>> = Mutex::new(BTreeMap::new());
static START: Once = Once::new();

/// Keeps warnings and errors, and the last statistics of each client, from now on.
pub(crate) fn keep() {
    START.call_once(|| tracing::subscriber::set_global_default(Log).unwrap());
}

/// Returns the kept lines that contain a text.
pub(crate) fn lines_with(text: &str) -> Vec<String> {
    locked(&LINES).iter().filter(|line| line.contains(text)).cloned().collect()
}

/// Returns how many bytes the client with this `client.id` has received from brokers, according to its last statistics.
pub(crate) fn received_bytes(client: &str) -> Option<u64> {
    let statistics = locked(&STATISTICS);
    let statistics = statistics.get(client)?;
    let brokers = statistics["brokers"].as_object().unwrap();
    Some(brokers.values().map(|broker| broker["rxbytes"].as_u64().unwrap()).sum())
}

fn locked<T>(kept: &Mutex<T>) -> MutexGuard<'_, T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Log;

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN || metadata.target() == "librdkafka"
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        if *event.metadata().level() <= Level::WARN {
            locked(&LINES).push(line.0);
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "statistics" => {
                let statistics: Value = serde_json::from_str(&format!("{value:?}")).unwrap();
                let client = statistics["client_id"].as_str().unwrap().to_owned();
                locked(&STATISTICS).insert(client, statistics);
            }
            name => self.0.push_str(&format!(" {name}={value:?}")),
        }
    }
}
