//! Detects unknown keys.

use std::collections::BTreeMap;

use super::problems::problem;
use super::reader::ReadKeys;
use super::value::{Form, Layer, Value};

/// Adds a problem for each unknown key, with the most similar known name.
pub(super) fn find(values: &BTreeMap<String, Value>, read: &ReadKeys, problems: &mut Vec<String>) {
    let is_read = |name: &String| read.sections.contains(name) || !read.elsewhere.contains(name);
    let rest = values.iter().filter(|(name, _)| is_read(name));
    for (name, value) in rest {
        look(name, value, "", read, problems);
    }
}

fn look(name: &str, value: &Value, above: &str, read: &ReadKeys, problems: &mut Vec<String>) {
    let path = if above.is_empty() { name.to_owned() } else { format!("{above}.{name}") };
    if read.values.contains(&path) || value.layer == Layer::Alias && !read.sections.contains(&path) {
        return;
    }
    if !read.sections.contains(&path) {
        let meant = meant(name, above, read).map(|meant| format!(": did you mean {meant}?"));
        problems.push(problem(&path, &value.location, &format!("unknown key{}", meant.unwrap_or_default())));
        return;
    }
    match &value.form {
        Form::Table(entries) => {
            entries.iter().for_each(|(name, value)| look(name, value, &path, read, problems));
        }
        Form::List(entries) => {
            for (index, entry) in entries.iter().enumerate() {
                look(&index.to_string(), entry, &path, read, problems);
            }
        }
        _ => {}
    }
}

/// Returns the most similar known name of the same section.
fn meant<'a>(name: &str, above: &str, read: &'a ReadKeys) -> Option<&'a str> {
    let beside = |path: &'a String| {
        let (section, name) = path.rsplit_once('.').unwrap_or(("", path));
        (section == above).then_some(name)
    };
    let known = read.values.iter().chain(&read.sections).chain(&read.elsewhere).filter_map(beside);
    known
        .map(|known| (strsim::normalized_damerau_levenshtein(name, known), known))
        .filter(|(alike, _)| *alike >= 0.6)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, known)| known)
}
