//! Who carries out a retry, and whether it runs.

use std::time::Duration;

use serde::Serialize;

use crate::Error;
use crate::status::{DatabaseStatus, whole_seconds};

/// The consumer that carries out the retries of failed messages, and when a process of it was seen.
///
/// A consumer's own failed message is run by that consumer. A dead letter of a broker, whose failed message has a consumer that
/// begins with `queue:` or `topic:`, is redelivered by a bookkeeper: its consumers end with `.queues` and `.topics`, and no other
/// consumer should.
///
/// A consumer is seen once it has reached its source. A pipeline of typed topics runs its retries without being
/// seen, and a group over HTTP takes none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RetryRunner {
    /// The consumer's name. Of a bookkeeper that was never seen, the default one.
    pub consumer: String,
    /// Whether a process of it was seen within 30 seconds.
    pub is_running: bool,
    /// How long ago one of its processes was seen, by database time; null if none ever was. Processes that run note it
    /// every ten seconds.
    #[serde(rename = "last_seen_seconds", serialize_with = "whole_seconds")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub last_seen: Option<Duration>,
}

impl RetryRunner {
    /// A process that was not seen for longer does not run, or does not reach the database or its source.
    pub const SEEN_WITHIN: Duration = Duration::from_secs(30);

    /// Returns the runner of the failed messages of a consumer.
    ///
    /// ```
    /// # use messagekit::operations::{DatabaseStatus, RetryRunner};
    /// # async fn look(store: &impl DatabaseStatus) -> Result<(), messagekit::Error> {
    /// let runner = RetryRunner::of(store, "billing").await?;
    /// if !runner.is_running {
    ///     println!("start consumer {}", runner.consumer);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Transient if the database does not respond; a retry is useful.
    pub async fn of(store: &(impl DatabaseStatus + ?Sized), consumer: &str) -> Result<Self, Error> {
        let Some(ending) = bookkeeper_of(consumer) else {
            return Ok(Self::new(consumer.to_owned(), store.last_seen(consumer).await?));
        };
        // A marker shows no process: scopes of queues and topics have markers, and their names may end alike.
        let mut runner = Self::new(format!("bookkeeper{ending}"), None);
        for status in store.consumer_statuses().await? {
            if status.consumer.ends_with(ending)
                && let Some(seen) = store.last_seen(&status.consumer).await?
                && runner.last_seen.is_none_or(|last| seen < last)
            {
                runner = Self::new(status.consumer, Some(seen));
            }
        }
        Ok(runner)
    }

    fn new(consumer: String, last_seen: Option<Duration>) -> Self {
        Self { is_running: last_seen.is_some_and(|last| last <= Self::SEEN_WITHIN), consumer, last_seen }
    }
}

/// Returns the ending of a bookkeeper's consumer that redelivers the dead letters of a broker.
fn bookkeeper_of(consumer: &str) -> Option<&'static str> {
    match consumer.split_once(':')?.0 {
        "queue" => Some(".queues"),
        "topic" => Some(".topics"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runner_was_seen_lately_or_does_not_run() {
        let runs = |seconds: Option<u64>| {
            RetryRunner::new("billing".to_owned(), seconds.map(Duration::from_secs)).is_running
        };
        assert!(runs(Some(0)) && runs(Some(30)));
        assert!(!runs(Some(31)) && !runs(None));
    }

    #[test]
    fn dead_letters_of_brokers_are_redelivered_by_a_bookkeeper() {
        for (consumer, expected) in [
            ("queue:billing", Some(".queues")),
            ("topic:bridge.dead/bridge", Some(".topics")),
            ("billing", None),
            ("route:orders:lines", None),
        ] {
            assert_eq!(bookkeeper_of(consumer), expected, "{consumer}");
        }
    }
}
