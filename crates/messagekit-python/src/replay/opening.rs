//! Opens a reader by what Python gives.

use std::sync::Arc;

use messagekit::Error;
use messagekit::log::{Log, OrderedReader};
use messagekit_arrow::Columns;
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
