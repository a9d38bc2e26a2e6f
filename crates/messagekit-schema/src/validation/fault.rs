//! Where data does not match.

use std::fmt;

/// The field that breaks a rule, and the rule. Names are those of the schema: keys of a map are data.
#[derive(Clone, Debug, PartialEq, Eq)]
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

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// A keyword of JSON Schema.
    Keyword(String),
    Missing(String),
    Type(&'static str),
    Unreadable,
}

impl Fault {
    pub(super) fn of(rule: Broken) -> Self {
        Self { segments: Vec::new(), rule }
    }

    pub(super) fn keyword(keyword: &str) -> Self {
        Self::of(Broken::Keyword(keyword.to_owned()))
    }

    /// Returns the fault of a rule at a place in a schema, such as `/properties/lines/items/oneOf`.
    pub(super) fn at(schema_path: &str) -> Self {
        let mut segments = Vec::new();
        let mut names = schema_path.split('/').skip(1).peekable();
        let mut keyword = "false";
        while let Some(name) = names.next() {
            keyword = name;
            match name {
                "properties" => {
                    segments.extend(names.next().map(|name| Segment::Field(unescaped(name))));
                }
                "items" | "prefixItems" => segments.push(Segment::Item),
                "additionalProperties" if names.peek().is_some() => segments.push(Segment::Other),
                _ => {}
            }
        }
        segments.reverse();
        Self { segments, rule: Broken::Keyword(unescaped(keyword)) }
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
            Broken::Keyword(keyword) => write!(f, "`{}` breaks `{keyword}`", self.path(None)),
            Broken::Missing(name) => write!(f, "`{}` is missing", self.path(Some(name))),
            Broken::Unreadable => f.write_str("it holds a value that cannot be read"),
            Broken::Type(found) => write!(f, "`{}` breaks `type`: it is {found}", self.path(None)),
        }
    }
}

/// Returns a name of a JSON pointer as it is (RFC 6901).
fn unescaped(name: &str) -> String {
    name.replace("~1", "/").replace("~0", "~")
}
