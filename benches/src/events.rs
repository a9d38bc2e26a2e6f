//! The event of every cell.

use messagekit::adapter::{Publisher, codec};
use messagekit::{Envelope, Event, Message};
use serde::{Deserialize, Serialize};

use crate::frame::Outcome;

/// An event of about 1 KiB of JSON. Its text is random: otherwise the cell would measure compression.
#[derive(Clone, Debug, Event, Serialize, Deserialize, schemars::JsonSchema)]
#[event(type = "bench.event.made", key = "account")]
pub(crate) struct Made {
    /// The key: one of [`ACCOUNTS`], some of them far more frequent than others.
    pub(crate) account: String,
    /// A number that is unique in a run.
    pub(crate) number: u64,
    /// The filler text.
    pub(crate) text: String,
}

/// The number of possible keys.
pub(crate) const ACCOUNTS: f64 = 10_000.0;

/// The topic of the events, unless a cell uses its own.
pub(crate) const TOPIC: &str = Made::TOPIC;

/// The characters of text that fill an event up to 1 KiB.
const TEXT: usize = 820;

const CHARACTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";

/// Generates `n` events, numbered from 0. Every call returns the same events.
pub(crate) fn events(n: usize) -> impl Iterator<Item = Made> {
    let mut dice = fastrand::Rng::with_seed(20_251_120);
    (0..n as u64).map(move |number| {
        // The third power gives a fifth of the events to the first hundredth of the keys.
        let account = (dice.f64().powi(3) * ACCOUNTS) as u64;
        let text = (0..TEXT).map(|_| char::from(CHARACTERS[dice.usize(..64)])).collect();
        Made { account: format!("account-{account}"), number, text }
    })
}

/// Encodes `n` events as a service would.
pub(crate) fn messages(n: usize) -> Outcome<Vec<Message>> {
    events(n).map(|made| Ok(codec::encode(&Envelope::new(made), "bench")?)).collect()
}

/// Encodes `n` events for another topic.
pub(crate) fn messages_to(topic: &str, n: usize) -> Outcome<Vec<Message>> {
    let topic: std::sync::Arc<str> = topic.into();
    let moved = |message: Message| Message { topic: topic.clone(), ..message };
    Ok(messages(n)?.into_iter().map(moved).collect())
}

/// Encodes `n` events for another topic, with equally frequent keys.
pub(crate) fn even_messages_to(topic: &str, n: usize) -> Outcome<Vec<Message>> {
    let topic: std::sync::Arc<str> = topic.into();
    let even =
        events(n).map(|made| Made { account: format!("account-{}", made.number % ACCOUNTS as u64), ..made });
    even.map(|made| Ok(Message { topic: topic.clone(), ..codec::encode(&Envelope::new(made), "bench")? }))
        .collect()
}

/// Publishes messages and requires that each is durable.
pub(crate) async fn publish(publisher: &impl Publisher, messages: &[Message]) -> Outcome<()> {
    for published in publisher.publish(messages).await {
        published?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_kibibyte_and_the_same_each_time() {
        let (first, again) = (messages(50).unwrap(), events(50).zip(events(50)));
        assert!(first.iter().all(|message| (1000..=1100).contains(&message.payload.len())));
        assert!(again.into_iter().all(|(a, b)| a.text == b.text && a.account == b.account));
    }
}
