//! Reads environment variables.

use std::collections::BTreeMap;

use super::alias;
use super::problems::problem;
use super::value::{Form, Layer, Value};

const PREFIX: &str = "MESSAGEKIT_";

/// Merges the variables over the values of the file and returns the problems.
pub(super) fn lay_over(
    values: &mut BTreeMap<String, Value>,
    variables: impl Iterator<Item = (String, String)>,
) -> Vec<String> {
    let mut problems = Vec::new();
    let mut named = BTreeMap::new();
    let mut aliased: BTreeMap<Vec<String>, _> = BTreeMap::new();
    for (name, value) in variables.filter(|(_, value)| !value.is_empty()) {
        if let Some(key) = name.strip_prefix(PREFIX).filter(|key| key.contains("__")) {
            let path = key.split("__").map(str::to_ascii_lowercase).collect::<Vec<_>>();
            named.insert(path, (name, value));
        } else if let Some((path, value)) = alias::resolve(&name, &value) {
            aliased.insert(path.split('.').map(str::to_owned).collect(), (name, value));
        }
    }
    for (path, (name, value)) in aliased {
        // Ignore an alias that does not match the file: it is meant for messagekit for Python.
        let _ = put(values, &path, Value { form: Form::Word(value), location: name, layer: Layer::Alias });
    }
    // Sort list entries by number: the tenth follows the second.
    let mut named: Vec<_> = named.into_iter().collect();
    named.sort_by_cached_key(|(path, _)| {
        let rank = |name: &String| (name.parse::<usize>().unwrap_or(usize::MAX), name.clone());
        path.iter().map(rank).collect::<Vec<_>>()
    });
    for (path, (name, value)) in named {
        let word = Value { form: Form::Word(value), location: name.clone(), layer: Layer::Variable };
        if let Err(text) = put(values, &path, word) {
            problems.push(problem(&path.join("."), &name, &text));
        }
    }
    problems
}

fn put(values: &mut BTreeMap<String, Value>, path: &[String], word: Value) -> Result<(), String> {
    let [name, rest @ ..] = path else { return Err("a name is missing".to_owned()) };
    if name.is_empty() {
        return Err("a name between two underscores is missing".to_owned());
    }
    let Some(next) = rest.first() else {
        values.insert(name.clone(), word);
        return Ok(());
    };
    let index: Option<usize> = next.parse().ok();
    let empty = || match index {
        Some(_) => Form::List(Vec::new()),
        None => Form::Table(BTreeMap::new()),
    };
    let inner = values.entry(name.clone()).or_insert_with(|| Value { form: empty(), ..word.clone() });
    match (&mut inner.form, index) {
        (Form::Table(table), None) => put(table, rest, word),
        (Form::List(entries), Some(index)) => put_entry(entries, index, &rest[1..], word),
        (Form::List(_), None) => Err(format!("{name} is a list: write the number of the entry, from 0")),
        (Form::Table(_), Some(_)) => Err(format!("{name} has no numbered entries")),
        _ => Err(format!("{name} has no parts")),
    }
}

/// Changes a list entry, or appends the next one.
fn put_entry(entries: &mut Vec<Value>, index: usize, rest: &[String], word: Value) -> Result<(), String> {
    if index > entries.len() {
        return Err(format!("the next entry has the number {}", entries.len()));
    }
    if index == entries.len() {
        entries.push(Value { form: Form::Table(BTreeMap::new()), ..word.clone() });
    }
    if rest.is_empty() {
        entries[index] = word;
        return Ok(());
    }
    match &mut entries[index].form {
        Form::Table(table) => put(table, rest, word),
        _ => Err(format!("entry {index} has no parts")),
    }
}
