//! Checking data while it is read: no value is kept but those that a rule needs whole.

use std::borrow::Cow;
use std::fmt;

use messagekit::adapter::codec::ENVELOPE_FIELDS;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::fault::{Broken, Fault, Segment};
use super::rules::{Bound, Other, Rule, RuleId, Rules, Simple, Types};

impl Rules {
    /// Returns where data does not match, or `None` if it does, or if it is no JSON.
    pub(super) fn fault_of(&self, data: &[u8]) -> Option<Fault> {
        if self.surely_take(data) {
            return None;
        }
        let mut fault = None;
        let mut reader = serde_json::Deserializer::from_slice(data);
        let walk = Walk { rules: self, id: self.root, is_root: true, fault: &mut fault };
        walk.deserialize(&mut reader).err()?;
        // A reader may pass over the field that ended this, so the rest must not go unseen.
        fault.or_else(|| {
            serde_json::from_slice::<IgnoredAny>(data).is_ok().then(|| Fault::of(Broken::Unreadable))
        })
    }
}

/// A field name, borrowed if it has no escapes.
#[derive(Deserialize)]
struct JsonText<'a>(#[serde(borrow)] Cow<'a, str>);

/// The key under which `serde_json` gives a number, if another crate of the program has turned on its feature
/// `arbitrary_precision`.
const NUMBER: &str = "$serde_json::private::Number";

/// One value, to be checked by one rule.
pub(super) struct Walk<'r> {
    pub(super) rules: &'r Rules,
    pub(super) id: RuleId,
    /// Fields of the envelope may stand beside those of an event.
    pub(super) is_root: bool,
    /// Set together with the error that ends the reading.
    pub(super) fault: &'r mut Option<Fault>,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        let (takes_null, rule) = self.rules.resolved(self.id);
        match rule {
            Rule::Simple(simple) => reader.deserialize_any(Checked {
                rules: self.rules,
                simple,
                takes_null,
                is_root: self.is_root,
                fault: self.fault,
            }),
            Rule::Whole(validator) => {
                let mut value = Value::deserialize(reader)?;
                if takes_null && value.is_null() || validator.is_valid(&value) {
                    return Ok(());
                }
                if let (true, Some(members)) = (self.is_root, value.as_object_mut()) {
                    members.retain(|name, _| !ENVELOPE_FIELDS.contains(&name.as_str()));
                }
                // The error's own text quotes the value.
                let Some(error) = validator.iter_errors(&value).next() else { return Ok(()) };
                *self.fault = Some(Fault::at(error.schema_path().as_str()));
                Err(D::Error::custom("data does not match"))
            }
            _ => IgnoredAny::deserialize(reader).map(drop),
        }
    }
}

struct Checked<'r> {
    rules: &'r Rules,
    simple: &'r Simple,
    takes_null: bool,
    is_root: bool,
    fault: &'r mut Option<Fault>,
}

impl Checked<'_> {
    fn broken<T, E: serde::de::Error>(self, fault: Fault) -> Result<T, E> {
        *self.fault = Some(fault);
        Err(E::custom("data does not match"))
    }

    fn typed<E: serde::de::Error>(self, types: Types, found: &'static str) -> Result<Self, E> {
        if !self.simple.types.have(types) {
            return self.broken(Fault::of(Broken::Type(found)));
        }
        if self.simple.values.is_some() && types != Types::STRING {
            return self.broken(Fault::keyword("enum"));
        }
        Ok(self)
    }

    fn number<E: serde::de::Error>(self, number: Bound, types: Types) -> Result<(), E> {
        let checked = self.typed(types, if types == Types::INTEGER { "an integer" } else { "a number" })?;
        match checked.simple.number.broken_by(number) {
            None => Ok(()),
            Some(is_low) => checked.broken(Fault::keyword(if is_low { "minimum" } else { "maximum" })),
        }
    }
}

/// Returns the type of a number that is no whole one by its form.
fn type_of(number: f64) -> Types {
    if number.fract() == 0.0 { Types::INTEGER } else { Types::NUMBER }
}

impl<'de> Visitor<'de> for Checked<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("data that matches its schema")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        if self.takes_null {
            return Ok(());
        }
        self.typed(Types::NULL, "null").map(drop)
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<(), E> {
        self.typed(Types::BOOLEAN, "a truth value").map(drop)
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<(), E> {
        self.number(Bound::Whole(number.into()), Types::INTEGER)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<(), E> {
        self.number(Bound::Whole(number.into()), Types::INTEGER)
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<(), E> {
        self.number(Bound::Fraction(number), type_of(number))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        let checked = self.typed(Types::STRING, "a text")?;
        let simple = checked.simple;
        if simple.values.as_ref().is_some_and(|values| !values.iter().any(|value| value == text)) {
            return checked.broken(Fault::keyword("enum"));
        }
        if simple.length.is_open() {
            return Ok(());
        }
        match simple.length.broken_by(Bound::Whole(text.chars().count() as i128)) {
            None => Ok(()),
            Some(is_low) => checked.broken(Fault::keyword(if is_low { "minLength" } else { "maxLength" })),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let checked = self.typed(Types::ARRAY, "a list")?;
        let mut count = 0_u64;
        while let Some(next) = match checked.simple.items {
            Some(id) => items.next_element_seed(Walk {
                rules: checked.rules,
                id,
                is_root: false,
                fault: checked.fault,
            }),
            None => items.next_element::<IgnoredAny>().map(|item| item.map(drop)),
        }
        .inspect_err(|_| within(checked.fault, Segment::Item))?
        {
            let () = next;
            count += 1;
        }
        match checked.simple.count.broken_by(Bound::Whole(count.into())) {
            None => Ok(()),
            Some(is_low) => checked.broken(Fault::keyword(if is_low { "minItems" } else { "maxItems" })),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut next: Option<JsonText<'de>> = members.next_key()?;
        if next.as_ref().is_some_and(|JsonText(name)| name == NUMBER) {
            let text: String = members.next_value()?;
            let number: f64 = text.parse().map_err(A::Error::custom)?;
            return self.number(text.parse().map_or(Bound::Fraction(number), Bound::Whole), type_of(number));
        }
        let checked = self.typed(Types::OBJECT, "an object")?;
        let (rules, simple, is_root) = (checked.rules, checked.simple, checked.is_root);
        let mut seen = 0_u64;
        while let Some(JsonText(name)) = next.take() {
            let (id, segment) = match (simple.fields.named(name.as_bytes()), simple.other) {
                (Some(field), _) => {
                    seen |= field.bit.map_or(0, |bit| 1 << bit);
                    (Some(field.rule), Some(&field.name))
                }
                (None, Other::Anything) => (None, None),
                (None, _) if is_root && ENVELOPE_FIELDS.contains(&&*name) => (None, None),
                (None, Other::Rule(id)) => (Some(id), None),
                (None, Other::Nothing) => return checked.broken(Fault::keyword("additionalProperties")),
            };
            let read = match id {
                Some(id) => members.next_value_seed(Walk { rules, id, is_root: false, fault: checked.fault }),
                None => members.next_value::<IgnoredAny>().map(drop),
            };
            read.inspect_err(|_| {
                let named = segment.map_or(Segment::Other, |name| Segment::Field(name.clone()));
                within(checked.fault, named);
            })?;
            next = members.next_key()?;
        }
        let missing = simple.required.iter().enumerate().find(|(bit, _)| seen & (1 << bit) == 0);
        match missing {
            None => Ok(()),
            Some((_, name)) => checked.broken(Fault::of(Broken::Missing(name.clone()))),
        }
    }
}

fn within(fault: &mut Option<Fault>, segment: Segment) {
    if let Some(fault) = fault {
        fault.within(segment);
    }
}
