//! The events of an outbox, decoded and described.

use std::collections::{BTreeMap, HashSet};

use messagekit::adapter::{OutboxEvents, codec};
use messagekit::{Envelope, Error, Event, EventRegistry, Message, chain, headers};

/// The source of events that name none.
pub(super) const SOURCE: &str = "test";

/// Returns the committed events of type `E` in an outbox, in the order in which they were written; delayed ones come last.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// # use messagekit::{Event, Outbox};
/// # use messagekit_memory::MemoryStore;
/// # use messagekit_testkit::service::emitted;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Event, Serialize, Deserialize)]
/// # #[event(type = "orders.order.placed", key = "order_id")]
/// # struct OrderPlaced { order_id: String }
/// let store = MemoryStore::new();
/// let outbox = Outbox::new(store.clone(), "shop")?;
/// outbox.transaction(async |tx| Ok(outbox.add(tx, OrderPlaced { order_id: "o-1".into() }).await?)).await?;
/// let placed = emitted::<OrderPlaced>(&store).await?;
/// assert_eq!((placed.len(), &*placed[0].data.order_id), (1, "o-1"));
/// # Ok::<(), messagekit::Error>(()) }).unwrap();
/// ```
///
/// # Errors
/// [`Undecodable`](messagekit::ErrorKind::Undecodable) for an event of the type whose data does not fit `E`. A transient error if the
/// database does not answer: retry.
pub async fn emitted<E: Event>(store: &impl OutboxEvents) -> Result<Vec<Envelope<E>>, Error> {
    decoded(&store.outbox_events().await?)
}

/// Encodes an event as a message that a consumer gets, for tests that need the message itself.
///
/// # Panics
/// Panics with the reason if the event cannot be encoded.
pub fn message<E: Event>(event: impl Into<Envelope<E>>) -> Message {
    let encoded = codec::encode(&event.into(), SOURCE);
    encoded.unwrap_or_else(|error| panic!("event cannot be encoded: {}", chain(&error)))
}

/// Reads the messages that are of type `E`.
pub(super) fn decoded<E: Event>(messages: &[Message]) -> Result<Vec<Envelope<E>>, Error> {
    let registry = EventRegistry::new().with::<E>()?;
    let of_type = messages.iter().filter(|message| type_of(message) == E::TYPE);
    of_type
        .map(|message| {
            let event = registry.decode(message)?;
            Ok(event.downcast::<E>().expect("the registry knows one struct"))
        })
        .collect()
}

/// Returns the ids of messages.
pub(super) fn ids(messages: &[Message]) -> HashSet<String> {
    messages.iter().filter_map(id_of).map(str::to_owned).collect()
}

/// Returns the messages whose ids are not among `known`.
pub(super) fn beside(known: &HashSet<String>, mut messages: Vec<Message>) -> Vec<Message> {
    messages.retain(|message| id_of(message).is_none_or(|id| !known.contains(id)));
    messages
}

fn id_of(message: &Message) -> Option<&str> {
    message.headers.text(headers::ID)
}

/// Returns the type of an event, `an event without a type` if its headers name none.
pub(super) fn type_of(message: &Message) -> &str {
    message.event_type().unwrap_or("an event without a type")
}

/// Counts events by type, as a sentence shows them: "2 `billing.bill.issued`, 1 `mail.letter.written`".
pub(super) fn summary<'a>(types: impl IntoIterator<Item = &'a str>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    types.into_iter().for_each(|name| *counts.entry(name).or_default() += 1);
    if counts.is_empty() {
        return "nothing".to_owned();
    }
    let shown = counts.iter().map(|(name, count)| format!("{count} `{name}`"));
    shown.collect::<Vec<_>>().join(", ")
}
