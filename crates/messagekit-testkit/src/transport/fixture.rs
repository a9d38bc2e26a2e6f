//! The fixture that an adapter supplies to run the transport suite.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::{Capabilities, Delivery, NextOffset, Publisher, Source};
use messagekit::{Message, headers};

use crate::unique;

/// A backend with fresh names for one case. It has only constructors, no behaviour of its own.
pub trait TransportFixture: Send + Sync + 'static {
    /// The adapter's source of messages.
    type Source: Source;

    /// Returns the capabilities of the adapter, as its source declares them.
    fn capabilities(&self) -> Capabilities;

    /// Creates an empty topic, with at least two partitions where members share the work.
    fn topic(&self) -> impl Future<Output = Arc<str>> + Send {
        async { Arc::from(unique("topic")) }
    }

    /// Returns a source over topics.
    fn source(&self, topics: &[Arc<str>]) -> Self::Source;

    /// Returns a new publisher to the same backend.
    fn publisher(&self) -> Box<dyn Publisher>;

    /// Runs before receipts are settled, with the positions behind the contiguous handled prefixes.
    ///
    /// A broker stores what is settled. A log in a database stores what [`advance`](messagekit::adapter::Positions::advance)
    /// wrote in the handler's transaction, so its fixture commits the positions here.
    fn handled(&self, _consumer: &str, _next: &[NextOffset]) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Returns how many messages may still arrive after a pause.
    fn in_flight(&self) -> usize {
        0
    }

    /// Returns how long a case waits before it concludes that no message arrives.
    fn quiet(&self) -> Duration {
        Duration::from_millis(200)
    }

    /// Returns names that no topic of this backend can have. The default returns the hostile names of
    /// [`check_topic`](messagekit::adapter::check_topic).
    fn bad_topics(&self) -> Vec<String> {
        ["", "..", "a b", "tüpic", "x'; DROP TABLE records; --"].map(str::to_owned).into()
    }

    /// Returns the cases that this backend cannot run, each with the reason. It is for a stand-in that lacks a feature of the
    /// real backend. They are reported as skipped.
    fn beyond(&self) -> &[(&'static str, &'static str)] {
        &[]
    }

    /// Returns whether [`lose`](Self::lose) works.
    fn can_lose(&self) -> bool {
        false
    }

    /// Revokes the lanes of a consumer and assigns them again, as after a missed heartbeat.
    fn lose(&self, _consumer: &str) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Closes every connection and opens the backend again, as a restart of the process does. Cases call it only when
    /// [`persistent`](Capabilities::persistent).
    fn reopen(&mut self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// Returns the message that most cases use: its text is payload and id.
pub fn message(topic: &Arc<str>, key: Option<&str>, text: &str) -> Message {
    let message = Message::new(topic.clone(), text.to_owned()).with_header(headers::ID, text.to_owned());
    match key {
        Some(key) => message.with_key(key.to_owned()),
        None => message,
    }
}

/// Publishes in one batch and requires that every message is accepted.
///
/// # Panics
/// Panics when a message is refused.
pub async fn publish<F: TransportFixture>(fixture: &F, batch: &[Message]) {
    for (message, result) in batch.iter().zip(fixture.publisher().publish(batch).await) {
        assert!(result.is_ok(), "publish of {message:?} was refused: {result:?}");
    }
}

/// Returns the payload of a delivery as text.
pub fn text(delivery: &Delivery) -> String {
    String::from_utf8_lossy(&delivery.message.payload).into_owned()
}

/// Returns the payloads of deliveries as text, in order.
pub fn texts(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(text).collect()
}
