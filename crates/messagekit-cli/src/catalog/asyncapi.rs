//! The AsyncAPI document of a catalog.

use std::collections::BTreeMap;

use messagekit::Error;
use serde_json::{Map, Value, json};

use super::folder::MARK;
use super::model::{CatalogEvent, Member, Version};
use super::names::plain;
use super::schemas::{Schemas, add, reference};
use super::{envelope, sample};

/// The part with the schema of what messagekit adds to each event. No event has its name: it is no name of [`plain`].
const ENVELOPE: &str = "_envelope";

/// Returns the document: a channel for each topic, an operation for each service and topic, and a message for each version.
pub(super) fn document(members: &[Member], events: &[CatalogEvent<'_>]) -> Result<Value, Error> {
    let envelope = envelope::schema();
    let beside: Vec<&str> =
        envelope["properties"].as_object().into_iter().flat_map(Map::keys).map(String::as_str).collect();
    let mut schemas = Schemas::from([(ENVELOPE.to_owned(), envelope.clone())]);
    let (mut messages, mut channels, mut operations) = (Map::new(), Map::new(), BTreeMap::new());
    for event in events {
        for (index, version) in event.versions.iter().enumerate() {
            let name = message_name(event, index);
            add(&mut schemas, &name, &version.contract.schema, &beside);
            messages.insert(name.clone(), message(event, version, &name));
            let topic = &version.contract.topic;
            let channel =
                channels.entry(plain(topic)).or_insert_with(|| json!({"address": topic, "messages": {}}));
            channel["messages"][&name] = json!({ "$ref": format!("#/components/messages/{name}") });
            for member in members {
                let is_written = version.writers.contains(&member.name());
                let is_read = member.reads_major(event.event_type, version.version.major)
                    && member.reads(event.event_type).iter().any(|contract| contract.topic == *topic);
                for (action, _) in
                    [("send", is_written), ("receive", is_read)].into_iter().filter(|(_, does)| *does)
                {
                    let key = format!("{}_{action}_{}", plain(member.name()), plain(topic));
                    let operation = operations.entry(key).or_insert_with(|| operation(member, action, topic));
                    let reference = json!({ "$ref": format!("#/channels/{}/messages/{name}", plain(topic)) });
                    if let Some(messages) = operation["messages"].as_array_mut() {
                        messages.push(reference);
                    }
                }
            }
        }
    }
    Ok(json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Catalog of events",
            "version": "1.0.0",
            "description": "Events that services write to topics and read from them, by messagekit.",
            "x-generated": MARK,
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": schemas},
    }))
}

/// Returns the name of a version, which no other version of any event has.
fn message_name(event: &CatalogEvent<'_>, index: usize) -> String {
    let version = event.versions[index].version;
    let before = event.versions[..index].iter().filter(|other| other.version == version).count();
    let name = format!("{}_v{version}", plain(event.event_type));
    if before == 0 { name } else { format!("{name}_n{}", before + 1) }
}

fn message(event: &CatalogEvent<'_>, version: &Version<'_>, name: &str) -> Value {
    let (event_type, number) = (event.event_type, version.version.to_string());
    let mut message = json!({
        "name": event_type,
        "title": format!("{event_type} {number}"),
        "contentType": "application/json",
        "headers": envelope::headers(event_type),
        "payload": {
            "allOf": [reference(ENVELOPE), reference(name)],
            "properties": {"eventType": {"const": event_type}, "dataVersion": {"const": number}},
        },
    });
    if let Some(description) = version.contract.schema.get("description").and_then(Value::as_str) {
        message["description"] = description.into();
    }
    if let Some(data) = sample::of(&version.contract.schema) {
        let source = version.writers.first().copied().unwrap_or("another-system");
        message["examples"] = json!([{
            "name": "sample",
            "headers": envelope::sample_headers(event_type),
            "payload": envelope::sample(event_type, &number, source, &data),
        }]);
    }
    message
}

fn operation(member: &Member, action: &str, topic: &str) -> Value {
    let verb = if action == "send" { "writes to" } else { "reads from" };
    let mut operation = json!({
        "action": action,
        "title": format!("{} {verb} {topic}", member.name()),
        "channel": {"$ref": format!("#/channels/{}", plain(topic))},
        "tags": [{"name": member.name()}],
        "messages": [],
    });
    if let Some(owner) = member.service.owned_by() {
        operation["x-owner"] = owner.into();
    }
    operation
}
