//! Detects unknown keys.

use std::collections::BTreeMap;

use super::Asked;
use super::section::problem;
use super::value::{Form, Layer, Value};

/// Adds a problem for each unknown key, with the most similar known name.
pub(super) fn find(values: &BTreeMap<String, Value>, asked: &Asked, problems: &mut Vec<String>) {
    let rest = values.iter().filter(|(name, _)| !asked.elsewhere.contains(*name));
    for (name, value) in rest {
        look(name, value, "", asked, problems);
    }
}

fn look(name: &str, value: &Value, above: &str, asked: &Asked, problems: &mut Vec<String>) {
    let path = if above.is_empty() { name.to_owned() } else { format!("{above}.{name}") };
    if asked.values.contains(&path) || value.layer == Layer::Alias && !asked.sections.contains(&path) {
        return;
    }
    if !asked.sections.contains(&path) {
        let meant = meant(name, above, asked).map(|meant| format!(": did you mean {meant}?"));
        problems.push(problem(&path, &value.place, &format!("unknown key{}", meant.unwrap_or_default())));
        return;
    }
    match &value.form {
        Form::Table(entries) => {
            entries.iter().for_each(|(name, value)| look(name, value, &path, asked, problems));
        }
        Form::List(entries) => {
            for (index, entry) in entries.iter().enumerate() {
                look(&index.to_string(), entry, &path, asked, problems);
            }
        }
        _ => {}
    }
}

/// Returns the most similar known name of the same section.
fn meant<'a>(name: &str, above: &str, asked: &'a Asked) -> Option<&'a str> {
    let beside = |path: &'a String| {
        let (section, name) = path.rsplit_once('.').unwrap_or(("", path));
        (section == above).then_some(name)
    };
    let known = asked.values.iter().chain(&asked.sections).chain(&asked.elsewhere).filter_map(beside);
    known
        .map(|known| (strsim::normalized_damerau_levenshtein(name, known), known))
        .filter(|(alike, _)| *alike >= 0.6)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, known)| known)
}
