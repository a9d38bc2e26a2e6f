//! Writes batches in any form.

use std::error::Error as Source;
use std::fmt;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::RecordBatch;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::SchemaRef;
use messagekit::{Error, ErrorKind};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::csv_rows::CsvRows;
use crate::format::Format;
use crate::json_rows::JsonRows;
use crate::new_file::NewFile;
use crate::target::{Reader, Target};

/// How many bytes a Parquet writer holds before it writes a row group.
const ROW_GROUP: usize = 64 << 20;

/// Writes batches of one schema, in a [`Format`], to any output or to a new file.
///
/// ```
/// use messagekit_arrow::{BatchWriter, Columns, Format, Reader, batch};
///
/// let columns = Columns::default();
/// let mut writer = BatchWriter::new(Format::Csv, &columns.schema(), std::io::sink())?;
/// assert_eq!(writer.write(&batch(&[], columns)?)?, Reader::Reads);
/// assert_eq!(writer.finish()?, Reader::Reads);
/// # Ok::<(), messagekit::Error>(())
/// ```
pub struct BatchWriter {
    form: Form,
    is_gone: Arc<AtomicBool>,
    file: Option<NewFile>,
}

enum Form {
    Ndjson(JsonRows<Target>),
    Csv(CsvRows<Target>),
    Arrow(StreamWriter<Target>),
    Parquet(Box<ArrowWriter<Target>>),
}

type Outcome = Result<(), Box<dyn Source + Send + Sync>>;

impl BatchWriter {
    /// Begins to write to an output.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if the output takes nothing.
    pub fn new(
        format: Format,
        schema: &SchemaRef,
        output: impl Write + Send + 'static,
    ) -> Result<Self, Error> {
        let (target, is_gone) = Target::to(output);
        let form = match format {
            Format::Ndjson => Ok(Form::Ndjson(JsonRows::to(target))),
            Format::Csv => Ok(Form::Csv(CsvRows::to(target, schema))),
            Format::Arrow => StreamWriter::try_new(target, schema).map(Form::Arrow).map_err(Into::into),
            Format::Parquet => parquet(target, schema),
        };
        form.map(|form| Self { form, is_gone, file: None }).map_err(unwritten)
    }

    /// Begins to write to a new file. It gets its name when the writer is [finished](Self::finish): a file of this name is whole. Until then it
    /// lies beside that, under a name that begins with a dot and ends in `.part`; it is deleted with the writer, unless the process is killed.
    ///
    /// # Errors
    /// [`ErrorKind::WrongState`] if there is a file of this name, [`ErrorKind::Unavailable`] if none can be made.
    pub fn create(format: Format, schema: &SchemaRef, path: &Path) -> Result<Self, Error> {
        let file = NewFile::create(path)?;
        let writer = Self::new(format, schema, file.handle()?)?;
        Ok(Self { file: Some(file), ..writer })
    }

    /// Writes a batch of the schema. All of it has left the writer when it returns, except for Parquet, which keeps up to 64 MiB for the row
    /// group to which they belong.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if the output takes nothing more, for another reason than that its reader has gone.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<Reader, Error> {
        if self.is_gone.load(Ordering::Relaxed) {
            return Ok(Reader::Gone);
        }
        let written = self.form.write(batch);
        self.outcome(written)
    }

    /// Writes the end, and gives a file its name.
    ///
    /// # Errors
    /// As [`write`](Self::write), and as [`create`](Self::create) if a file has taken the name meanwhile.
    pub fn finish(mut self) -> Result<Reader, Error> {
        if self.is_gone.load(Ordering::Relaxed) {
            return Ok(Reader::Gone);
        }
        let finished = self.form.finish();
        let reader = self.outcome(finished)?;
        self.file.map_or(Ok(()), NewFile::keep)?;
        Ok(reader)
    }

    fn outcome(&self, outcome: Outcome) -> Result<Reader, Error> {
        match outcome {
            Ok(()) => Ok(Reader::Reads),
            Err(_) if self.is_gone.load(Ordering::Relaxed) => Ok(Reader::Gone),
            Err(error) => Err(unwritten(error)),
        }
    }
}

impl Form {
    fn write(&mut self, batch: &RecordBatch) -> Outcome {
        match self {
            Self::Ndjson(rows) => rows.write(batch)?,
            Self::Csv(rows) => rows.write(batch)?,
            Self::Arrow(stream) => stream.write(batch).and_then(|()| stream.flush())?,
            Self::Parquet(file) => {
                file.write(batch)?;
                if file.memory_size().max(file.in_progress_size()) >= ROW_GROUP {
                    file.flush()?;
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Outcome {
        match self {
            Self::Ndjson(rows) => rows.flush()?,
            Self::Csv(rows) => rows.flush()?,
            Self::Arrow(stream) => stream.finish().and_then(|()| stream.flush())?,
            Self::Parquet(file) => {
                file.finish()?;
                file.inner_mut().flush()?;
            }
        }
        Ok(())
    }
}

fn parquet(target: Target, schema: &SchemaRef) -> Result<Form, Box<dyn Source + Send + Sync>> {
    let zstd = Compression::ZSTD(ZstdLevel::try_new(1)?);
    let properties = WriterProperties::builder().set_compression(zstd).build();
    Ok(Form::Parquet(Box::new(ArrowWriter::try_new(target, schema.clone(), Some(properties))?)))
}

fn unwritten(error: Box<dyn Source + Send + Sync>) -> Error {
    Error::new(ErrorKind::Unavailable, "rows cannot be written").caused_by(error)
}

impl fmt::Debug for BatchWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = match self.form {
            Form::Ndjson(_) => Format::Ndjson,
            Form::Csv(_) => Format::Csv,
            Form::Arrow(_) => Format::Arrow,
            Form::Parquet(_) => Format::Parquet,
        };
        f.debug_struct("BatchWriter").field("format", &format).finish_non_exhaustive()
    }
}
