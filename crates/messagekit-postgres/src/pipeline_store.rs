//! Pipelines over the typed topics of this database.

use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::{BoxFuture, RetryLease};
use messagekit::fnv::fnv1a;
use messagekit::operations::EventHistory;
use messagekit::{Error, MessageId, Store};
use messagekit_topic_store::{NameHolder, PipelineStore};
use sqlx::PgConnection;

use crate::error::from_sqlx;
use crate::tables::{handled_records, topics};
use crate::{PgTx, PostgresStore, connect};

/// How often a name is tried that another one holds.
const STANDBY: Duration = Duration::from_millis(50);

const LOCK: &str = "SELECT pg_try_advisory_lock($1)";

/// The session that holds a name, by the halves of the key. The server shows the program of another role's session only to roles that may
/// read all statistics.
const HOLDER: &str = "
SELECT concat_ws(' ', 'session', l.pid, 'of', nullif(a.application_name, ''), nullif(host(a.client_addr), ''))
FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
  AND l.classid::bigint = ($1 >> 32) & 4294967295 AND l.objid::bigint = $1 & 4294967295 LIMIT 1";

/// The last id that was drawn. One that is not committed yet is no harm: a pipeline that stops there only stops later.
const LAST_ID: &str =
    "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM messagekit.topic_record_ids";

/// A session of its own, whose lock the server releases when the process ends.
struct Session(#[expect(dead_code, reason = "it is held")] PgConnection);

impl NameHolder for Session {}

impl PipelineStore for PostgresStore {
    fn work_alone<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Box<dyn NameHolder>, Error>> {
        let key = self.lock_key(name);
        Box::pin(async move {
            let mut session = connect::live(self.pool()).await?.detach();
            loop {
                if self.locks(&mut session, key).await? {
                    return Ok(Box::new(Session(session)) as Box<dyn NameHolder>);
                }
                tokio::time::sleep(STANDBY).await;
                if self.pool().is_closed() {
                    return Err(Error::new(messagekit::ErrorKind::Closed, "store is closed"));
                }
            }
        })
    }

    fn worker_of<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<String>> {
        let key = self.lock_key(name);
        Box::pin(async move {
            let found = self.read(|mut connection| async move {
                let holder = sqlx::query_scalar(HOLDER).bind(key);
                holder.fetch_optional(&mut *connection).await.map_err(from_sqlx)
            });
            found.await.ok().flatten()
        })
    }

    /// Events that wait for their offset are records of a run that begins now.
    async fn last_record(&self) -> Result<i64, Error> {
        let all =
            self.read(|mut connection| async move { topics::all(&mut connection, self.schema()).await });
        for topic in all.await?.into_iter().filter(|topic| topic.has_waiting) {
            self.sequenced(&topic.definition.name).await?;
        }
        self.read(|mut connection| async move {
            sqlx::query_scalar(self.schema().sql(LAST_ID))
                .fetch_one(&mut *connection)
                .await
                .map_err(from_sqlx)
        })
        .await
    }

    async fn handle_new(
        &self,
        tx: &mut PgTx,
        consumer: &str,
        topic: &Arc<str>,
        ids: &[i64],
    ) -> Result<Vec<bool>, Error> {
        self.statement(async {
            let topic = topics::kept(tx, self.schema(), topic).await?;
            handled_records::handle_new(tx, self.schema(), consumer, &topic, ids).await
        })
        .await
    }

    async fn lease_record(
        &self,
        consumer: &str,
        topic: &Arc<str>,
        id: i64,
    ) -> Result<Option<RetryLease>, Error> {
        let mut tx = self.begin().await?;
        let leased = self.statement(async {
            let topic = topics::kept(&mut tx, self.schema(), topic).await?;
            handled_records::lease(&mut tx, self.schema(), consumer, &topic, id).await
        });
        let leased = leased.await?;
        self.commit(tx).await?;
        Ok(leased)
    }

    async fn correlations(&self, ids: &[MessageId]) -> Result<Vec<(MessageId, MessageId)>, Error> {
        let limit = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        let found = self.linked_events(ids, &[], limit).await?.into_iter();
        Ok(found.filter_map(|event| Some((event.event_id, event.links.correlation_id?))).collect())
    }

    fn address(&self) -> String {
        let options = self.pool().connect_options();
        let (host, port) = (options.get_host(), options.get_port());
        let database = options.get_database().unwrap_or_else(|| options.get_username());
        format!("{host}:{port}/{database}/{}", self.schema())
    }
}

impl PostgresStore {
    /// Takes a name, or returns `None` while another one works under it.
    pub(crate) async fn try_alone(&self, name: &str) -> Result<Option<Box<dyn NameHolder>>, Error> {
        let mut session = connect::live(self.pool()).await?.detach();
        let is_free = self.locks(&mut session, self.lock_key(name)).await?;
        Ok(is_free.then(|| Box::new(Session(session)) as Box<dyn NameHolder>))
    }

    fn lock_key(&self, name: &str) -> i64 {
        let key = format!("{}/{name}", self.schema());
        fnv1a(key.bytes()).cast_signed()
    }

    async fn locks(&self, session: &mut PgConnection, key: i64) -> Result<bool, Error> {
        let lock = sqlx::query_scalar(LOCK).bind(key).fetch_one(session);
        self.statement(async { lock.await.map_err(from_sqlx) }).await
    }
}
