//! Pipelines over the typed topics of this file.

use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::{BoxFuture, RetryLease};
use messagekit::operations::EventHistory;
use messagekit::{Error, MessageId};
use messagekit_topic_store::{NameHolder, PipelineStore};

use crate::error::from_sqlite;
use crate::name_lock::{self, NameLock};
use crate::tables::{now, pipeline_records, record_ids};
use crate::{SqliteStore, SqliteTx};

/// How often a name is tried that another one holds.
const STANDBY: Duration = Duration::from_millis(50);

impl NameHolder for NameLock {}

impl PipelineStore for SqliteStore {
    fn work_alone<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Box<dyn NameHolder>, Error>> {
        Box::pin(async move {
            let file = name_lock::file_of(self.path(), name);
            loop {
                self.check_open()?;
                if let Some(lock) = NameLock::try_take(&file)? {
                    return Ok(Box::new(lock) as Box<dyn NameHolder>);
                }
                tokio::time::sleep(STANDBY).await;
            }
        })
    }

    fn worker_of<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<String>> {
        let holder = name_lock::holder_of(&name_lock::file_of(self.path(), name));
        Box::pin(async move { holder.map(|process| format!("process {process}")) })
    }

    async fn last_record(&self) -> Result<i64, Error> {
        self.query_topics(|conn| Ok(record_ids::next(conn).map_err(from_sqlite)? - 1)).await
    }

    async fn handle_new(
        &self,
        tx: &mut SqliteTx,
        consumer: &str,
        topic: &Arc<str>,
        ids: &[i64],
    ) -> Result<Vec<bool>, Error> {
        let (consumer, topic, ids) = (consumer.to_owned(), topic.clone(), ids.to_vec());
        tx.run(move |conn| pipeline_records::handle_new(conn, &consumer, &topic, &ids, now())).await
    }

    async fn lease_record(
        &self,
        consumer: &str,
        topic: &Arc<str>,
        id: i64,
    ) -> Result<Option<RetryLease>, Error> {
        let (consumer, topic) = (consumer.to_owned(), topic.clone());
        self.job(move |conn| pipeline_records::lease(conn, &consumer, &topic, id, now())).await
    }

    async fn correlations(&self, ids: &[MessageId]) -> Result<Vec<(MessageId, MessageId)>, Error> {
        let limit = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        let found = self.linked_events(ids, &[], limit).await?.into_iter();
        Ok(found.filter_map(|event| Some((event.event_id, event.links.correlation_id?))).collect())
    }

    fn address(&self) -> String {
        let path = std::fs::canonicalize(self.path()).unwrap_or_else(|_| self.path().to_owned());
        format!("sqlite:{}", path.display())
    }
}
