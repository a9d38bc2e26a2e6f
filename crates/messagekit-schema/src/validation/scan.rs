//! A fast yes: data that matches is seen to do so by one look at its bytes.
//!
//! A scan never refuses. What it is not sure of (an escape in a name, `1.0` where an integer is wanted, a number of twenty digits) it
//! leaves to the reader that makes values of everything, as it does with data that does not match, of which a user has to read where
//! and why. It does not see whether data is JSON: what reads it next says so.

use memchr::memchr2;
use serde_json::Value;

use super::rules::{Bound, Fields, NamedField, Other, Rule, RuleId, Rules, Simple, Types};

/// As deep as the reader of JSON goes.
const MAX_DEPTH: usize = 127;

/// Every number of so many digits fits.
const MAX_DIGITS: usize = 18;

/// How many times eight bytes of a text are looked at at once: most are over by then.
const SHORT: usize = 5;

const EACH: u64 = 0x0101_0101_0101_0101;
const QUOTES: u64 = EACH * b'"' as u64;
const BACKSLASHES: u64 = EACH * b'\\' as u64;

impl Rules {
    /// Returns whether data matches for sure, if it is JSON.
    pub(super) fn surely_take(&self, data: &[u8]) -> bool {
        std::str::from_utf8(data).is_ok()
            && Scan { rules: self, data, at: 0, depth: 0 }.value(self.root).is_some()
    }
}

/// What is read behind `at`; `None` where the scan is not sure.
type Sure<T = ()> = Option<T>;

struct Scan<'a> {
    rules: &'a Rules,
    data: &'a [u8],
    at: usize,
    /// Lists and objects around the value.
    depth: usize,
}

/// The bytes between two quotes.
struct Text<'a> {
    bytes: &'a [u8],
    has_escapes: bool,
}

impl<'a> Scan<'a> {
    fn value(&mut self, id: RuleId) -> Sure {
        let (takes_null, rule) = self.rules.resolved(id);
        match rule {
            Rule::Simple(simple) => self.simple(simple, takes_null),
            Rule::Whole(validator) => {
                let value = self.read()?;
                sure(takes_null && value.is_null() || validator.is_valid(&value))
            }
            _ => self.skip(),
        }
    }

    #[inline(never)]
    fn read(&mut self) -> Sure<Value> {
        let from = self.at;
        self.skip()?;
        serde_json::from_slice(&self.data[from..self.at]).ok()
    }

    fn simple(&mut self, simple: &'a Simple, takes_null: bool) -> Sure {
        match self.peek()? {
            b'"' => self.text(simple),
            b'{' => self.object(simple),
            b'[' => self.list(simple),
            b'-' | b'0'..=b'9' => self.number(simple),
            b'n' if takes_null => self.word(b"null"),
            b'n' => sure(simple.takes(Types::NULL)).and_then(|()| self.word(b"null")),
            b't' => sure(simple.takes(Types::BOOLEAN)).and_then(|()| self.word(b"true")),
            b'f' => sure(simple.takes(Types::BOOLEAN)).and_then(|()| self.word(b"false")),
            _ => None,
        }
    }

    fn text(&mut self, simple: &Simple) -> Sure {
        sure(simple.types.have(Types::STRING))?;
        let Text { bytes, has_escapes } = self.quoted()?;
        // Half a surrogate is JSON, and no text.
        sure(!has_escapes || simple.values.is_none() && !bytes.windows(2).any(|pair| pair == b"\\u"))?;
        if let Some(values) = &simple.values {
            sure(values.iter().any(|value| value.as_bytes() == bytes))?;
        }
        // A character has one to four bytes, which is enough to know most of the time.
        let is_within = |count: usize| simple.length.surely_take(count as i64);
        if is_within(bytes.len()) && is_within(bytes.len().div_ceil(4)) {
            return Some(());
        }
        // Every character has one byte that continues none.
        let characters = bytes.iter().filter(|byte| **byte & 0xC0 != 0x80).count();
        sure(!has_escapes && is_within(characters))
    }

    fn number(&mut self, simple: &Simple) -> Sure {
        sure(simple.takes(Types::INTEGER))?;
        let from = self.at;
        let is_negative = self.data[from] == b'-';
        self.at += usize::from(is_negative);
        let whole = self.digits()?;
        match self.data.get(self.at) {
            Some(b'.') => {
                self.at += 1;
                self.digits()?;
                let has_exponent = matches!(self.data.get(self.at), Some(b'e' | b'E'));
                sure(simple.types.have(Types::NUMBER) && !has_exponent)?;
                if simple.number.is_open() {
                    return Some(());
                }
                let number = std::str::from_utf8(&self.data[from..self.at]).ok()?.parse().ok()?;
                sure(simple.number.broken_by(Bound::Fraction(number)).is_none())
            }
            Some(b'e' | b'E') => None,
            _ => sure(simple.number.surely_take(if is_negative { -whole } else { whole })),
        }
    }

    /// Passes over digits, and returns the number that they are.
    fn digits(&mut self) -> Sure<i64> {
        let (from, mut number) = (self.at, 0_i64);
        while let Some(digit) = self.data.get(self.at).filter(|byte| byte.is_ascii_digit()) {
            number = number.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'));
            self.at += 1;
        }
        sure(self.at - from <= MAX_DIGITS).map(|()| number)
    }

    #[inline(never)]
    fn list(&mut self, simple: &'a Simple) -> Sure {
        sure(simple.takes(Types::ARRAY))?;
        let mut count = 0;
        let mut is_open = self.begins(b']')?;
        while is_open {
            match simple.items {
                Some(id) => self.value(id)?,
                None => self.skip()?,
            }
            count += 1;
            is_open = self.goes_on(b']')?;
        }
        sure(simple.count.surely_take(count))
    }

    #[inline(never)]
    fn object(&mut self, simple: &'a Simple) -> Sure {
        sure(simple.takes(Types::OBJECT))?;
        let (mut seen, mut last) = (0_u64, None);
        let mut is_open = self.begins(b'}')?;
        while is_open {
            match (self.field(&simple.fields, last)?, simple.other) {
                (Some(field), _) => {
                    seen |= field.bit.map_or(0, |bit| 1 << bit);
                    last = Some(field);
                    self.value(field.rule)?;
                }
                (None, Other::Anything) => self.skip()?,
                (None, Other::Rule(id)) => self.value(id)?,
                (None, Other::Nothing) => return None,
            }
            is_open = self.goes_on(b'}')?;
        }
        sure(seen == simple.required_bits())
    }

    /// Passes over a name and its colon, and returns the field of that name.
    #[inline]
    fn field(&mut self, fields: &'a Fields, last: Option<&NamedField>) -> Sure<Option<&'a NamedField>> {
        let rest = &self.data[self.at..];
        let guess = fields.behind(last).filter(|field| rest.starts_with(field.begin.as_bytes()));
        if let Some(field) = guess {
            self.at += field.begin.len();
            return Some(Some(field));
        }
        sure(self.peek()? == b'"')?;
        let Text { bytes: name, has_escapes } = self.quoted()?;
        sure(!has_escapes && self.peek()? == b':')?;
        self.at += 1;
        Some(fields.found_behind(last, name))
    }

    /// Passes over one value.
    #[inline(never)]
    fn skip(&mut self) -> Sure {
        let around = self.depth;
        loop {
            match self.peek()? {
                b'"' => self.quoted().map(drop)?,
                b'{' | b'[' => self.enter()?,
                b'}' | b']' if self.depth > around => {
                    self.at += 1;
                    self.depth -= 1;
                }
                b',' | b':' if self.depth > around => {
                    self.at += 1;
                    continue;
                }
                _ => {
                    let is_end =
                        |byte: &u8| matches!(byte, b',' | b':' | b'}' | b']') || byte.is_ascii_whitespace();
                    let rest = &self.data[self.at..];
                    let length = rest.iter().position(is_end).unwrap_or(rest.len());
                    sure(length > 0)?;
                    self.at += length;
                }
            }
            if self.depth == around {
                return Some(());
            }
        }
    }

    /// Returns the next byte that is no space, and stays before it.
    fn peek(&mut self) -> Sure<u8> {
        loop {
            match *self.data.get(self.at)? {
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                byte => return Some(byte),
            }
        }
    }

    fn word(&mut self, word: &[u8]) -> Sure {
        sure(self.data[self.at..].starts_with(word))?;
        self.at += word.len();
        Some(())
    }

    /// Returns the text that begins here.
    fn quoted(&mut self) -> Sure<Text<'a>> {
        let text = self.data.get(self.at + 1..)?;
        let (mut length, mut has_escapes) = (0, false);
        loop {
            length += end_of_run(text.get(length..)?)?;
            if text[length] == b'"' {
                self.at += length + 2;
                return Some(Text { bytes: &text[..length], has_escapes });
            }
            has_escapes = true;
            length += 2;
        }
    }

    fn enter(&mut self) -> Sure {
        self.at += 1;
        self.depth += 1;
        sure(self.depth <= MAX_DEPTH)
    }

    /// Goes into a list or an object, and returns whether something is in it.
    fn begins(&mut self, end: u8) -> Sure<bool> {
        self.enter()?;
        let is_empty = self.peek()? == end;
        if is_empty {
            self.at += 1;
            self.depth -= 1;
        }
        Some(!is_empty)
    }

    /// Returns whether another one follows; else goes out of the list or the object.
    fn goes_on(&mut self, end: u8) -> Sure<bool> {
        let byte = self.peek()?;
        self.at += 1;
        if byte == end {
            self.depth -= 1;
            return Some(false);
        }
        sure(byte == b',').map(|()| true)
    }
}

fn sure(is_so: bool) -> Sure {
    is_so.then_some(())
}

/// Returns the highest bit of each byte that is zero; only the lowest of them is exact.
const fn zero_bytes(eight: u64) -> u64 {
    eight.wrapping_sub(EACH) & !eight & (EACH << 7)
}

/// Returns where the next quote or backslash is.
#[inline]
fn end_of_run(rest: &[u8]) -> Option<usize> {
    let (chunks, _) = rest.as_chunks();
    for (at, eight) in chunks.iter().take(SHORT).enumerate() {
        let eight = u64::from_le_bytes(*eight);
        let found = zero_bytes(eight ^ QUOTES) | zero_bytes(eight ^ BACKSLASHES);
        if found != 0 {
            return Some(8 * at + found.trailing_zeros() as usize / 8);
        }
    }
    let from = 8 * chunks.len().min(SHORT);
    memchr2(b'"', b'\\', &rest[from..]).map(|at| from + at)
}

impl Simple {
    /// Returns whether values of a type are taken, of which none is named.
    fn takes(&self, types: Types) -> bool {
        self.types.have(types) && self.values.is_none()
    }

    fn required_bits(&self) -> u64 {
        match self.required.len() {
            0 => 0,
            count => u64::MAX >> (u64::BITS as usize - count),
        }
    }
}
