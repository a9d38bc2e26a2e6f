//! The document of an event as lines for people.

use messagekit::operations::{LinkedEvent, PublicationState, PublisherMode, PublisherState};
use messagekit_admin::InDatabase;
use messagekit_admin::documents::{Cause, Effect, EventDocument, ShownEvent, ShownRecord, Unreachable};

use crate::output::{cell, key, printable};

/// Returns the lines of an event.
pub(super) fn lines(document: &EventDocument) -> Vec<String> {
    let mut lines = vec![format!("event {}", printable(&document.event_id))];
    for known in &document.databases {
        lines.push(format!("\nin database {}", printable(&known.database)));
        record(known, &mut lines);
    }
    if !document.causes.is_empty() {
        lines.push("\ncaused by, the nearest first".to_owned());
    }
    for (depth, Cause { event_id, event }) in document.causes.iter().enumerate() {
        let lost = || format!("{}, which no database keeps", printable(event_id));
        lines.push(format!("{}{}", "  ".repeat(depth + 1), event.as_ref().map_or_else(lost, head)));
    }
    if !document.effects.is_empty() {
        lines.push("\nled to".to_owned());
        effects(&document.effects, 1, &mut lines);
    }
    if document.is_cut {
        lines.push("\nthere may be more: 10 steps each way and 200 events are shown".to_owned());
    }
    for Unreachable { database, error } in &document.unreachable {
        lines.push(format!("\ndatabase {} {}: it may know more", printable(database), printable(error)));
    }
    lines
}

fn record(known: &ShownRecord, lines: &mut Vec<String>) {
    let mut line = |name: &str, value: String| lines.push(format!("  {name:<14} {value}"));
    if let Some(event) = &known.event {
        line("written", format!("{}, {} bytes", event.head.created_at, event.head.payload_bytes));
        line("topic", place(event));
        line("type", cell(&event.head.event_type));
        line("key", key(&event.head.key));
        line("publication", publication(event, &known.publisher));
        for (name, id) in [
            ("trace", event.trace_id.clone()),
            ("correlation", event.links.correlation_id.as_ref().map(ToString::to_string)),
            ("caused by", event.links.causation_id.as_ref().map(ToString::to_string)),
            ("replay of", event.links.replay_of.as_ref().map(ToString::to_string)),
        ] {
            if let Some(id) = id {
                line(name, printable(&id));
            }
        }
        for header in &event.headers {
            line("header", format!("{}: {}", printable(&header.name), cell(&header.value)));
        }
    }
    for outcome in &known.outcomes {
        let attempts = outcome.attempts.map(|runs| format!(", {runs} failed runs")).unwrap_or_default();
        let marker = &outcome.marker;
        let when = format!("{} at {}{attempts}", marker.outcome.as_str(), marker.processed_at);
        line("consumer", format!("{}: {when}", printable(&marker.consumer)));
    }
    for failed in &known.failed_messages {
        let why = format!("{}: {}", printable(&failed.kind), printable(&failed.error));
        let state = format!("{} of {}, {}", failed.id, printable(&failed.consumer), failed.state);
        line("failed message", format!("{state}, {why}"));
    }
    for failure in &known.failures {
        line("failed at", format!("{}: {}", printable(&failure.consumer), printable(&failure.reason)));
    }
    for again in &known.republications {
        line("republished", head(again));
    }
    for job in &known.replays {
        let progress = format!("{} of {} events", job.published, job.events);
        line("replay", format!("{}, {}, {progress}", job.id, job.state.as_str()));
    }
    for action in &known.actions {
        let who = format!("{} through {}", printable(&action.operator), printable(&action.through));
        line("action", format!("{} by {who} at {}", printable(&action.action), action.at));
    }
}

fn place(event: &ShownEvent) -> String {
    let topic = printable(&event.head.topic);
    match (event.partition, event.offset) {
        (Some(partition), Some(offset)) => format!("{topic}/{partition}/{offset}"),
        _ => topic,
    }
}

fn publication(event: &ShownEvent, publisher: &PublisherState) -> String {
    let publication = &event.publication;
    let mut parts = vec![publication.state.as_str().to_owned()];
    if let Some(at) = publication.at {
        let is_delayed = publication.state == PublicationState::Delayed;
        parts.push(format!("{} {at}", if is_delayed { "until" } else { "since" }));
    }
    if publication.attempts != 0 {
        parts.push(format!("refused {} times", publication.attempts));
    }
    parts.extend(publication.error.as_deref().map(printable));
    match (publisher.mode, publisher.confirmed_at) {
        (Some(PublisherMode::Relay), _) if publisher.has_relay == Some(false) => {
            parts.push("no relay lives".to_owned());
        }
        (Some(PublisherMode::Debezium), Some(at)) => parts.push(format!("the slot is at {at}")),
        (None, _) => parts.push("nothing publishes this outbox".to_owned()),
        _ => {}
    }
    if event.head.copies != 0 {
        parts.push(format!("republished {} times", event.head.copies));
    }
    parts.join(", ")
}

/// One line of an event among others.
fn head(event: &InDatabase<LinkedEvent>) -> String {
    format!(
        "{} {}, key {}, {} in {}",
        printable(event.event_id.as_str()),
        cell(&event.event_type),
        key(&event.key),
        event.created_at,
        printable(&event.database)
    )
}

fn effects(of: &[Effect], depth: usize, lines: &mut Vec<String>) {
    for effect in of {
        lines.push(format!("{}{}", "  ".repeat(depth), head(&effect.event)));
        effects(&effect.effects, depth + 1, lines);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tree_is_indented_by_steps_and_names_what_is_lost() {
        let event = |id: &str| {
            let event = LinkedEvent {
                event_id: id.parse().unwrap(),
                event_type: Some("a.b".to_owned()),
                topic: "t".into(),
                key: Some("k\u{1b}[31m".into()),
                created_at: jiff::Timestamp::UNIX_EPOCH,
                links: messagekit::adapter::EventLinks::default(),
            };
            InDatabase::new("shop", event)
        };
        let document = EventDocument {
            event_id: "e-2".to_owned(),
            databases: Vec::new(),
            causes: vec![
                Cause { event_id: "e-1".to_owned(), event: Some(event("e-1")) },
                Cause { event_id: "e-0".to_owned(), event: None },
            ],
            effects: vec![Effect {
                event: event("e-3"),
                effects: vec![Effect { event: event("e-4"), effects: Vec::new() }],
            }],
            is_cut: true,
            unreachable: vec![Unreachable {
                database: "stock".to_owned(),
                error: "does not answer".to_owned(),
            }],
        };
        let lines = lines(&document);
        assert!(lines.contains(&"    e-0, which no database keeps".to_owned()), "{lines:#?}");
        let last = "    e-4 a.b, key k\u{fffd}[31m, 1970-01-01T00:00:00Z in shop".to_owned();
        assert!(lines.contains(&last), "{lines:#?}");
        assert!(lines.last().unwrap().contains("database stock does not answer"), "{lines:#?}");
    }
}
