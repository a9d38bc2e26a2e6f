//! A pipeline as a Mermaid diagram.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use messagekit_topic_store::{PipelineStore, RecordCounts};

use super::arm::Arm;
use crate::Error;

/// Draws the graph of some arms; `label` says what stands below the name of a topic.
pub(crate) fn graph<S>(arms: &[Arm<S>], label: impl Fn(&Arc<str>) -> String) -> String {
    edges(arms.iter().map(|arm| (&arm.source, arm.target.as_ref())), label)
}

/// Draws edges between topics, and topics without one.
pub(crate) fn edges<'a>(
    edges: impl IntoIterator<Item = (&'a Arc<str>, Option<&'a Arc<str>>)>,
    label: impl Fn(&Arc<str>) -> String,
) -> String {
    let mut drawn = BTreeSet::new();
    // A node has its label where it is named first.
    let mut node = |topic: &Arc<str>| {
        let (name, label) = (name(topic), label(topic));
        let is_plain = label.is_empty() && *name == **topic;
        if !drawn.insert(topic.clone()) || is_plain {
            return name;
        }
        format!("{name}[\"{}{label}\"]", escaped(topic))
    };
    let mut lines = vec!["graph TD".to_owned()];
    for (source, target) in edges {
        let source = node(source);
        lines.push(match target {
            Some(target) => format!("    {source} --> {}", node(target)),
            None => format!("    {source}"),
        });
    }
    lines.join("\n")
}

/// Returns the name of a node: that of its topic, where Mermaid does not read it as a word or a sign of its own.
fn name(topic: &str) -> String {
    let is_own = |character: char| character.is_ascii_alphanumeric() || "._".contains(character);
    if topic.chars().all(is_own) && !topic.eq_ignore_ascii_case("end") {
        return topic.to_owned();
    }
    let plain = topic.chars().map(|character| if is_own(character) { character } else { '_' });
    format!("t_{}", plain.collect::<String>())
}

pub(crate) async fn with_counts<S: PipelineStore>(arms: &[Arm<S>]) -> Result<String, Error> {
    let mut counts: BTreeMap<Arc<str>, RecordCounts> = BTreeMap::new();
    for arm in arms {
        let store = &arm.shared.store;
        for topic in [Some(&arm.source), arm.target.as_ref()].into_iter().flatten() {
            if !counts.contains_key(topic) {
                counts.insert(topic.clone(), store.count_records(&arm.consumer, topic).await?);
            }
        }
    }
    Ok(graph(arms, |topic| {
        let RecordCounts { new, handled, dead, .. } = counts.get(topic).copied().unwrap_or_default();
        format!("<br/>new {new}, handled {handled}, dead {dead}")
    }))
}

/// Writes a name so that Mermaid shows it as it is.
pub(crate) fn escaped(name: &str) -> String {
    name.chars().fold(String::new(), |mut text, character| {
        match character {
            '"' | '<' | '>' | '&' | '#' | ';' => text.push_str(&format!("#{};", character as u32)),
            other if other.is_control() => text.push(' '),
            other => text.push(other),
        }
        text
    })
}
