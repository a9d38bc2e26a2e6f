//! Opens a reader by what Python gives.

use std::path::PathBuf;
use std::sync::Arc;

use messagekit::log::{Log, OrderedReader};
use messagekit::{Error, ErrorKind};
use messagekit_arrow::Columns;
use messagekit_sqlite::SqliteStore;
use pyo3::prelude::*;

use super::start::{SourceTopic, moment};

/// The topics and bounds of a reader, as a dictionary of these keys.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Settings {
    topics: Vec<SourceTopic>,
    cutoff_ms: Option<i64>,
    batch_size: usize,
    headers: bool,
    event_id: bool,
}

impl Settings {
    /// Returns the columns of its batches.
    pub(super) fn columns(&self) -> Columns {
        let columns = if self.headers { Columns::default().with_headers() } else { Columns::default() };
        if self.event_id { columns.with_event_id() } else { columns }
    }

    pub(super) async fn open(self, log: Arc<dyn Log>) -> Result<OrderedReader, Error> {
        let mut builder = OrderedReader::builder().batch_size(self.batch_size);
        if let Some(cutoff) = self.cutoff_ms {
            builder = builder.cutoff(moment(cutoff));
        }
        for topic in self.topics {
            let name = topic.name.clone();
            builder = builder.source(log.clone(), name, topic.start()?);
        }
        builder.open().await
    }
}

/// Opens a file that has the tables of this program, and changes none.
pub(super) async fn file(path: PathBuf) -> Result<SqliteStore, Error> {
    let refused = |kind, text: &'static str| Error::new(kind, text).with("path", path.display());
    if !path.is_file() {
        return Err(refused(ErrorKind::NotFound, "there is no such file"));
    }
    let status = messagekit_sqlite::migrations::status(&path)?;
    if status.current == 0 {
        return Err(refused(ErrorKind::Schema, "the file has no topics: is it the right one?"));
    }
    if !status.pending.is_empty() {
        let text = "the tables of the file are older than this package: open it as a Source first";
        return Err(refused(ErrorKind::Schema, text));
    }
    Ok(SqliteStore::open(path).await?)
}

/// Properties by which a consumer joins a group and keeps a position, and those of producers, which may share a dictionary with it. They
/// change nothing here.
#[cfg(feature = "kafka")]
const OF_OTHERS: &[&str] = &[
    "acks",
    "auto.commit.enable",
    "auto.commit.interval.ms",
    "auto.offset.reset",
    "batch.num.messages",
    "delivery.timeout.ms",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "message.timeout.ms",
    "partitioner",
    "request.required.acks",
    "transactional.id",
];

/// Returns the log of the brokers that properties of librdkafka name.
#[cfg(feature = "kafka")]
pub(super) fn kafka(
    mut properties: std::collections::HashMap<String, String>,
) -> Result<Arc<dyn Log>, Error> {
    let alias = properties.remove("metadata.broker.list");
    let servers = properties.remove("bootstrap.servers").or(alias).ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidConfiguration,
            "config has no bootstrap.servers: name a broker as host:port",
        )
    })?;
    let mut kafka = messagekit_kafka::Kafka::new(servers);
    for (key, value) in properties {
        let is_default = key == "isolation.level" && value == "read_committed";
        if !is_default && !OF_OTHERS.contains(&&*key) {
            kafka = kafka.set(key, value)?;
        }
    }
    Ok(Arc::new(kafka.log()))
}
