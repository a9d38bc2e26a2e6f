//! `messagekit topics export`.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{Stream, StreamExt};
use jiff::Timestamp;
use messagekit::{Error, ErrorKind, Position};
use messagekit_arrow::{Columns, Format, batches};
use messagekit_topic_store::{RecordQuery, RecordStatus, TopicRecord, TopicStore};
use messagekit_topics::{Record, Topic, Topics};
use serde_json::value::RawValue;

use super::file::{self, Work};
use super::lines::{Lines, Reader};
use crate::database::Database;
use crate::rows::{self, Form};

/// How many records are read at a time.
const PAGE: u32 = 1_000;

#[derive(Debug, clap::Args)]
pub(super) struct Export {
    #[command(flatten)]
    database: Database,
    /// The topic
    topic: String,
    /// All records: the default
    #[arg(long, conflicts_with_all = ["handled", "new"])]
    all: bool,
    /// Only records that the consumer has handled
    #[arg(long, conflicts_with = "new")]
    handled: bool,
    /// Only records that are new for the consumer
    #[arg(long)]
    new: bool,
    /// The consumer whose view is wanted
    #[arg(long, default_value = "default", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    consumer: String,
    /// The form: whole records as lines of JSON, or key, value, topic, partition, offset and timestamp
    #[arg(long, value_enum, default_value = "ndjson")]
    format: Form,
    /// A new file instead of standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Work for Export {
    async fn run<S: TopicStore>(&self, topics: &Topics<S>) -> Result<(), Error> {
        if self.format != Form::Ndjson {
            file::definition(topics, &self.topic).await?;
            return self.write_rows(topics.store()).await;
        }
        let topic = file::topic(topics, &self.topic).await?.named(self.consumer.as_str());
        let mut lines = match &self.output {
            Some(path) => Lines::to(new_file(path)?),
            None => Lines::to_stdout(),
        };
        if self.handled {
            write(&mut lines, &topic, topic.iter_handled()).await
        } else if self.new {
            write(&mut lines, &topic, topic.iter_new()).await
        } else {
            write(&mut lines, &topic, topic.iter_all()).await
        }
    }
}

impl Export {
    pub(super) async fn run(self) -> Result<(), Error> {
        rows::check(self.format.into(), self.output.as_deref())?;
        file::work(&self.database, &self).await
    }

    /// Writes records as rows, in the order of their ids.
    async fn write_rows<S: TopicStore>(&self, store: &S) -> Result<(), Error> {
        let (format, columns) = (Format::from(self.format), Columns::default());
        let mut writer = rows::writer(format, &columns.schema(), self.output.as_deref())?;
        let status = match (self.handled, self.new) {
            (true, _) => Some(RecordStatus::Handled),
            (_, true) => Some(RecordStatus::New),
            _ => None,
        };
        let (consumer, topic) = (self.consumer.as_str().into(), self.topic.as_str().into());
        let mut query = RecordQuery { consumer, topic, status, after: 0, max: PAGE };
        loop {
            let page = store.read_records(&query).await?.records;
            let Some(TopicRecord { id, .. }) = page.last() else { break };
            query.after = *id;
            let records: Vec<_> = page.into_iter().map(|record| record.record).collect();
            for batch in batches(&records, columns)? {
                if writer.write(&batch)? == messagekit_arrow::Reader::Gone {
                    return Ok(());
                }
            }
        }
        writer.finish().map(|_| ())
    }
}

async fn write(
    lines: &mut Lines,
    topic: &Topic<Box<RawValue>, impl TopicStore>,
    mut records: impl Stream<Item = Result<Record<Box<RawValue>>, messagekit_topics::Error>> + Unpin,
) -> Result<(), Error> {
    while let Some(record) = records.next().await {
        let line = match record {
            Err(error) if error.kind() == ErrorKind::Undecodable => raw_line(topic, error.into()).await?,
            record => Some(line(&record?)?),
        };
        if let Some(line) = line
            && lines.write(line)? == Reader::Gone
        {
            return Ok(());
        }
    }
    lines.flush().map(drop)
}

/// A record whose data is not JSON, with its bytes.
#[derive(serde::Serialize)]
struct Raw {
    id: i64,
    topic: String,
    partition: i32,
    offset: i64,
    created_at: Timestamp,
    handled_at: Option<Timestamp>,
    status: RecordStatus,
    data_base64: String,
}

/// Returns a record whose data is not JSON as a line, or `None` if it was deleted meanwhile.
async fn raw_line(
    topic: &Topic<Box<RawValue>, impl TopicStore>,
    error: Error,
) -> Result<Option<String>, Error> {
    let Some(id) = error.context("record").and_then(|id| id.parse().ok()) else { return Err(error) };
    let Some(TopicRecord { id, record, status, handled_at, .. }) = topic.stored(id).await? else {
        return Ok(None);
    };
    let created_at = record.stored_at();
    let Position { topic, partition, offset } = record.position;
    let data_base64 = STANDARD.encode(&record.message.payload);
    let raw =
        Raw { id, topic: topic.to_string(), partition, offset, created_at, handled_at, status, data_base64 };
    as_line(&raw, id).map(Some)
}

/// Returns a whole record as one line of JSON.
pub(super) fn line(record: &Record<Box<RawValue>>) -> Result<String, Error> {
    as_line(record, record.id)
}

fn as_line(record: &impl serde::Serialize, id: i64) -> Result<String, Error> {
    serde_json::to_string(record).map_err(|error| {
        let text = "record cannot be written as JSON";
        Error::new(ErrorKind::Other, text).with("record", id).caused_by(error)
    })
}

fn new_file(path: &Path) -> Result<File, Error> {
    File::options().write(true).create_new(true).open(path).map_err(|error| {
        let (kind, text) = match error.kind() {
            io::ErrorKind::AlreadyExists => {
                (ErrorKind::WrongState, "export would replace a file: name another path, or remove that file")
            }
            _ => (ErrorKind::Unavailable, "export cannot be written"),
        };
        Error::new(kind, text).with("path", path.display()).caused_by(error)
    })
}
