//! Compares event types that are named by a text with those of the events that a consumer knows.

use super::similar_types::similar_types;

/// Warns of the types that handlers of messages and of JSON name, where one is almost that of an event: its handler would never run. There may
/// be both, as `orders.order.picked` and `orders.order.packed`, so it is no error.
pub(in crate::consumer) fn warn_of_misspelt(consumer: &str, by_text: &[&str], of_events: &[&str]) {
    for (event_type, known) in misspelt(by_text, of_events) {
        tracing::warn!(
            consumer,
            event_type,
            known,
            "a handler names an event type that is almost that of a known event: if the text is wrong, take it from the event as `Event::TYPE`"
        );
    }
}

/// Returns each type that may be misspelt, with the one that may be meant.
fn misspelt<'a>(by_text: &[&'a str], of_events: &[&'a str]) -> Vec<(&'a str, &'a str)> {
    let unknown = by_text.iter().filter(|event_type| !of_events.contains(event_type));
    let meant = |event_type: &&'a str| Some((*event_type, *similar_types(event_type, of_events).first()?));
    unknown.filter_map(meant).collect()
}

#[cfg(test)]
mod tests {
    use super::misspelt;

    #[test]
    fn a_misspelt_type_is_answered_with_the_known_one() {
        let known = ["orders.order.paid", "orders.order.placed"];
        let texts =
            ["orders.order.palced", "orders.order.paid", "orders.order.cancelled", "parcels.parcel.sent"];
        assert_eq!(misspelt(&texts, &known), [("orders.order.palced", "orders.order.placed")]);
    }
}
