//! Whether data that one program writes is read by another.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::format;
use super::shape::{Field, OtherFields, Shape};

/// Types that refer to each other in many ways have more pairs than this: they are not compared to the end.
const MAX_STEPS: u32 = 200_000;

/// A place of which a reader does not read everything that a writer writes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unread {
    /// The place, such as `customer.lines[].pence`; empty for the whole value.
    pub path: String,
    /// Why it is not read.
    pub reason: UnreadReason,
}

/// Why data is not read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UnreadReason {
    /// The reader takes other data there.
    Differs {
        /// What is written.
        written: String,
        /// What the reader takes.
        read: String,
    },
    /// A field that the reader requires is not always written.
    MayBeMissing,
    /// A field is written that the reader refuses, as every one that it does not name.
    Refused,
    /// The two refer to themselves in too many ways to be compared.
    TooComplex,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "the value" } else { &*self.path };
        match &self.reason {
            UnreadReason::Differs { written, read } => {
                write!(f, "{path} is written as {written} and read as {read}")
            }
            UnreadReason::MayBeMissing => {
                write!(f, "{path} is required, and may be missing in what is written")
            }
            UnreadReason::TooComplex => write!(f, "{path} refers to itself in too many ways to be compared"),
            UnreadReason::Refused => {
                write!(f, "{path} is written, and the reader refuses fields without a name")
            }
        }
    }
}

/// Returns where a program with the shape `reader` does not read everything that a program with the shape `writer`
/// writes, in the order of the fields; nothing if it reads all of it.
///
/// A writer writes the fields that its shape names, and no others unless it says which.
///
/// ```
/// use messagekit_schema::{Shape, unread};
/// use serde_json::json;
///
/// let object = |fields, required| Shape::of_schema(&json!({"type": "object", "properties": fields, "required": required}));
/// let old = object(json!({"pence": {"type": "integer"}}), json!(["pence"]))?;
/// let new = object(json!({"pence": {"type": "number"}, "currency": {"type": "string"}}), json!(["pence", "currency"]))?;
/// let texts = |writer, reader| -> Vec<String> { unread(writer, reader).iter().map(ToString::to_string).collect() };
/// assert_eq!(texts(&old, &new), ["currency is required, and may be missing in what is written"]);
/// assert_eq!(texts(&new, &old), ["pence is written as number and read as integer"]);
/// # Ok::<(), messagekit::Error>(())
/// ```
pub fn unread(writer: &Shape, reader: &Shape) -> Vec<Unread> {
    let mut found = Check::default().check(&Place::root(writer), &Place::root(reader), "");
    found.sort();
    found.dedup();
    found
}

/// A shape with the objects around it, the outermost first.
#[derive(Clone)]
struct Place<'a> {
    shape: &'a Shape,
    objects: Vec<&'a Shape>,
}

impl<'a> Place<'a> {
    fn root(shape: &'a Shape) -> Self {
        Self { shape, objects: Vec::new() }
    }

    /// Goes to a shape inside this one.
    fn inside(&self, shape: &'a Shape) -> Self {
        let mut objects = self.objects.clone();
        if matches!(self.shape, Shape::Object { .. }) {
            objects.push(self.shape);
        }
        Self { shape, objects }
    }

    /// Goes to the object that this refers to, if it does.
    fn resolved(&self) -> Self {
        let Shape::Outer(distance) = self.shape else { return self.clone() };
        let index = self.objects.len().checked_sub(1 + *distance as usize);
        match index.and_then(|index| Some((index, *self.objects.get(index)?))) {
            Some((index, shape)) => Self { shape, objects: self.objects[..index].to_vec() },
            None => Self { shape: &Shape::Anything, objects: Vec::new() },
        }
    }

    fn at(&self) -> usize {
        std::ptr::from_ref(self.shape).addr()
    }
}

#[derive(Default)]
struct Check {
    /// The objects that are compared further out. Types that contain themselves agree unless a difference is found.
    assumed: Vec<(usize, usize)>,
    steps: u32,
}

impl Check {
    fn check(&mut self, writer: &Place<'_>, reader: &Place<'_>, path: &str) -> Vec<Unread> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return vec![Unread { path: String::new(), reason: UnreadReason::TooComplex }];
        }
        let (writer, reader) = (writer.resolved(), reader.resolved());
        match (writer.shape, reader.shape) {
            (_, Shape::Anything) => Vec::new(),
            (Shape::Union(members), _) => {
                members.iter().flat_map(|member| self.check(&writer.inside(member), &reader, path)).collect()
            }
            (Shape::OneOf(values), _) => {
                let others = values.iter().filter(|value| !takes(reader.shape, value)).cloned();
                let others = Shape::OneOf(others.collect());
                if matches!(&others, Shape::OneOf(values) if values.is_empty()) {
                    return Vec::new();
                }
                vec![differs(&others, reader.shape, path)]
            }
            (_, Shape::Union(members)) => self.check_members(&writer, &reader, members.iter(), path),
            (Shape::List(written), Shape::List(read)) => {
                self.check(&writer.inside(written), &reader.inside(read), &format!("{path}[]"))
            }
            (Shape::Tuple(written), Shape::List(read)) => {
                let items = written.iter().enumerate();
                let check = |(index, item)| {
                    self.check(&writer.inside(item), &reader.inside(read), &format!("{path}[{index}]"))
                };
                items.flat_map(check).collect()
            }
            (Shape::Tuple(written), Shape::Tuple(read)) if written.len() == read.len() => {
                let items = written.iter().zip(read).enumerate();
                let check = |(index, (written, read))| {
                    self.check(&writer.inside(written), &reader.inside(read), &format!("{path}[{index}]"))
                };
                items.flat_map(check).collect()
            }
            (Shape::Object { .. }, Shape::Object { .. }) => self.check_objects(&writer, &reader, path),
            (written, read) if is_read(written, read) => Vec::new(),
            (written, read) => vec![differs(written, read, path)],
        }
    }

    /// Checks against each member of a union; the differences are those to the member that is nearest.
    fn check_members<'a>(
        &mut self,
        writer: &Place<'_>,
        reader: &Place<'a>,
        members: impl Iterator<Item = &'a Shape>,
        path: &str,
    ) -> Vec<Unread> {
        let mut differing = Vec::new();
        for member in members {
            let found = self.check(writer, &reader.inside(member), path);
            if found.is_empty() {
                return found;
            }
            differing.push(found);
        }
        let nearest = differing.into_iter().min_by_key(|found| {
            let is_another_kind = found.iter().any(|unread| unread.path == path);
            (is_another_kind, found.len())
        });
        match nearest {
            Some(found) if found.iter().all(|unread| unread.path != path) => found,
            _ => vec![differs(writer.shape, reader.shape, path)],
        }
    }

    fn check_objects(&mut self, writer: &Place<'_>, reader: &Place<'_>, path: &str) -> Vec<Unread> {
        let pair = (writer.at(), reader.at());
        let (Shape::Object { fields: written, other: more }, Shape::Object { fields: read, other }) =
            (writer.shape, reader.shape)
        else {
            return Vec::new();
        };
        if self.assumed.contains(&pair) {
            return Vec::new();
        }
        self.assumed.push(pair);
        let mut found = Vec::new();
        for (name, field) in written {
            let path = field_path(path, name);
            match (read.get(name), other) {
                (Some(known), _) => {
                    if known.is_required && !field.is_required {
                        found.push(Unread { path: path.clone(), reason: UnreadReason::MayBeMissing });
                    }
                    found.extend(self.check(
                        &writer.inside(&field.shape),
                        &reader.inside(&known.shape),
                        &path,
                    ));
                }
                (None, OtherFields::Ignored) => {}
                (None, OtherFields::Refused) => found.push(Unread { path, reason: UnreadReason::Refused }),
                (None, OtherFields::Shaped(shape)) => {
                    found.extend(self.check(&writer.inside(&field.shape), &reader.inside(shape), &path));
                }
            }
        }
        let missing = read.iter().filter(|(name, field)| field.is_required && !written.contains_key(*name));
        found.extend(
            missing
                .map(|(name, _)| Unread { path: field_path(path, name), reason: UnreadReason::MayBeMissing }),
        );
        if let OtherFields::Shaped(more) = more {
            found.extend(self.check_more(writer, more, reader, (written, read, other), path));
        }
        self.assumed.pop();
        found
    }

    /// Checks the fields of a map, which may have the names of fields that only the reader names.
    fn check_more(
        &mut self,
        writer: &Place<'_>,
        more: &Shape,
        reader: &Place<'_>,
        (written, read, other): (&BTreeMap<String, Field>, &BTreeMap<String, Field>, &OtherFields),
        path: &str,
    ) -> Vec<Unread> {
        let more = writer.inside(more);
        let mut found = match other {
            OtherFields::Ignored => Vec::new(),
            OtherFields::Refused => {
                vec![Unread { path: field_path(path, "*"), reason: UnreadReason::Refused }]
            }
            OtherFields::Shaped(shape) => self.check(&more, &reader.inside(shape), &field_path(path, "*")),
        };
        for (name, field) in read.iter().filter(|(name, _)| !written.contains_key(*name)) {
            found.extend(self.check(&more, &reader.inside(&field.shape), &field_path(path, name)));
        }
        found
    }
}

/// Returns whether a plain value of one shape is always one of another.
fn is_read(written: &Shape, read: &Shape) -> bool {
    match (written, read) {
        (Shape::Integer, Shape::Number) => true,
        (Shape::Formatted { base, .. }, Shape::Formatted { base: other, .. })
            if (&**base, &**other) == (&Shape::Integer, &Shape::Number) =>
        {
            true
        }
        (Shape::Formatted { base, format }, Shape::Formatted { base: other, format: others }) => {
            base == other && format::is_within(base, format, others)
        }
        (Shape::Formatted { base, .. }, other) => is_read(base, other),
        (written, read) => written == read,
    }
}

/// Returns whether a shape takes one value, given as canonical JSON.
fn takes(reader: &Shape, value: &str) -> bool {
    let Ok(parsed) = serde_json::from_str::<Value>(value) else { return false };
    match reader {
        Shape::Anything => true,
        Shape::OneOf(values) => values.contains(value),
        Shape::Union(members) => members.iter().any(|member| takes(member, value)),
        Shape::Null => parsed.is_null(),
        Shape::Boolean => parsed.is_boolean(),
        Shape::Integer => parsed.is_i64() || parsed.is_u64(),
        Shape::Number => parsed.is_number(),
        Shape::Text => parsed.is_string(),
        Shape::Formatted { base, format } => takes(base, value) && format::has_value(format, &parsed),
        // No program writes a fixed list or object; to compare one is not worth its rules.
        Shape::List(_) | Shape::Tuple(_) | Shape::Object { .. } | Shape::Outer(_) => false,
    }
}

fn differs(written: &Shape, read: &Shape, path: &str) -> Unread {
    let reason = UnreadReason::Differs { written: written.to_string(), read: read.to_string() };
    Unread { path: path.to_owned(), reason }
}

/// Returns the path of a field of what stands at `path`.
pub(super) fn field_path(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
