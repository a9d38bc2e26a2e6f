//! The properties of a message in a frame: whether the client library can read them.

use std::fmt;

use super::cursor::Cursor;

/// The limit of nested arrays and tables. RabbitMQ's own death headers have three levels; the client uses some two
/// thousand bytes of its stack for each.
pub(super) const MAX_DEPTH: usize = 64;

/// The header that holds the bytes of unreadable properties. Properties in which a publisher has set it are treated as
/// unreadable too, so that they hide nothing that the broker adds.
pub(super) const HOLDER: &str = "x-messagekit-unreadable";

/// The reason why properties cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// This property is not UTF-8.
    Property(&'static str),
    HeaderName,
    /// A header has the reserved name of the header that holds unreadable properties.
    Reserved,
    TooDeep,
    /// Lengths that do not fit, types that the client does not know, bytes after the end.
    Malformed,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Property(name) => write!(f, "property {name} is not UTF-8"),
            Self::HeaderName => f.write_str("name of a header is not UTF-8"),
            Self::Reserved => write!(f, "publisher set the header {HOLDER}"),
            Self::TooDeep => {
                write!(f, "arrays or tables stand over {MAX_DEPTH} deep in each other in a header")
            }
            Self::Malformed => f.write_str("properties are too large, cut off or of another form"),
        }
    }
}

/// A property after the flags.
pub(super) enum Property<'a> {
    Short(&'a [u8]),
    /// The entries of a table as far as they exist, and their start offset in all bytes.
    Headers(&'a [u8], usize),
    Fixed,
}

/// The properties after the flags, in the order of their bits from the highest one.
const PROPERTIES: [(&str, Form); 14] = [
    ("content_type", Form::Short),
    ("content_encoding", Form::Short),
    ("headers", Form::Table),
    ("delivery_mode", Form::Fixed(1)),
    ("priority", Form::Fixed(1)),
    ("correlation_id", Form::Short),
    ("reply_to", Form::Short),
    ("expiration", Form::Short),
    ("message_id", Form::Short),
    ("timestamp", Form::Fixed(8)),
    ("type", Form::Short),
    ("user_id", Form::Short),
    ("app_id", Form::Short),
    ("cluster_id", Form::Short),
];

#[derive(Clone, Copy)]
enum Form {
    Short,
    Table,
    Fixed(usize),
}

/// Visits properties one by one.
///
/// # Errors
/// The first fault of `visit`, or [`Fault::Malformed`] if the rest cannot be parsed; earlier properties were visited.
pub(super) fn walk<'a>(
    properties: &'a [u8],
    mut visit: impl FnMut(&'static str, Property<'a>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut rest = Cursor(properties);
    let flags = rest.u16().ok_or(Fault::Malformed)?;
    for (bit, (name, form)) in PROPERTIES.into_iter().enumerate() {
        if flags & (0x8000 >> bit) == 0 {
            continue;
        }
        let property = match form {
            Form::Short => rest.short().map(Property::Short),
            Form::Table => {
                let (mut cut_off, begin) = (rest, properties.len() - rest.0.len() + 4);
                let table = rest.long();
                if table.is_none() && cut_off.u32().is_some() {
                    visit(name, Property::Headers(cut_off.0, begin))?;
                }
                table.map(|table| Property::Headers(table, begin))
            }
            Form::Fixed(width) => rest.take(width).map(|_| Property::Fixed),
        };
        visit(name, property.ok_or(Fault::Malformed)?)?;
    }
    if rest.is_empty() { Ok(()) } else { Err(Fault::Malformed) }
}

/// Checks that the client can read properties.
///
/// # Errors
/// The first fault.
pub(super) fn check(properties: &[u8]) -> Result<(), Fault> {
    walk(properties, |name, property| match property {
        Property::Short(text) => is_text(text).then_some(()).ok_or(Fault::Property(name)),
        Property::Headers(table, _) => check_nested(table, true),
        Property::Fixed => Ok(()),
    })
}

pub(super) fn is_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok()
}

/// Takes one value with its type from the front, without reading its contents.
pub(super) fn value<'a>(rest: &mut Cursor<'a>) -> Option<Value<'a>> {
    let width = match rest.u8()? {
        b'V' => 0,
        b't' | b'b' | b'B' => 1,
        b's' | b'u' | b'U' => 2,
        b'i' | b'I' | b'f' => 4,
        b'D' => 5,
        b'l' | b'L' | b'd' | b'T' => 8,
        b'S' | b'x' => return rest.long().map(|_| Value::Flat),
        b'A' => return rest.long().map(|inner| Value::Nested { inner, named: false }),
        b'F' => return rest.long().map(|inner| Value::Nested { inner, named: true }),
        _ => return None,
    };
    rest.take(width).map(|_| Value::Flat)
}

pub(super) enum Value<'a> {
    Flat,
    Nested { inner: &'a [u8], named: bool },
}

/// Checks the values in an array or, with names, in the table of headers, and in nested arrays and tables. It keeps a
/// list of open ones, because a recursion would let publishers control the depth of the stack.
///
/// # Errors
/// The first value that the client cannot read, or a header with the reserved name.
pub(super) fn check_nested(inner: &[u8], is_headers: bool) -> Result<(), Fault> {
    let (mut rest, mut is_named, mut outer) = (Cursor(inner), is_headers, Vec::new());
    loop {
        if rest.is_empty() {
            let Some(next) = outer.pop() else { return Ok(()) };
            (rest, is_named) = next;
            continue;
        }
        if is_named {
            let name = rest.short().ok_or(Fault::Malformed)?;
            if !is_text(name) {
                return Err(Fault::HeaderName);
            }
            if is_headers && outer.is_empty() && name == HOLDER.as_bytes() {
                return Err(Fault::Reserved);
            }
        }
        if let Value::Nested { inner, named } = value(&mut rest).ok_or(Fault::Malformed)? {
            if outer.len() + 1 == MAX_DEPTH {
                return Err(Fault::TooDeep);
            }
            outer.push((rest, is_named));
            (rest, is_named) = (Cursor(inner), named);
        }
    }
}
