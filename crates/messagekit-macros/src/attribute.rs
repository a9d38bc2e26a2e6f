//! Parses `#[event(...)]`.

use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, DeriveInput, Error, LitStr, Meta, Type};

use crate::entry::Entry;
use crate::grammar;
use crate::problems::Problems;
use crate::suggest;

/// The keys of the attribute, each with a value to show in an error.
const KEYS: [(&str, &str); 6] = [
    ("type", grammar::EXAMPLE_TYPE),
    ("key", "order_id"),
    ("topic", "orders.order"),
    ("version", "1.0"),
    ("source", "shop"),
    ("upcast_from", "OrderPlacedV1"),
];

/// The values of `#[event(...)]`. A missing or invalid value is absent here and recorded as a problem.
#[derive(Default)]
pub(crate) struct EventAttribute {
    /// The type, checked.
    pub(crate) event_type: Option<String>,
    /// The explicit topic, checked.
    pub(crate) topic: Option<String>,
    /// The version, checked.
    pub(crate) version: Option<String>,
    /// The source, checked.
    pub(crate) source: Option<String>,
    /// The name of the key field, with its span; not yet resolved.
    pub(crate) key: Option<LitStr>,
    /// The event of the earlier major version that this one is made from.
    pub(crate) upcast_from: Option<Type>,
}

impl EventAttribute {
    /// Parses the single `#[event(...)]` of a struct.
    pub(crate) fn of(input: &DeriveInput, problems: &mut Problems) -> Self {
        let mut attributes = input.attrs.iter().filter(|attribute| is_event(attribute));
        let name = input.ident.unraw().to_string();
        let example = grammar::type_of_words(&suggest::words(&name));
        let Some(attribute) = attributes.next() else {
            problems.push_at(
                input.ident.span(),
                format!(
                    "`{name}` has no event type: write for example `#[event(type = \"{example}\")]` above it"
                ),
            );
            return Self::default();
        };
        for another in attributes {
            problems.push(Error::new_spanned(
                another,
                "a second `#[event(...)]`: write all keys in the first one, separated by commas",
            ));
        }
        Self::read(attribute, &example, problems)
    }

    /// Parses one attribute; `example` is the type to show if it has none.
    fn read(attribute: &Attribute, example: &str, problems: &mut Problems) -> Self {
        let mut read = Self::default();
        let Meta::List(list) = &attribute.meta else {
            problems.push(Error::new_spanned(
                attribute,
                format!("the event type is missing: write for example `#[event(type = \"{example}\")]`"),
            ));
            return read;
        };
        // `#[event("orders.order.placed")]` is a likely first attempt.
        if let Ok(text) = syn::parse2::<LitStr>(list.tokens.clone()) {
            let own = text.value();
            let instead = if grammar::check_type(&own).is_ok() {
                format!("write `type = \"{own}\"`")
            } else {
                format!("write for example `type = \"{example}\"`")
            };
            problems.push_at(text.span(), format!("a string without a name: {instead}"));
            return read;
        }
        let Some(entries) = problems.note(Entry::list(list.tokens.clone())) else { return read };
        let mut seen = Vec::new();
        for entry in &entries {
            let name = entry.name.unraw().to_string();
            if seen.contains(&name) {
                problems.push_at(
                    entry.name.span(),
                    format!("`{name}` is given a second time: keep one of the two"),
                );
            } else {
                read.take(entry, &name, problems);
                seen.push(name);
            }
        }
        if !seen.iter().any(|name| name == "type") {
            problems.push_at(
                attribute.path().span(),
                format!("the event type is missing: add for example `type = \"{example}\"`"),
            );
        }
        read
    }

    /// Stores the value of one entry.
    fn take(&mut self, entry: &Entry, name: &str, problems: &mut Problems) {
        let Some((_, example)) = KEYS.iter().find(|(key, _)| *key == name) else {
            let keys = KEYS.map(|(key, _)| key);
            problems.push_at(
                entry.name.span(),
                format!(
                    "unknown key `{name}`: the keys are {}{}",
                    suggest::listed(&keys),
                    suggest::did_you_mean(name, &keys)
                ),
            );
            return;
        };
        if name == "upcast_from" {
            self.upcast_from = problems.note(entry.required_type(example));
            return;
        }
        let check = |value: &str| match name {
            "type" => grammar::check_type(value),
            "topic" => grammar::check_topic(value),
            "version" => grammar::check_version(value),
            "source" => grammar::check_source(value),
            // The field is resolved later.
            _ => Ok(()),
        };
        let text = entry.required_text(example, |value| check(value).is_ok());
        let Some(text) = problems.note(text) else { return };
        let value = text.value();
        if let Err(problem) = check(&value) {
            problems.push_at(text.span(), problem);
            return;
        }
        match name {
            "type" => self.event_type = Some(value),
            "topic" => self.topic = Some(value),
            "version" => self.version = Some(value),
            "source" => self.source = Some(value),
            _ => self.key = Some(text),
        }
    }
}

/// Rejects `#[event]` on a field, where it would otherwise be ignored silently.
pub(crate) fn refuse_on_fields<'a>(
    fields: impl IntoIterator<Item = &'a syn::Field>,
    problems: &mut Problems,
) {
    for field in fields {
        let name = field.ident.as_ref().map(|name| name.unraw().to_string()).unwrap_or_default();
        for attribute in field.attrs.iter().filter(|attribute| is_event(attribute)) {
            problems.push(Error::new_spanned(
                attribute,
                format!(
                    "`#[event(...)]` goes above the struct, not above a field: \
                     write `key = \"{name}\"` there to make this field the key"
                ),
            ));
        }
    }
}

/// Returns whether an attribute is `#[event]`.
fn is_event(attribute: &Attribute) -> bool {
    attribute.path().is_ident("event")
}
