//! Rows as lines of CSV.

use std::borrow::Cow;
use std::io::{self, Write};

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Schema};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::cells::{Cell, cell, columns};
use crate::json_rows::headers;
use crate::time;

/// Writes each row as one line, behind a line of names.
pub(crate) struct CsvRows<W: Write> {
    lines: csv::Writer<W>,
    /// The names, until they are written.
    names: Vec<String>,
}

impl<W: Write> CsvRows<W> {
    pub(crate) fn to(output: W, schema: &Schema) -> Self {
        let mut names = Vec::new();
        for field in schema.fields() {
            names.push(field.name().clone());
            if *field.data_type() == DataType::Binary {
                names.push(format!("{}_encoding", field.name()));
            }
        }
        Self { lines: csv::Writer::from_writer(output), names }
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        self.write_names()?;
        let columns = columns(batch);
        for row in 0..batch.num_rows() {
            for (_, column) in &columns {
                self.write_cell(cell(*column, row), *column.data_type() == DataType::Binary)?;
            }
            self.lines.write_record(None::<&[u8]>)?;
        }
        self.lines.flush()
    }

    /// Writes what is left: the names, if there was no batch.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.write_names()?;
        self.lines.flush()
    }

    fn write_names(&mut self) -> io::Result<()> {
        let names = std::mem::take(&mut self.names);
        if !names.is_empty() {
            self.lines.write_record(names)?;
        }
        Ok(())
    }

    fn write_cell(&mut self, cell: Cell<'_>, is_binary: bool) -> io::Result<()> {
        let (value, encoding) = match cell {
            Cell::None => (Cow::Borrowed(""), ""),
            Cell::Bytes(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => (text.into(), "utf8"),
                Err(_) => (STANDARD.encode(bytes).into(), "base64"),
            },
            Cell::Text(text) => (text.into(), ""),
            Cell::Integer(number) => (number.to_string().into(), ""),
            Cell::Flag(flag) => (flag.to_string().into(), ""),
            Cell::Time(time) => (time::text(time).into(), ""),
            Cell::Headers(list) => (headers(&list).into(), ""),
        };
        self.lines.write_field(&*value)?;
        if is_binary {
            self.lines.write_field(encoding)?;
        }
        Ok(())
    }
}
