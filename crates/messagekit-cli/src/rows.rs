//! Output of rows as text or as columns, to standard output or a new file.

use std::io::{self, IsTerminal};
use std::path::Path;

use messagekit::{Error, ErrorKind};
use messagekit_arrow::{BatchWriter, Format, SchemaRef};

/// The forms of rows, as an option names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    /// A line of JSON for each record
    Ndjson,
    /// A line for each record, behind one of names
    Csv,
    /// A stream of Arrow IPC
    Arrow,
    /// A Parquet file
    Parquet,
}

impl From<Form> for Format {
    fn from(form: Form) -> Self {
        match form {
            Form::Ndjson => Self::Ndjson,
            Form::Csv => Self::Csv,
            Form::Arrow => Self::Arrow,
            Form::Parquet => Self::Parquet,
        }
    }
}

/// Refuses to show a terminal what is nothing for it.
pub(crate) fn check(format: Format, output: Option<&Path>) -> Result<(), Error> {
    if output.is_none() && format.is_binary() && io::stdout().is_terminal() {
        let text =
            format!("{format} is nothing for a terminal: write --output FILE, or lead it into a program");
        return Err(Error::new(ErrorKind::InvalidConfiguration, text));
    }
    Ok(())
}

/// Begins to write rows.
pub(crate) fn writer(
    format: Format,
    schema: &SchemaRef,
    output: Option<&Path>,
) -> Result<BatchWriter, Error> {
    check(format, output)?;
    match output {
        Some(path) => BatchWriter::create(format, schema, path),
        None => BatchWriter::new(format, schema, io::stdout()),
    }
}
