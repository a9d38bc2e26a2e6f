//! Carries properties that the client cannot read inside properties that it can.

use std::ops::Range;

use lapin::BasicProperties;
use lapin::types::parsing::parse_value;
use lapin::types::{AMQPValue, FieldTable, ShortString};

use super::cursor::Cursor;
use super::properties::{HOLDER, Property, check, check_nested, value, walk};

/// The most bytes of properties that are held: RabbitMQ's default for the largest frame.
pub(super) const MAX_HELD: usize = 128 * 1024;

/// The flag for headers.
const HEADERS: u16 = 0x2000;

/// The bytes before the held ones: flags, length of the table, name, type and length.
const OVERHEAD: usize = 2 + 4 + 1 + HOLDER.len() + 1 + 4;

/// Writes properties of at most `most` bytes that hold these bytes, or the first of them.
pub(super) fn hold(bytes: &[u8], most: usize, out: &mut Vec<u8>) {
    let held = &bytes[..bytes.len().min(most.saturating_sub(OVERHEAD)).min(MAX_HELD)];
    let length = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    out.extend(HEADERS.to_be_bytes());
    out.extend(length(OVERHEAD - 6 + held.len()));
    out.extend(&length(HOLDER.len())[3..]);
    out.extend(HOLDER.as_bytes());
    out.push(b'x');
    out.extend(length(held.len()));
    out.extend(held);
}

/// Properties that the client could not read.
#[derive(Debug)]
pub(crate) struct Unreadable<'a>(&'a [u8]);

impl<'a> Unreadable<'a> {
    /// Finds them in the properties that replace them.
    pub(crate) fn held_in(properties: &'a BasicProperties) -> Option<Self> {
        match properties.headers().as_ref()?.inner().get(HOLDER)? {
            AMQPValue::ByteArray(bytes) => Some(Self(bytes.as_slice())),
            _ => None,
        }
    }

    /// Returns why they cannot be read.
    pub(crate) fn reason(&self) -> String {
        match check(self.0) {
            Err(fault) => fault.to_string(),
            Ok(()) => "properties are larger than a frame may be".to_owned(),
        }
    }

    /// Returns their readable part: the properties that a message has, and the headers.
    pub(crate) fn readable(&self) -> BasicProperties {
        let mut found = BasicProperties::default();
        // If the rest cannot be parsed, the properties before it count.
        let _ = walk(self.0, |name, property| {
            let text = match property {
                Property::Short(text) => short(text),
                Property::Headers(table, _) => {
                    found = std::mem::take(&mut found).with_headers(readable_headers(table));
                    None
                }
                Property::Fixed => None,
            };
            if let Some(text) = text {
                let known = std::mem::take(&mut found);
                found = match name {
                    "message_id" => known.with_message_id(text),
                    "type" => known.with_type(text),
                    "content_type" => known.with_content_type(text),
                    _ => known,
                };
            }
            Ok(())
        });
        found
    }

    /// Returns their bytes without the headers of these names, as far as headers can be parsed. The broker's counters
    /// in those headers would otherwise make each delivery a different message.
    pub(crate) fn without(&self, names: &[&str]) -> Vec<u8> {
        let (mut left, mut next) = (Vec::with_capacity(self.0.len()), 0);
        let _ = walk(self.0, |_, property| {
            let Property::Headers(table, begin) = property else { return Ok(()) };
            for Entry { name, range, .. } in entries(table) {
                if names.iter().any(|cut| name == cut.as_bytes()) {
                    left.extend_from_slice(&self.0[next..begin + range.start]);
                    next = begin + range.end;
                }
            }
            let (length, cut) = (Cursor(&self.0[begin - 4..]).u32(), u32::try_from(next - left.len()));
            if let (Some(length), Ok(cut), Some(written)) = (length, cut, left.get_mut(begin - 4..begin)) {
                written.copy_from_slice(&length.saturating_sub(cut).to_be_bytes());
            }
            Ok(())
        });
        left.extend_from_slice(&self.0[next..]);
        left
    }
}

fn short(bytes: &[u8]) -> Option<ShortString> {
    std::str::from_utf8(bytes).ok().and_then(|text| ShortString::try_new(text).ok())
}

struct Entry<'a> {
    name: &'a [u8],
    /// The type and the contents.
    value: &'a [u8],
    /// The position in the table.
    range: Range<usize>,
}

/// Iterates over the entries of a table, as far as they can be parsed.
fn entries(table: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    let mut rest = Cursor(table);
    std::iter::from_fn(move || {
        let start = table.len() - rest.0.len();
        let name = rest.short()?;
        let typed = rest.0;
        value(&mut rest)?;
        let value = &typed[..typed.len() - rest.0.len()];
        Some(Entry { name, value, range: start..table.len() - rest.0.len() })
    })
}

fn readable_headers(table: &[u8]) -> FieldTable {
    let mut headers = FieldTable::default();
    for entry in entries(table) {
        // The client's parser gets only values that were checked.
        if check_nested(entry.value, false).is_ok()
            && let (Some(name), Ok((_, value))) = (short(entry.name), parse_value(entry.value))
        {
            headers.insert(name, value);
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::fuzz::{header, nested_arrays, properties};
    use crate::frames::properties::Fault;

    fn held(bytes: &[u8]) -> BasicProperties {
        let mut out = Vec::new();
        hold(bytes, usize::MAX, &mut out);
        lapin::protocol::basic::parse_properties(&out[..]).expect("the client reads it").1
    }

    #[test]
    fn what_can_be_read_is_found_again_beside_what_cannot() {
        let bytes = properties(&[
            (8, b"\x03m-1"),
            (12, b"\x01\xff"),
            (
                2,
                &[
                    header(b"good", b"S\0\0\0\x01x"),
                    header(b"\xff", b"t\x01"),
                    header(b"deep", &nested_arrays(65)),
                ]
                .concat(),
            ),
        ]);
        let held = held(&bytes);
        let unreadable = Unreadable::held_in(&held).expect("held");
        assert_eq!(unreadable.without(&["x"]), bytes);
        let found = unreadable.readable();
        assert_eq!(found.message_id().as_ref().map(|id| id.as_str()), Some("m-1"));
        let names: Vec<String> = found.headers().iter().flatten().map(|(name, _)| name.to_string()).collect();
        assert_eq!(names, ["good"]);
        assert_eq!(unreadable.reason(), "name of a header is not UTF-8");
    }

    #[test]
    fn headers_are_cut_out_of_the_bytes() {
        let (count, bad) = (header(b"count", b"l\0\0\0\0\0\0\0\x07"), header(b"\xff", b"V"));
        let times = header(b"times", b"t\x01");
        let whole = properties(&[(2, &[&bad[..], &count, &bad, &times, &count].concat()), (12, b"\x01a")]);
        let cut = properties(&[(2, &[&bad[..], &bad].concat()), (12, b"\x01a")]);
        assert_eq!(Unreadable(&whole).without(&["times", "count"]), cut);
        assert_eq!(Unreadable(&whole).without(&["other"]), whole);
        // After an unknown type nothing can be parsed.
        let broken = properties(&[(2, &[header(b"a", b"?"), count].concat())]);
        assert_eq!(Unreadable(&broken).without(&["count"]), broken);
    }

    #[test]
    fn what_is_held_fits_into_the_frame() {
        for (length, most) in [
            (0, 4_076),
            (100, 4_076),
            (4_076, 4_076),
            (70_000, 131_052),
            (131_052, 131_052),
            (300_000, 1_000_000),
        ] {
            let mut out = Vec::new();
            hold(&vec![0xff; length], most, &mut out);
            assert!(out.len() <= most.min(OVERHEAD + MAX_HELD), "{length} became {}", out.len());
            assert!(out.len() >= length.min(most).min(MAX_HELD), "{length} became {}", out.len());
        }
    }

    #[test]
    fn headers_before_the_cut_in_truncated_properties_are_found() {
        let headers = [
            header(b"x-count", b"V"),
            header(b"a", b"t\x01"),
            header(b"\xff", b"V"),
            header(b"b", &nested_arrays(99)),
        ];
        let whole = properties(&[(2, &headers.concat()), (8, b"\x03m-1")]);
        let cut = Unreadable(&whole[..whole.len() - 20]);
        let found = cut.readable();
        let names: Vec<String> = found.headers().iter().flatten().map(|(name, _)| name.to_string()).collect();
        assert_eq!((names, found.message_id()), (vec!["a".to_owned(), "x-count".to_owned()], &None));
        assert_eq!(cut.without(&["x-count"]).len(), whole.len() - 20 - headers[0].len());
    }

    #[test]
    fn a_forged_holder_is_unreadable_and_says_so() {
        let inner = properties(&[(2, &header(b"x-death", b"t\x01"))]);
        let length = u8::try_from(inner.len()).unwrap();
        let forged = header(HOLDER.as_bytes(), &[&[b'x', 0, 0, 0, length][..], &inner].concat());
        let bytes = properties(&[(2, &[forged, header(b"x-death", b"t\0")].concat())]);
        assert_eq!(check(&bytes), Err(Fault::Reserved));

        let held = held(&bytes);
        let found = Unreadable::held_in(&held).expect("held");
        assert_eq!(found.reason(), format!("publisher set the header {HOLDER}"));
        let headers = found.readable().headers().clone().expect("headers");
        assert_eq!(headers.inner().get("x-death"), Some(&AMQPValue::Boolean(false)), "what the broker wrote");
    }
}
