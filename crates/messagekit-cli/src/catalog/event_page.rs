//! The page of an event.

use serde_json::Value;

use super::folder::{EVENTS, MARK};
use super::markdown::{block, code, head, json, row, text as plain_text};
use super::model::{CatalogEvent, Member, Version, earlier};
use super::names::plain;
use super::{fields, sample};

/// Returns the path of the page in the folder of the catalog.
pub(super) fn path(event_type: &str) -> String {
    format!("{EVENTS}/{}.md", plain(event_type))
}

/// Returns the page.
pub(super) fn text(event: &CatalogEvent<'_>) -> String {
    let mut page = format!("<!-- {MARK} -->\n\n# {}\n\n", plain_text(event.event_type));
    if let Some(description) = event.versions.iter().rev().find_map(description) {
        page += &format!("{}\n\n", plain_text(description));
    }
    page += &head(&["", ""]);
    page += &row(&["owner", &owners(&event.writers)]);
    page += &row(&["topic", &topics(event)]);
    page += &row(&["producers", &producers(event)]);
    page += &row(&["consumers", &consumers(event)]);
    for (index, version) in event.versions.iter().enumerate().rev() {
        page += &of_version(event, index, version);
    }
    page += "\n[All events](../README.md)\n";
    page
}

fn description<'a>(version: &Version<'a>) -> Option<&'a str> {
    version.contract.schema.get("description").and_then(Value::as_str)
}

/// Returns who answers for services, each once.
pub(super) fn owners(members: &[&Member]) -> String {
    let mut owners: Vec<&str> = members.iter().filter_map(|member| member.service.owned_by()).collect();
    owners.sort_unstable();
    owners.dedup();
    or_none(owners.into_iter().map(plain_text).collect())
}

/// Returns the topics that an event is written to, or read from if no service writes it.
pub(super) fn topics(event: &CatalogEvent<'_>) -> String {
    let is_used = |version: &&Version<'_>| event.writers.is_empty() || !version.writers.is_empty();
    let mut topics: Vec<&str> =
        event.versions.iter().filter(is_used).map(|version| version.contract.topic.as_str()).collect();
    topics.sort_unstable();
    topics.dedup();
    or_none(topics.into_iter().map(code).collect())
}

/// Returns the services that write an event, with their versions.
pub(super) fn producers(event: &CatalogEvent<'_>) -> String {
    let of = |member: &&Member| {
        let versions = member.writes(event.event_type).into_iter().map(|contract| contract.version.as_str());
        format!("{} ({})", code(member.name()), plain_text(&versions.collect::<Vec<_>>().join(", ")))
    };
    or_none(event.writers.iter().map(of).collect())
}

/// Returns the services that read an event, with the versions that they read.
pub(super) fn consumers(event: &CatalogEvent<'_>) -> String {
    let of = |member: &&Member| {
        let mut versions = Vec::new();
        for contract in member.reads(event.event_type) {
            let older: Vec<String> = earlier(contract).map(|version| version.to_string()).collect();
            let upcast =
                if older.is_empty() { String::new() } else { format!(" upcast from {}", older.join(", ")) };
            versions.push(format!("{}{upcast}", contract.version));
        }
        format!("{} ({})", code(member.name()), plain_text(&versions.join(", ")))
    };
    or_none(event.readers.iter().map(of).collect())
}

fn or_none(words: Vec<String>) -> String {
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

fn of_version(event: &CatalogEvent<'_>, index: usize, version: &Version<'_>) -> String {
    let number = version.version;
    let is_alone = |other: &Version<'_>| other.version != number;
    let others = event.versions[..index].iter().chain(&event.versions[index + 1..]);
    let mut part = format!("\n## Version {number}");
    if !others.clone().all(is_alone) {
        // Services disagree about this version: a heading for each of its schemas.
        let names = if version.writers.is_empty() { &version.readers } else { &version.writers };
        part += &format!(" of {}", names.join(", "));
    }
    let list = |names: &[&str]| or_none(names.iter().map(|name| code(name)).collect());
    part += &format!(
        "\n\nWritten by: {}. Read as it is by: {}.\n\n",
        list(&version.writers),
        list(&version.readers)
    );
    let rows = fields::of(&version.contract.schema);
    if !rows.is_empty() {
        part += &head(&["field", "type", "required", "description"]);
        for field in rows {
            let required = if field.is_required { "yes" } else { "no" };
            part += &row(&[
                &code(&field.path),
                &plain_text(&field.kind),
                required,
                &plain_text(&field.description),
            ]);
        }
    }
    part += "\nSample, without the fields that every event has:\n\n";
    part += &match sample::of(&version.contract.schema) {
        Some(sample) => block("json", &json(&sample)),
        None => "None can be made from this schema: add `examples` to it.\n".to_owned(),
    };
    part + "\nSchema:\n\n" + &block("json", &json(&version.contract.schema))
}
