//! An outbox in relay mode, and helpers for it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use messagekit::adapter::{BoxFuture, Published, Publisher};
use messagekit::relay::{Leases, OutboxReader, Page, Pending, PendingId, Relay, ShardRead};
use messagekit::{Error, Message, Outbox, headers};
use messagekit_postgres::publishing_mode::{Existing, to_relay};
use messagekit_postgres::{PostgresStore, SchemaName};
use messagekit_testkit::DEADLINE;
use messagekit_tests::Database;
use sqlx::{AssertSqlSafe, PgPool};

/// Longer than any test.
pub(crate) const LEASE: Duration = Duration::from_secs(600);

pub(crate) struct Relayed {
    pub(crate) database: Database,
    pub(crate) store: PostgresStore,
    pub(crate) outbox: Outbox<PostgresStore>,
}

impl Relayed {
    pub(crate) async fn fresh() -> Self {
        let database = Database::fresh().await;
        to_relay(database.url(), &SchemaName::default(), Existing::Refuse, DEADLINE).await.expect("switches");
        let store = database.store().await;
        let outbox = Outbox::new(store.clone(), "shop").unwrap();
        Self { database, store, outbox }
    }

    /// Writes an event of the topic `orders.order` with plain SQL.
    pub(crate) async fn write(&self, id: &str, key: Option<&str>) {
        self.write_to("orders.order", id, key).await;
    }

    pub(crate) async fn write_to(&self, topic: &str, id: &str, key: Option<&str>) {
        write_to(self.store.pool(), topic, id, key).await;
    }

    pub(crate) async fn lease(&self, name: &str) -> Leases {
        self.store.lease(name, LEASE).await.expect("leases")
    }

    /// Reads every event that is ready as the relay `name`, with its leases.
    pub(crate) async fn read(&self, name: &str, leases: &Leases) -> Page {
        self.read_but(name, leases, &[], &[], 1_000).await
    }

    pub(crate) async fn read_but(
        &self,
        name: &str,
        leases: &Leases,
        except: &[i64],
        paused: &[Arc<str>],
        limit: u32,
    ) -> Page {
        let wanted: Vec<ShardRead> =
            leases.held.iter().map(|lease| ShardRead { lease: *lease, above: i64::MIN }).collect();
        self.store.pending(name, &wanted, except, paused, limit).await.expect("reads")
    }

    pub(crate) async fn count(&self, sql: &str) -> i64 {
        let count = AssertSqlSafe(sql.to_owned());
        sqlx::query_scalar(count).fetch_one(self.store.pool()).await.expect("counts")
    }

    pub(crate) async fn pending(&self) -> i64 {
        self.count("SELECT count(*) FROM messagekit.outbox_pending").await
    }
}

pub(crate) async fn write_to(pool: &PgPool, topic: &str, id: &str, key: Option<&str>) {
    let insert = "INSERT INTO messagekit.outbox_events (event_id, topic, aggregate_id, payload) VALUES ($1, $2, $3, '{}')";
    let insert = sqlx::query(insert).bind(id).bind(topic).bind(key);
    insert.execute(pool).await.expect("inserts");
}

pub(crate) fn id(row: &Pending) -> &str {
    row.message.headers.text(headers::ID).expect("each event has an id")
}

pub(crate) fn ids(page: &Page) -> Vec<&str> {
    page.rows.iter().map(id).collect()
}

/// Returns their positions, in the order of the outbox.
pub(crate) fn in_order(page: &Page) -> Vec<&str> {
    let mut rows: Vec<&Pending> = page.rows.iter().collect();
    rows.sort_by_key(|row| row.seq);
    rows.into_iter().map(id).collect()
}

pub(crate) fn entries(page: &Page) -> Vec<PendingId> {
    page.rows.iter().map(Pending::entry).collect()
}

/// A broker that accepts everything and keeps the order.
#[derive(Default)]
pub(crate) struct Log(Mutex<Vec<Message>>);

impl Log {
    pub(crate) fn ids(&self) -> Vec<String> {
        let log = self.0.lock().unwrap();
        log.iter().map(|message| message.headers.text(headers::ID).unwrap().to_owned()).collect()
    }
}

impl Publisher for Log {
    fn publish<'a>(&'a self, batch: &'a [Message]) -> BoxFuture<'a, Vec<Published>> {
        Box::pin(async move {
            self.0.lock().unwrap().extend_from_slice(batch);
            batch.iter().map(|_| Ok(())).collect()
        })
    }

    fn max_bytes(&self) -> usize {
        1_000_000
    }
}

/// Returns a relay that publishes to a log, with a poll interval of 5 ms.
pub(crate) fn relay(store: &PostgresStore, log: &Arc<Log>) -> Result<Relay, Error> {
    let (reader, to): (Arc<dyn OutboxReader>, Arc<dyn Publisher>) =
        (Arc::new(store.clone()), Arc::<Log>::clone(log));
    Relay::builder("shop").reader(reader).to(to).poll(Duration::from_millis(5)).build()
}
