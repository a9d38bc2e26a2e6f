//! Where data does not match.

use std::fmt;

/// The field that breaks a rule, and the rule. Names are those of the schema: keys of a map are data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fault {
    /// From the inside to the outside.
    segments: Vec<Segment>,
    rule: Broken,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    Field(String),
    /// A key that the schema does not name.
    Other,
    Item,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Broken {
    #[default]
    Unknown,
    /// A keyword of JSON Schema.
    Keyword(String),
    Missing(String),
    Type(&'static str),
}

impl Fault {
    pub(super) fn of(rule: Broken) -> Self {
        Self { segments: Vec::new(), rule }
    }

    pub(super) fn keyword(keyword: &str) -> Self {
        Self::of(Broken::Keyword(keyword.to_owned()))
    }

    /// Adds what is around the value.
    pub(super) fn within(&mut self, segment: Segment) {
        self.segments.push(segment);
    }

    fn path(&self, last: Option<&str>) -> String {
        let mut path = String::new();
        let mut add = |name: &str| {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(name);
        };
        for segment in self.segments.iter().rev() {
            match segment {
                Segment::Field(name) => add(name),
                Segment::Other => add("*"),
                Segment::Item => add("[]"),
            }
        }
        if let Some(last) = last {
            add(last);
        }
        if path.is_empty() { "data".to_owned() } else { path.replace(".[]", "[]") }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.rule {
            Broken::Unknown => write!(f, "`{}` does not match", self.path(None)),
            Broken::Keyword(keyword) => write!(f, "`{}` breaks `{keyword}`", self.path(None)),
            Broken::Missing(name) => write!(f, "`{}` is missing", self.path(Some(name))),
            Broken::Type(found) => write!(f, "`{}` breaks `type`: it is {found}", self.path(None)),
        }
    }
}
