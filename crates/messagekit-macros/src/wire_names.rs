//! The names that serde gives the fields, and which of them belong to the envelope.
//!
//! In the flat wire form, one JSON object holds the fields of the envelope and of the event. An event must therefore
//! tolerate unknown fields, and must not use the envelope's names.

use proc_macro2::{Span, TokenStream};
use syn::ext::IdentExt;
use syn::{Attribute, DeriveInput, Field, Ident, LitStr, Meta, Path, parse_quote};

use crate::entry::Entry;
use crate::problems::Problems;
use crate::suggest;

/// The names of the envelope's fields, in both spellings.
const ENVELOPE_NAMES: [&str; 16] = [
    "eventId",
    "event_id",
    "eventType",
    "event_type",
    "aggregateId",
    "aggregate_id",
    "occurredAt",
    "occurred_at",
    "source",
    "dataVersion",
    "data_version",
    "correlationId",
    "correlation_id",
    "causationId",
    "causation_id",
    "metadata",
];

/// Rejects a struct that cannot share a JSON object with the envelope.
pub(crate) fn check(input: &DeriveInput, fields: &[&Field], problems: &mut Problems) {
    let container = serde_entries(&input.attrs);
    if let Some(entry) = find(&container, "deny_unknown_fields") {
        problems.push_at(
            entry.name.span(),
            "`deny_unknown_fields` would refuse every event: the flat wire form puts the envelope's fields \
             (`eventId`, `source` and so on) beside these; remove it",
        );
    }
    if let Some(tag) = find(&container, "tag").and_then(Entry::text)
        && ENVELOPE_NAMES.contains(&tag.value().as_str())
    {
        let tag_name = tag.value();
        let instead = own_name(&input.ident, &tag_name);
        problems.push_at(
            tag.span(),
            format!("the tag `{tag_name}` is a field of the event envelope: write for example `{instead}`"),
        );
    }
    for field in fields {
        check_field(&input.ident, &container, field, problems);
    }
}

/// Rejects a field with the name of an envelope field, at the literal or name that gives it.
fn check_field(event: &Ident, container: &[Entry], field: &Field, problems: &mut Problems) {
    let Some(name) = &field.ident else { return };
    let plain = name.unraw().to_string();
    let clash = wire_names(container, field, name)
        .into_iter()
        .find(|(wire_name, _)| ENVELOPE_NAMES.contains(&wire_name.as_str()));
    match clash {
        Some((wire_name, Some(literal))) => problems.push_at(
            literal,
            format!(
                "`{wire_name}` is a field of the event envelope: write another name for the field `{plain}`, \
                 for example `{}`",
                own_name(event, &wire_name)
            ),
        ),
        Some((wire_name, None)) => {
            let on_the_wire =
                if wire_name == plain { String::new() } else { format!(" (`{wire_name}` on the wire)") };
            problems.push_at(
                name.span(),
                format!(
                    "the field `{plain}`{on_the_wire} has the name of a field of the event envelope: \
                     call it for example `{}`, or add `#[serde(rename = \"{}\")]`",
                    own_name(event, &plain),
                    own_name(event, &wire_name)
                ),
            );
        }
        None => {}
    }
}

/// Returns the names under which serde writes and reads a field, each with the literal that gives it, if any.
fn wire_names(container: &[Entry], field: &Field, name: &Ident) -> Vec<(String, Option<Span>)> {
    let entries = serde_entries(&field.attrs);
    let has = |name: &str| find(&entries, name).is_some();
    // The fields inside a flattened one are unknown here; the name of the field itself is not used.
    if has("flatten") || has("skip") || find(container, "transparent").is_some() {
        return Vec::new();
    }
    let written = !has("skip_serializing") && find(container, "into").is_none();
    let read = !has("skip_deserializing")
        && find(container, "from").is_none()
        && find(container, "try_from").is_none();
    let mut names = Vec::new();
    for (used, side) in [(written, "serialize"), (read, "deserialize")] {
        if !used {
            continue;
        }
        let renames = literals(&entries, "rename", side);
        if renames.is_empty() {
            let convention = literals(container, "rename_all", side).first().map(LitStr::value);
            names.push((renamed(&name.unraw().to_string(), convention.as_deref()), None));
        }
        names.extend(renames.iter().map(|literal| (literal.value(), Some(literal.span()))));
    }
    if read {
        let aliases = entries.iter().filter(|entry| entry.is("alias")).filter_map(Entry::text);
        names.extend(aliases.map(|literal| (literal.value(), Some(literal.span()))));
    }
    names
}

/// Returns the literals of `name = "..."`, and of `name(side = "...")`.
fn literals(entries: &[Entry], name: &str, side: &str) -> Vec<LitStr> {
    let mut found = Vec::new();
    for entry in entries.iter().filter(|entry| entry.is(name)) {
        found.extend(entry.text());
        found.extend(entry.nested().iter().filter(|nested| nested.is(side)).filter_map(Entry::text));
    }
    found
}

/// Returns the name that `rename_all` gives a field; serde assumes the field to be in `snake_case`.
fn renamed(field: &str, convention: Option<&str>) -> String {
    match convention {
        Some("UPPERCASE" | "SCREAMING_SNAKE_CASE") => field.to_ascii_uppercase(),
        Some("PascalCase") => joined(field.split('_'), true),
        Some("camelCase") => joined(field.split('_').filter(|word| !word.is_empty()), false),
        Some("kebab-case") => field.replace('_', "-"),
        Some("SCREAMING-KEBAB-CASE") => field.to_ascii_uppercase().replace('_', "-"),
        // `lowercase` and `snake_case` leave fields unchanged; serde rejects other values.
        _ => field.to_owned(),
    }
}

/// Joins words into one, each word but possibly the first with a capital.
fn joined<'a>(words: impl Iterator<Item = &'a str>, first_is_capital: bool) -> String {
    let mut joined = String::new();
    for (index, word) in words.enumerate() {
        let mut characters = word.chars();
        if let Some(first) = characters.next() {
            let capital = index > 0 || first_is_capital;
            joined.push(if capital { first.to_ascii_uppercase() } else { first.to_ascii_lowercase() });
        }
        joined.push_str(characters.as_str());
    }
    joined
}

/// Returns a name of the event's own, in the convention of `taken`: `order_source` or `orderSource`.
fn own_name(event: &Ident, taken: &str) -> String {
    let first = suggest::words(&event.unraw().to_string()).into_iter().next();
    let mut words = vec![first.unwrap_or_else(|| "own".to_owned())];
    words.extend(suggest::words(taken));
    if taken.chars().any(|character| character.is_ascii_uppercase()) {
        joined(words.iter().map(String::as_str), false)
    } else {
        words.join("_")
    }
}

/// Returns all entries of all `#[serde(...)]` attributes; serde itself reports invalid ones.
fn serde_entries(attributes: &[Attribute]) -> Vec<Entry> {
    let tokens = attributes.iter().filter(|attribute| attribute.path().is_ident("serde")).map(|attribute| {
        match &attribute.meta {
            Meta::List(list) => list.tokens.clone(),
            _ => TokenStream::new(),
        }
    });
    tokens.flat_map(|tokens| Entry::list(tokens).unwrap_or_default()).collect()
}

/// Returns the path of the struct's serde: the value of `#[serde(crate = "...")]`, otherwise `::serde`.
pub(crate) fn serde_path(input: &DeriveInput) -> Path {
    find(&serde_entries(&input.attrs), "crate")
        .and_then(Entry::text)
        .and_then(|path| path.parse().ok())
        .unwrap_or_else(|| parse_quote!(::serde))
}

/// Returns the first entry with this name.
fn find<'a>(entries: &'a [Entry], name: &str) -> Option<&'a Entry> {
    entries.iter().find(|entry| entry.is(name))
}

#[cfg(test)]
#[path = "wire_names_tests.rs"]
mod tests;
