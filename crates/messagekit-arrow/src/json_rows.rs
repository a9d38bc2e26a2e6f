//! Rows as lines of JSON.

use std::borrow::Cow;
use std::io::{self, Write};

use arrow_array::RecordBatch;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::cells::{Cell, Headers, cell, columns};
use crate::time;

/// Writes each row as one object.
pub(crate) struct JsonRows<W> {
    output: W,
    line: Vec<u8>,
}

impl<W: Write> JsonRows<W> {
    pub(crate) fn to(output: W) -> Self {
        Self { output, line: Vec::new() }
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        let columns = columns(batch);
        for row in 0..batch.num_rows() {
            self.line.clear();
            for (name, column) in &columns {
                self.line.push(if self.line.is_empty() { b'{' } else { b',' });
                field(&mut self.line, name, cell(*column, row));
            }
            self.line.extend(b"}\n");
            self.output.write_all(&self.line)?;
        }
        self.flush()
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

fn field(line: &mut Vec<u8>, name: &str, cell: Cell<'_>) {
    let value = match cell {
        Cell::None => Cow::Borrowed("null"),
        Cell::Bytes(bytes) if name == "value" => return value(line, bytes),
        Cell::Bytes(bytes) => return text_or_base64(line, name, bytes),
        Cell::Text(text) => quoted(text),
        Cell::Integer(number) => number.to_string().into(),
        Cell::Flag(flag) => flag.to_string().into(),
        Cell::Time(time) => format!("\"{}\"", time::text(time)).into(),
        Cell::Headers(headers) => self::headers(&headers).into(),
    };
    member(line, name, &value);
}

fn member(line: &mut Vec<u8>, name: &str, value: &str) {
    line.extend(quoted(name).as_bytes());
    line.push(b':');
    line.extend(value.as_bytes());
}

fn value(line: &mut Vec<u8>, bytes: &[u8]) {
    match serde_json::from_slice::<&RawValue>(bytes) {
        Ok(json) => member(line, "value", &one_line(json.get())),
        Err(_) => member(line, "value_base64", &quoted(&STANDARD.encode(bytes))),
    }
}

fn text_or_base64(line: &mut Vec<u8>, name: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => member(line, name, &quoted(text)),
        Err(_) => member(line, &format!("{name}_base64"), &quoted(&STANDARD.encode(bytes))),
    }
}

/// Returns headers as a list of objects with `name` and `value`, or `value_base64`.
pub(crate) fn headers(headers: &Headers<'_>) -> String {
    let mut list = vec![b'['];
    for (name, value) in headers.iter() {
        list.extend(if list.len() == 1 { &b"{"[..] } else { b",{" });
        member(&mut list, "name", &quoted(name));
        list.push(b',');
        text_or_base64(&mut list, "value", value);
        list.push(b'}');
    }
    list.push(b']');
    // What was joined is text.
    String::from_utf8(list).unwrap_or_default()
}

fn quoted(text: &str) -> Cow<'static, str> {
    Value::from(text).to_string().into()
}

/// Returns JSON without the line breaks that may stand between its tokens: in a text they are escaped. Nothing else of it changes, numbers
/// of any length included.
fn one_line(json: &str) -> Cow<'_, str> {
    if json.contains(['\n', '\r']) { json.replace(['\n', '\r'], "").into() } else { json.into() }
}
