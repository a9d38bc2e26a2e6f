//! The first page of a catalog.

use std::collections::BTreeMap;

use messagekit_schema::EventVersion;

use super::event_page::{consumers, owners, path, producers};
use super::folder::MARK;
use super::markdown::{code, head, row, text as plain_text};
use super::model::{CatalogEvent, Member};

/// Returns the page: the events by topic, and by service.
pub(super) fn text(members: &[Member], events: &[CatalogEvent<'_>]) -> String {
    let mut page = format!(
        "<!-- {MARK} -->\n\n# Catalog of events\n\n{} services, {} events; [AsyncAPI](asyncapi.json)\n\n## By topic\n\n",
        members.len(),
        events.len()
    );
    page += &head(&["topic", "event", "owner", "versions", "producers", "consumers"]);
    let mut topics: BTreeMap<&str, Vec<&CatalogEvent<'_>>> = BTreeMap::new();
    for event in events {
        let mut names: Vec<&str> =
            event.versions.iter().map(|version| version.contract.topic.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            topics.entry(name).or_default().push(event);
        }
    }
    for (topic, events) in topics {
        for event in events {
            let mut versions: Vec<String> =
                event.versions.iter().map(|version| version.version.to_string()).collect();
            versions.dedup();
            page += &row(&[
                &code(topic),
                &link(event.event_type),
                &owners(&event.writers),
                &versions.join(", "),
                &producers(event),
                &consumers(event),
            ]);
        }
    }
    page += "\n## By service\n\n";
    page += &head(&["service", "owner", "writes", "reads"]);
    for member in members {
        let owner = member.service.owned_by().map_or_else(|| "none".to_owned(), plain_text);
        let (written, read) = (links(member.service.written()), links(member.service.read()));
        page += &row(&[&code(member.name()), &owner, &written, &read]);
    }
    page
}

fn link(event_type: &str) -> String {
    format!("[{}]({})", plain_text(event_type), path(event_type))
}

fn links(uses: &[EventVersion]) -> String {
    let links: Vec<String> =
        uses.iter().map(|one| format!("{} {}", link(&one.event_type), plain_text(&one.version))).collect();
    if links.is_empty() { "none".to_owned() } else { links.join(", ") }
}
