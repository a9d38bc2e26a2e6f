//! The rules of a schema, in a form that data is checked against while it is read.

use std::cmp::Ordering;

use jsonschema::Validator;
use serde_json::Value;

/// The number of a rule among those of its schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RuleId(pub(super) usize);

pub(super) enum Rule {
    Anything,
    /// The same as another one.
    Same(RuleId),
    /// Null, or what another one takes.
    NullOr(RuleId),
    Simple(Box<Simple>),
    /// What is not simple: the value is read whole.
    Whole(Box<Validator>),
}

/// Keywords that need no more than the value at hand.
#[derive(Default)]
pub(super) struct Simple {
    pub(super) types: Types,
    pub(super) values: Option<Vec<String>>,
    pub(super) length: Bounds,
    pub(super) number: Bounds,
    pub(super) items: Option<RuleId>,
    pub(super) count: Bounds,
    pub(super) fields: Fields,
    /// Required fields, by their bit.
    pub(super) required: Vec<String>,
    pub(super) other: Other,
}

/// The named fields of an object, by length and name.
#[derive(Default)]
pub(super) struct Fields(Vec<NamedField>);

pub(super) struct NamedField {
    pub(super) name: String,
    pub(super) rule: RuleId,
    /// The bit of a required field.
    pub(super) bit: Option<u32>,
}

impl Fields {
    pub(super) fn of(mut fields: Vec<NamedField>) -> Self {
        fields.sort_unstable_by(|one, other| order(&one.name, &other.name));
        Self(fields)
    }

    /// Returns a field. Names differ in their lengths mostly, which is faster to see than a hash is to compute.
    pub(super) fn named(&self, name: &str) -> Option<&NamedField> {
        self.0.binary_search_by(|field| order(&field.name, name)).ok().map(|at| &self.0[at])
    }
}

fn order(one: &str, other: &str) -> Ordering {
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

/// What a field may hold that the schema does not name.
#[derive(Clone, Copy, Default)]
pub(super) enum Other {
    #[default]
    Anything,
    Nothing,
    Rule(RuleId),
}

/// An inclusive range; an absent end is open. Whole numbers are compared exactly: a float holds them up to 2^53 only.
#[derive(Clone, Copy, Default)]
pub(super) struct Bounds {
    pub(super) low: Option<Bound>,
    pub(super) high: Option<Bound>,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Bound {
    Whole(i128),
    Fraction(f64),
}

impl Bound {
    pub(super) fn of(value: &Value) -> Option<Self> {
        let whole = value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
        whole.map(Self::Whole).or_else(|| value.as_f64().map(Self::Fraction))
    }

    fn as_f64(self) -> f64 {
        match self {
            Self::Whole(number) => number as f64,
            Self::Fraction(number) => number,
        }
    }
}

impl PartialOrd for Bound {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Whole(one), Self::Whole(other)) => one.partial_cmp(other),
            (one, other) => one.as_f64().partial_cmp(&other.as_f64()),
        }
    }
}

impl Bounds {
    /// Returns whether a value is below the low end, or above the high one.
    pub(super) fn broken_by(self, value: Bound) -> Option<bool> {
        if self.low.is_some_and(|low| value < low) {
            return Some(true);
        }
        self.high.is_some_and(|high| value > high).then_some(false)
    }

    pub(super) fn is_open(self) -> bool {
        self.low.is_none() && self.high.is_none()
    }
}

/// A set of JSON types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Types(u8);

impl Types {
    pub(super) const NULL: Self = Self(1);
    pub(super) const BOOLEAN: Self = Self(2);
    pub(super) const INTEGER: Self = Self(4);
    pub(super) const NUMBER: Self = Self(4 | 8);
    pub(super) const STRING: Self = Self(16);
    pub(super) const ARRAY: Self = Self(32);
    pub(super) const OBJECT: Self = Self(64);
    pub(super) const NONE: Self = Self(0);

    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "null" => Self::NULL,
            "boolean" => Self::BOOLEAN,
            "integer" => Self::INTEGER,
            "number" => Self::NUMBER,
            "string" => Self::STRING,
            "array" => Self::ARRAY,
            "object" => Self::OBJECT,
            _ => return None,
        })
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn have(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl Default for Types {
    fn default() -> Self {
        Self(127)
    }
}

/// The rules of one schema.
pub(super) struct Rules {
    pub(super) all: Vec<Rule>,
    pub(super) root: RuleId,
}

impl Rules {
    /// Returns the rule behind references, and whether null is taken before it.
    pub(super) fn resolved(&self, mut id: RuleId) -> (bool, &Rule) {
        let mut takes_null = false;
        // A schema that refers to itself alone has no end; it refuses nothing.
        for _ in 0..=self.all.len() {
            match &self.all[id.0] {
                Rule::Same(next) => id = *next,
                Rule::NullOr(next) => {
                    takes_null = true;
                    id = *next;
                }
                rule => return (takes_null, rule),
            }
        }
        (true, &Rule::Anything)
    }
}
