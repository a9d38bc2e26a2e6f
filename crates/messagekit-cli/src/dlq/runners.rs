//! Which consumers carry out retries, and whether they run.

use std::collections::BTreeSet;

use indicatif::HumanDuration;
use messagekit::operations::{Operations, RetryRunner};
use messagekit::{Error, chain};
use serde_json::Value;

use crate::output::{print, printable};

/// Returns who runs the failed messages of the consumers, each once. The retries are recorded already: an outage leaves out whom it
/// hides, and is reported beside the result.
pub(super) async fn of(store: &dyn Operations, consumers: &BTreeSet<String>) -> Vec<RetryRunner> {
    let mut runners: Vec<RetryRunner> = Vec::new();
    for consumer in consumers {
        match RetryRunner::of(store, consumer).await {
            Ok(runner) if runners.iter().any(|known| known.consumer == runner.consumer) => {}
            Ok(runner) => runners.push(runner),
            Err(error) => not_known(&error),
        }
    }
    runners
}

/// The most failed messages whose consumers are looked up, a query each.
const MOST: usize = 100;

/// Returns the consumers of the first hundred failed messages, as far as the database responds.
pub(super) async fn consumers(store: &dyn Operations, ids: &[i64]) -> BTreeSet<String> {
    let mut consumers = BTreeSet::new();
    for id in &ids[..ids.len().min(MOST)] {
        match store.show(*id).await {
            Ok(message) => {
                consumers.insert(message.consumer.clone());
            }
            Err(error) => {
                not_known(&error);
                break;
            }
        }
    }
    consumers
}

fn not_known(error: &Error) {
    eprintln!("messagekit: whether its consumer runs is not known: {}", printable(&chain(error)));
}

/// Adds them to the document of a retry.
pub(super) fn add_to(document: &mut Value, runners: Vec<RetryRunner>) {
    document["runners"] = serde_json::json!(runners);
}

/// Prints a line for each.
pub(super) fn report(runners: &[RetryRunner]) -> Result<(), Error> {
    runners.iter().try_for_each(|runner| print(in_words(runner)))
}

fn in_words(runner: &RetryRunner) -> String {
    let consumer = printable(&runner.consumer);
    let ago = |last| format!("{:#} ago", HumanDuration(last));
    match runner.last_seen {
        Some(last) if runner.is_running => format!(
            "consumer {consumer} was seen {}: unless it has stopped since, it runs what was accepted",
            ago(last)
        ),
        Some(last) => format!(
            "consumer {consumer} does not run: start it, and it runs what was accepted; it was last seen {}",
            ago(last)
        ),
        None => format!(
            "consumer {consumer} was never seen in this database: unless it is a pipeline, start it, and it runs what was accepted; workers that claim records pass over it"
        ),
    }
}
