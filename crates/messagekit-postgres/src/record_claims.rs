//! Record claims on topics of this database.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use messagekit::Error;
use messagekit::log::{ClaimHolder, ClaimPartitions, ClaimWindow, Record, RecordClaims};
use sqlx::Row;

use crate::error::from_sqlx;
use crate::tables::{record_claims, topic_records, topics};
use crate::{PgTx, PostgresStore};

const NOW: &str = "SELECT clock_timestamp()";

/// Two workers of a consumer wait for each other in the rows of its cursors, for the time of one short transaction. A process that ends
/// frees its claims at once, because its session ends. So does a server that restarts; a worker that goes on then gets
/// [`ErrorKind::ClaimLost`](messagekit::ErrorKind::ClaimLost) if another one was faster.
impl RecordClaims for PostgresStore {
    async fn claim_holder(&self) -> Result<ClaimHolder, Error> {
        self.topics().holder.get(self.pool()).await
    }

    async fn ended_holders(&self, holders: &[ClaimHolder]) -> Result<Vec<ClaimHolder>, Error> {
        self.topics().holder.ended(self.pool(), holders).await
    }

    async fn claim_partitions(
        &self,
        tx: &mut PgTx,
        consumer: &str,
        topic: &Arc<str>,
    ) -> Result<ClaimPartitions, Error> {
        self.statement(async {
            let topic = topics::kept(tx, self.schema(), topic).await?;
            let partitions = record_claims::partitions(tx, self.schema(), consumer, &topic).await?;
            let row = sqlx::query(NOW).fetch_one(&mut **tx).await.map_err(from_sqlx)?;
            let now: jiff_sqlx::Timestamp = row.try_get(0).map_err(from_sqlx)?;
            Ok(ClaimPartitions { now: now.to_jiff(), partitions })
        })
        .await
    }

    async fn write_claim_window(
        &self,
        tx: &mut PgTx,
        consumer: &str,
        topic: &Arc<str>,
        partition: i32,
        window: &ClaimWindow,
    ) -> Result<(), Error> {
        self.statement(record_claims::write(tx, self.schema(), consumer, (topic, partition), window)).await
    }

    async fn record_keys(
        &self,
        tx: &mut PgTx,
        topic: &Arc<str>,
        partition: i32,
        offsets: &[Range<i64>],
    ) -> Result<Vec<(i64, Bytes)>, Error> {
        self.statement(record_claims::keys(tx, self.schema(), (topic, partition), offsets)).await
    }

    async fn read_claimed(
        &self,
        topic: &Arc<str>,
        partition: i32,
        offsets: Range<i64>,
        max_bytes: usize,
    ) -> Result<Vec<Record>, Error> {
        self.read(|mut connection| {
            let offsets = offsets.clone();
            async move {
                let found = topics::kept(&mut connection, self.schema(), topic).await?;
                let known = topics::partitions(&mut connection, self.schema(), found.id).await?;
                let known = known.into_iter().find(|known| known.partition == partition);
                let tp = known.ok_or_else(|| topics::no_topic(topic))?.tp;
                let (max, bytes) = (i64::MAX, i64::try_from(max_bytes).unwrap_or(i64::MAX));
                topic_records::read(&mut connection, self.schema(), topic, tp, offsets, max, bytes).await
            }
        })
        .await
    }
}
