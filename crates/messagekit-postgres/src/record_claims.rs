//! Record claims on topics of this database.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use messagekit::log::Record;
use messagekit::{Error, ErrorKind};
use messagekit_topic_store::{
    ClaimHolder, ClaimPartitions, ClaimTurns, ClaimWindow, DecideWindows, LeaseOf, LeasedMessage,
    RecordClaims, WindowDecision,
};
use sqlx::Postgres;
use sqlx::pool::PoolConnection;

use crate::connect;
use crate::tables::{claim_windows, record_claims, retries, topic_records};
use crate::{PgTx, PostgresStore};

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
        self.statement(record_claims::partitions(tx, self.schema(), consumer, topic)).await
    }

    fn claim_turns(&self) -> Result<Option<&ClaimTurns>, Error> {
        Ok(Some(&self.topics().claim_turns))
    }

    async fn replace_claim_window<'a>(
        &'a self,
        consumer: &'a str,
        topic: &'a Arc<str>,
        decide: DecideWindows<'a>,
    ) -> Result<bool, Error> {
        let (connection, seen) = self.see_windows(consumer, topic).await?;
        let Some(found) = seen else { return Ok(false) };
        let replacement = match decide(found).await? {
            WindowDecision::Keep => return Ok(true),
            WindowDecision::Lock => return Ok(false),
            WindowDecision::Replace(replacement) => replacement,
        };
        let replace = async move {
            // It goes back before what the commit sets off needs one.
            let mut connection = connection;
            claim_windows::replace(&mut connection, self.schema(), consumer, topic, &replacement).await
        };
        match self.committing(replace).await {
            // Where the database isolates transactions more strictly, another one was faster.
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(false),
            replaced => replaced,
        }
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

    async fn lease_failed(
        &self,
        consumer: &str,
        topic: &Arc<str>,
        partition: Option<i32>,
        lease: Duration,
    ) -> Result<Option<LeasedMessage>, Error> {
        self.statement(async {
            let connection = &mut *self.connection().await?;
            retries::lease_of_topic(connection, self.schema(), consumer, (topic, partition), lease).await
        })
        .await
    }

    async fn leased_failed(
        &self,
        tx: &mut PgTx,
        consumer: &str,
        of: &LeaseOf,
    ) -> Result<Option<LeasedMessage>, Error> {
        self.statement(retries::leased(tx, self.schema(), consumer, of)).await
    }

    async fn read_claimed(
        &self,
        topic: &Arc<str>,
        partition: i32,
        offsets: Range<i64>,
        max_bytes: usize,
    ) -> Result<Vec<Record>, Error> {
        let bytes = i64::try_from(max_bytes).unwrap_or(i64::MAX);
        self.read(|mut connection| {
            let offsets = offsets.clone();
            async move {
                let from = (topic, partition);
                topic_records::read_claimed(&mut connection, self.schema(), from, offsets, bytes).await
            }
        })
        .await
    }
}

impl PostgresStore {
    /// Sees the windows of a consumer on a connection that is live.
    async fn see_windows(
        &self,
        consumer: &str,
        topic: &str,
    ) -> Result<(PoolConnection<Postgres>, Option<ClaimPartitions>), Error> {
        let see = |mut connection: PoolConnection<Postgres>| async move {
            let seen = claim_windows::see(&mut connection, self.schema(), consumer, topic).await?;
            Ok((connection, seen))
        };
        self.statement(connect::on_live(self.pool(), see)).await
    }
}
