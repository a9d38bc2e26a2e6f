//! The rules of a schema, in a form that data is checked against while it is read.

use std::cmp::Ordering;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

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

/// The named fields of an object.
#[derive(Default)]
pub(super) struct Fields {
    /// By length and name.
    sorted: Vec<NamedField>,
    /// A guess, which the next data may prove wrong: the place of the field that stands first.
    first: AtomicUsize,
}

pub(super) struct NamedField {
    pub(super) name: String,
    /// The name as it stands in most data: in quotes, with a colon.
    pub(super) begin: String,
    /// A guess, which the next data may prove wrong: the place of the field behind it.
    next: AtomicUsize,
    pub(super) rule: RuleId,
    /// The bit of a required field.
    pub(super) bit: Option<u32>,
}

impl NamedField {
    pub(super) fn new(name: &str, rule: RuleId, bit: Option<u32>) -> Self {
        let begin = format!("{}:", Value::from(name));
        Self { name: name.to_owned(), begin, next: AtomicUsize::default(), rule, bit }
    }
}

impl Fields {
    pub(super) fn of(mut fields: Vec<NamedField>) -> Self {
        fields.sort_unstable_by(|one, other| order(one.name.as_bytes(), other.name.as_bytes()));
        Self { sorted: fields, first: AtomicUsize::default() }
    }

    /// Adds fields of other names than those that are there.
    pub(super) fn add(&mut self, fields: impl IntoIterator<Item = NamedField>) {
        for field in fields {
            if let Err(at) = self.place(field.name.as_bytes()) {
                self.sorted.insert(at, field);
            }
        }
    }

    /// Returns a field.
    pub(super) fn named(&self, name: &[u8]) -> Option<&NamedField> {
        self.place(name).ok().map(|at| &self.sorted[at])
    }

    /// Returns where a field stands, or would. Names differ in their lengths mostly, which is faster to see than a hash is to compute.
    fn place(&self, name: &[u8]) -> Result<usize, usize> {
        self.sorted.binary_search_by(|field| order(field.name.as_bytes(), name))
    }

    /// Returns the field that stood behind another one, or first, in earlier data.
    pub(super) fn behind(&self, field: Option<&NamedField>) -> Option<&NamedField> {
        let next = field.map_or(&self.first, |field| &field.next);
        self.sorted.get(next.load(Relaxed))
    }

    /// Returns a field that stands behind another one, or first, in this data, and probably in the next.
    pub(super) fn found_behind(&self, field: Option<&NamedField>, name: &[u8]) -> Option<&NamedField> {
        let at = self.place(name).ok()?;
        field.map_or(&self.first, |field| &field.next).store(at, Relaxed);
        Some(&self.sorted[at])
    }
}

fn order(one: &[u8], other: &[u8]) -> Ordering {
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
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    low: Option<Bound>,
    high: Option<Bound>,
    /// Whole numbers that are within for sure: most ends are of this kind, and this is the shorter comparison.
    whole: (i64, i64),
}

impl Default for Bounds {
    fn default() -> Self {
        Self { low: None, high: None, whole: (i64::MIN, i64::MAX) }
    }
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

    fn as_i64(self) -> Option<i64> {
        match self {
            Self::Whole(number) => number.try_into().ok(),
            Self::Fraction(_) => None,
        }
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
    pub(super) fn set_low(&mut self, bound: Bound) {
        self.low = Some(bound);
        self.whole.0 = bound.as_i64().unwrap_or(i64::MAX);
    }

    pub(super) fn set_high(&mut self, bound: Bound) {
        self.high = Some(bound);
        self.whole.1 = bound.as_i64().unwrap_or(i64::MIN);
    }

    /// Returns whether a value is within for sure.
    pub(super) fn surely_take(self, value: i64) -> bool {
        self.whole.0 <= value && value <= self.whole.1
    }

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
