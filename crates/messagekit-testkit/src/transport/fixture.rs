//! What an adapter supplies to run the transport suite.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use messagekit::{Capabilities, Delivery, Message, NextOffset, Publisher, Source, headers};

use crate::unique;

/// A backend with a fresh corner for one case: only constructors, no behaviour of its own.
pub trait TransportFixture: Send + Sync + 'static {
    /// What the adapter's consumers read from.
    type Source: Source;

    /// Says what the adapter can do, as its source says.
    fn capabilities(&self) -> Capabilities;

    /// Makes an empty topic; of at least two partitions where members share the work.
    fn topic(&self) -> impl Future<Output = Arc<str>> + Send {
        async { Arc::from(unique("topic")) }
    }

    /// Returns a source over topics.
    fn source(&self, topics: &[Arc<str>]) -> Self::Source;

    /// Returns a new publisher to the same backend.
    fn publisher(&self) -> Box<dyn Publisher>;

    /// Called before receipts are settled, with the positions behind the contiguous handled prefixes.
    ///
    /// A broker remembers what is settled; a log in a database remembers what [`advance`](messagekit::Offsets::advance)
    /// wrote in the handler's transaction, so its fixture commits the positions here.
    fn handled(&self, _consumer: &str, _next: &[NextOffset]) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Returns how many messages may still come after a pause.
    fn in_flight(&self) -> usize {
        0
    }

    /// Returns how long nothing must arrive until a case believes that nothing will.
    fn quiet(&self) -> Duration {
        Duration::from_millis(200)
    }

    /// Returns names that no topic of this backend can have; unless overridden, the hostile ones of
    /// [`check_topic`](messagekit::check_topic).
    fn bad_topics(&self) -> Vec<String> {
        ["", "..", "a b", "tüpic", "x'; DROP TABLE records; --"].map(str::to_owned).into()
    }

    /// Names the cases that this backend cannot play, each with the reason: for a stand-in that lacks what the real one has.
    /// They are reported as skipped.
    fn beyond(&self) -> &[(&'static str, &'static str)] {
        &[]
    }

    /// Says whether [`lose`](Self::lose) works.
    fn can_lose(&self) -> bool {
        false
    }

    /// Takes the lanes of a consumer away and assigns them again, as after a missed heartbeat.
    fn lose(&self, _consumer: &str) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Ends every connection and opens the backend anew, as a restart of the process does; only called when
    /// [`persistent`](Capabilities::persistent).
    fn reopen(&mut self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// Makes the message that most cases use: its text is payload and id.
pub fn message(topic: &Arc<str>, key: Option<&str>, text: &str) -> Message {
    let message = Message::new(topic.clone(), text.to_owned()).with_header(headers::ID, text.to_owned());
    match key {
        Some(key) => message.with_key(key.to_owned()),
        None => message,
    }
}

/// Publishes in one batch and demands that everything is taken.
///
/// # Panics
/// When a message is refused.
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
