//! Reads JSON text and keeps the digits of its numbers, which `serde_json` rounds.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::de::Error as _;
use serde_json::value::RawValue;

use super::canonical::Json;

/// How deep lists and objects may be nested: as deep as `serde_json` reads them.
const DEEPEST: u32 = 127;

impl<'a> Json<'a> {
    /// Reads JSON text.
    ///
    /// # Errors
    /// As [`serde_json::from_slice`], also for text that is nested more than 127 deep. A number may have any digits and any exponent.
    pub fn read(json: &'a (impl AsRef<[u8]> + ?Sized)) -> Result<Self, serde_json::Error> {
        Ok(Self::read_with_repeated(json)?.0)
    }

    /// As [`read`](Self::read), with the byte at which a key stands that its object has already: readers differ in which one counts.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_with_repeated(
        json: &'a (impl AsRef<[u8]> + ?Sized),
    ) -> Result<(Self, Option<usize>), serde_json::Error> {
        let raw: &RawValue = serde_json::from_slice(json.as_ref())?;
        let mut reader = ExactReader { text: raw.get(), at: 0, depth: 0, repeated: None };
        Ok((reader.value()?, reader.repeated))
    }
}

/// A position in text that is known to be JSON, so that no byte is checked again.
struct ExactReader<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
    /// The first key that its object has already.
    repeated: Option<usize>,
}

impl<'a> ExactReader<'a> {
    /// Reads the value that begins here, or behind blanks.
    fn value(&mut self) -> Result<Json<'a>, serde_json::Error> {
        match self.next() {
            b'{' => self.nested(Self::object),
            b'[' => self.nested(Self::list),
            b'"' => self.string().map(Json::Text),
            _ => {
                let rest = &self.text[self.at..];
                let is_end = |byte: char| matches!(byte, ',' | '}' | ']' | ' ' | '\t' | '\n' | '\r');
                let plain = &rest[..rest.find(is_end).unwrap_or(rest.len())];
                self.at += plain.len();
                Ok(Json::Plain(plain.into()))
            }
        }
    }

    fn nested(
        &mut self,
        read: fn(&mut Self) -> Result<Json<'a>, serde_json::Error>,
    ) -> Result<Json<'a>, serde_json::Error> {
        if self.depth == DEEPEST {
            return Err(serde_json::Error::custom("recursion limit exceeded"));
        }
        (self.depth, self.at) = (self.depth + 1, self.at + 1);
        let nested = read(self);
        (self.depth, self.at) = (self.depth - 1, self.at + 1);
        nested
    }

    fn object(&mut self) -> Result<Json<'a>, serde_json::Error> {
        let mut fields = BTreeMap::new();
        loop {
            match self.next() {
                b'}' => return Ok(Json::Object(fields)),
                b'"' => {
                    let key = self.at;
                    let name = self.string()?;
                    self.next();
                    self.at += 1;
                    if fields.insert(name, self.value()?).is_some() {
                        self.repeated.get_or_insert(key);
                    }
                }
                _ => self.at += 1,
            }
        }
    }

    fn list(&mut self) -> Result<Json<'a>, serde_json::Error> {
        let mut items = Vec::new();
        loop {
            match self.next() {
                b']' => return Ok(Json::List(items)),
                b',' => self.at += 1,
                _ => items.push(self.value()?),
            }
        }
    }

    /// Only an escape is decoded, and can be wrong.
    fn string(&mut self) -> Result<Cow<'a, str>, serde_json::Error> {
        let (begin, bytes) = (self.at, self.text.as_bytes());
        self.at += 1;
        let mut has_escape = false;
        while bytes[self.at] != b'"' {
            let is_escape = bytes[self.at] == b'\\';
            has_escape |= is_escape;
            self.at += 1 + usize::from(is_escape);
        }
        self.at += 1;
        let quoted = &self.text[begin..self.at];
        match has_escape {
            true => serde_json::from_str(quoted).map(Cow::Owned),
            false => Ok(Cow::Borrowed(&quoted[1..quoted.len() - 1])),
        }
    }

    /// Skips blanks, and returns the byte behind them.
    fn next(&mut self) -> u8 {
        let bytes = self.text.as_bytes();
        while matches!(bytes[self.at], b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        bytes[self.at]
    }
}
