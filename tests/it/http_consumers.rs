//! Consumers and writers over HTTP: each in its own thread, and a book of what they did.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::http_served::{Served, TOPIC};

/// How long a call or a step may take before the test fails.
const DEADLINE: Duration = Duration::from_secs(300);

/// Part of every payload, and of nothing else.
pub(crate) const PLANTED: &str = "planted-4711";

/// Waits for what other threads and processes do.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < end, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What consumers did with the events, by their ids.
#[derive(Default)]
pub(crate) struct Book(Mutex<Pages>);

#[derive(Default)]
struct Pages {
    /// How often the effect of each event was applied, and what its record was.
    effects: BTreeMap<String, (u32, i64)>,
    /// Events whose acknowledgement was answered.
    acknowledged: BTreeSet<String>,
    /// How often events were delivered in claims whose end is not known, or that were left behind.
    open: BTreeMap<String, u32>,
    deliveries: BTreeMap<String, u32>,
    holding: usize,
    cut_calls: usize,
}

/// What a test asserts at its end.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The different records whose effect was applied.
    pub(crate) records: usize,
    /// Events that were delivered again.
    pub(crate) redelivered: usize,
    /// Calls that a kill has cut off.
    pub(crate) cut_calls: usize,
}

impl Book {
    fn pages(&self) -> std::sync::MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many consumers have claimed records at this moment.
    pub(crate) fn holding(&self) -> usize {
        self.pages().holding
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.pages().acknowledged.len()
    }

    /// Returns how many different records were applied.
    pub(crate) fn applied(&self) -> usize {
        self.pages().effects.len()
    }

    fn is_cut(&self) {
        self.pages().cut_calls += 1;
    }

    /// Applies the effects of a claim, each event once.
    fn apply(&self, messages: &[Value]) -> Vec<String> {
        let mut pages = self.pages();
        pages.holding += 1;
        let ids = messages.iter().map(|message| {
            let id = message["event_id"].as_str().unwrap().to_owned();
            assert!(!pages.acknowledged.contains(&id), "{id} came again after its acknowledgement");
            *pages.deliveries.entry(id.clone()).or_default() += 1;
            let number = message["key"].as_str().unwrap().parse().unwrap();
            pages.effects.entry(id.clone()).or_insert((0, number)).0 += 1;
            id
        });
        ids.collect()
    }

    fn finish(&self, ids: Vec<String>, is_known: bool) {
        let mut pages = self.pages();
        pages.holding -= 1;
        for id in ids {
            if is_known {
                pages.acknowledged.insert(id);
            } else {
                *pages.open.entry(id).or_default() += 1;
            }
        }
    }

    /// Asserts that no event came more often than its claims were left open.
    pub(crate) fn outcome(&self) -> Outcome {
        let pages = self.pages();
        for (id, deliveries) in &pages.deliveries {
            let open = pages.open.get(id).copied().unwrap_or_default();
            assert!(
                *deliveries <= open + 1,
                "{id} came {deliveries} times, and {open} claims of it were left"
            );
        }
        let records: BTreeSet<i64> = pages.effects.values().map(|(_, number)| *number).collect();
        assert_eq!(records.len(), pages.effects.len(), "a record has one event");
        Outcome {
            records: records.len(),
            redelivered: pages.deliveries.values().filter(|count| **count > 1).count(),
            cut_calls: pages.cut_calls,
        }
    }
}

/// Consumes until `is_over`. Every `leaves`-th claim is left behind, as by a client that has died after its effects.
pub(crate) fn consume(served: &Served, book: &Book, leaves: usize, is_over: impl Fn() -> bool) {
    let request = json!({
        "topic_id": TOPIC, "group_id": "g", "start": "Earliest", "limit": 4, "timeout_seconds": 1, "lease_seconds": 5
    });
    let mut claims = 0;
    while !is_over() {
        let answer = match served.post("consume", &request) {
            Some((200, answer)) => answer,
            Some((status, answer)) => {
                assert_eq!(status, 503, "only a busy database is a reason: {answer}");
                continue;
            }
            None => {
                book.is_cut();
                continue;
            }
        };
        let messages = answer["messages"].as_array().unwrap();
        if messages.is_empty() {
            continue;
        }
        let ids = book.apply(messages);
        claims += 1;
        if claims % leaves == 0 {
            book.finish(ids, false);
            continue;
        }
        let partition = &messages[0]["partition_id"];
        let ack = json!({"topic_id": TOPIC, "group_id": "g", "partition_id": partition, "claim_id": answer["claim_id"]});
        let answered = served.post("ack", &ack);
        if answered.is_none() {
            book.is_cut();
        }
        // A claim that is lost was acknowledged by a call without an answer, or has ended.
        book.finish(ids, matches!(answered, Some((200, _))));
    }
}

/// Appends records with these numbers, each again until the server has answered.
pub(crate) fn write(served: &Served, numbers: std::ops::Range<i64>) {
    for n in numbers {
        let body = json!({"topic_id": TOPIC, "data": {"n": n, "note": PLANTED}, "if_new": true});
        until(
            "the server takes a record",
            || matches!(served.post("append", &body), Some((status, _)) if status == 200),
        );
    }
}
