//! The suite that every store passes, with its own database for each case.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use messagekit::log::Log;
use messagekit::{Message, MessageId, headers};
use messagekit_postgres::SchemaName;
use messagekit_postgres::publishing_mode::{Existing, to_relay};
use messagekit_postgres::{PgTx, PostgresStore};
use messagekit_testkit::log::LogFixture;
use messagekit_testkit::relay::RelayFixture;
use messagekit_testkit::store::{Audited, FailedMessagesFixture, OperatorsFixture, StoreFixture};
use messagekit_testkit::{DEADLINE, unique};
use messagekit_tests::Database;
use messagekit_topic_store::{TopicDefinition, TopicDefinitions};
use sqlx::Row;

#[derive(Clone)]
struct Rows {
    database: Database,
    store: PostgresStore,
}

impl Rows {
    async fn new() -> Self {
        Self::of(Database::fresh().await).await
    }

    async fn of(database: Database) -> Self {
        let store = database.store().await;
        sqlx::raw_sql("CREATE TABLE effects (key text NOT NULL)")
            .execute(store.pool())
            .await
            .expect("makes a table");
        Self { database, store }
    }
}

impl StoreFixture for Rows {
    type Store = PostgresStore;

    fn store(&self) -> PostgresStore {
        self.store.clone()
    }

    async fn second(&self) -> Option<PostgresStore> {
        Some(self.database.store().await)
    }

    fn has_second(&self) -> bool {
        true
    }

    async fn effect(&self, tx: &mut PgTx, key: &str) {
        sqlx::query("INSERT INTO effects VALUES ($1)").bind(key).execute(&mut **tx).await.expect("inserts");
    }

    async fn effects(&self, key: &str) -> u64 {
        let count = sqlx::query_scalar("SELECT count(*) FROM effects WHERE key = $1").bind(key);
        count.fetch_one(self.store.pool()).await.map(i64::unsigned_abs).expect("counts")
    }

    fn can_swallow_errors(&self) -> bool {
        true
    }

    async fn swallow_error(&self, tx: &mut PgTx) {
        let refused = sqlx::query("SELECT 1 / 0").execute(&mut **tx).await;
        assert!(refused.is_err(), "nothing can be divided by 0");
    }

    fn can_refuse_begin(&self) -> bool {
        true
    }

    /// Takes every connection that the pool may open, for a shorter time than the limit of a case and for twice as long as
    /// `begin` waits.
    async fn refuse_begin(&self) {
        let pool = self.store.pool();
        let mut taken = Vec::new();
        for _ in 0..pool.options().get_max_connections() {
            taken.push(pool.acquire().await.expect("a connection is free"));
        }
        let limit = pool.options().get_acquire_timeout();
        tokio::spawn(async move {
            tokio::time::sleep(2 * limit).await;
            drop(taken);
        });
    }
}

impl FailedMessagesFixture for Rows {
    async fn audit(&self) -> Vec<Audited> {
        let select = "SELECT operator, through, request_id, act, failed_messages, subject, done FROM messagekit.admin_audit ORDER BY id";
        let rows = sqlx::query(select).fetch_all(self.store.pool()).await.expect("reads");
        let audited = |row: &sqlx::postgres::PgRow| {
            let subject: Option<String> = row.get(5);
            Audited {
                by: row.get(0),
                through: row.get(1),
                request_id: row.get(2),
                action: row.get(3),
                // The subject of a replay is its number.
                ids: row.get::<Option<Vec<i64>>, _>(4).unwrap_or_else(|| {
                    subject.iter().map(|subject| subject.parse().expect("a number")).collect()
                }),
                done: row.get::<i64, _>(6).unsigned_abs(),
            }
        };
        rows.iter().map(audited).collect()
    }

    async fn forget_marker(&self, consumer: &str, id: &MessageId) {
        let delete = "DELETE FROM messagekit.processed_messages WHERE consumer = $1 AND message_id = $2";
        let delete = sqlx::query(delete).bind(consumer).bind(id.as_str());
        delete.execute(self.store.pool()).await.expect("deletes");
    }
}

impl OperatorsFixture for Rows {
    /// Returns them as the connector reads them: each column becomes the header with its name, and null is no header.
    async fn events(&self, topic: &str) -> Vec<Message> {
        let select = "SELECT payload, aggregate_id, event_id, event_type, content_type, traceparent,
            headers::text, (extract(epoch FROM created_at) * 1000000)::bigint
            FROM messagekit.outbox_events WHERE topic = $1 ORDER BY seq";
        let rows = sqlx::query(select).bind(topic).fetch_all(self.store.pool()).await.expect("reads");
        let topic: Arc<str> = Arc::from(topic);
        let message = |row: &sqlx::postgres::PgRow| {
            let mut message = Message::new(Arc::clone(&topic), row.get::<Vec<u8>, _>(0));
            message.key = row.get::<Option<String>, _>(1).map(Into::into);
            let names = [
                headers::ID,
                headers::EVENT_TYPE,
                headers::CONTENT_TYPE,
                headers::TRACEPARENT,
                headers::FREE_HEADERS,
            ];
            for (column, name) in (2..).zip(names) {
                if let Some(value) = row.get::<Option<String>, _>(column) {
                    message.headers.set(name, value);
                }
            }
            let created = Timestamp::from_microsecond(row.get(7)).expect("a time");
            message.with_header(headers::CREATED_AT, created.to_string())
        };
        rows.iter().map(message).collect()
    }

    async fn failures(&self) -> Vec<(String, String, String)> {
        let select = "SELECT event_id, consumer, reason FROM messagekit.outbox_failures ORDER BY at";
        sqlx::query_as(select).fetch_all(self.store.pool()).await.expect("reads")
    }

    async fn age(&self, consumer: &str, topic: &str, by: Duration) {
        let markers = "UPDATE messagekit.processed_messages SET processed_at = processed_at - $2 * interval '1 second' WHERE consumer = $1";
        let events = "UPDATE messagekit.outbox_events SET created_at = created_at - $2 * interval '1 second' WHERE topic = $1";
        for (older, of) in [(markers, consumer), (events, topic)] {
            let older = sqlx::query(older).bind(of).bind(by.as_secs_f64());
            older.execute(self.store.pool()).await.expect("updates");
        }
    }
}

impl LogFixture for Rows {
    fn log(&self) -> Arc<dyn Log> {
        Arc::new(self.store.clone())
    }

    async fn topic(&self) -> Arc<str> {
        let name: Arc<str> = Arc::from(unique("topic"));
        let topic = TopicDefinition {
            id: 0,
            name: name.clone(),
            schema: None,
            shape: None,
            dedup: Vec::new(),
            key: None,
            partitions: 1,
            version: 0,
            retention: None,
            is_published: false,
        };
        assert_eq!(self.store.define_topic(&topic).await.expect("makes a topic"), None);
        name
    }

    async fn another_process(&self) -> PostgresStore {
        self.database.store().await
    }

    async fn delete_before(&self, topic: &str, offset: i64) {
        // What waits has its offset then.
        Log::bounds(&self.store, topic).await.expect("the topic is there");
        let delete = "WITH shorter AS (
              UPDATE messagekit.topic_partitions p SET log_start = $2 FROM messagekit.topics t
              WHERE t.name = $1 AND p.topic_id = t.id RETURNING p.id)
            DELETE FROM messagekit.topic_records r USING shorter WHERE r.tp_id = shorter.id AND r.\"offset\" < $2";
        let delete = sqlx::query(delete).bind(topic).bind(offset);
        delete.execute(self.store.pool()).await.expect("deletes");
    }
}

messagekit_testkit::store_cases!(Rows::new().await);

mod log {
    messagekit_testkit::log_cases!(super::Rows::new().await);
}

/// A database whose outbox is published by a relay.
#[derive(Clone)]
struct Relayed {
    database: Database,
    store: PostgresStore,
}

impl Relayed {
    async fn new() -> Self {
        Self::of(Database::fresh().await).await
    }

    async fn of(database: Database) -> Self {
        to_relay(database.url(), &SchemaName::default(), Existing::Refuse, DEADLINE).await.expect("switches");
        let store = database.store().await;
        Self { database, store }
    }
}

impl RelayFixture for Relayed {
    type Store = PostgresStore;

    fn store(&self) -> PostgresStore {
        self.store.clone()
    }

    async fn second(&self) -> PostgresStore {
        self.database.store().await
    }
}

mod relay {
    messagekit_testkit::relay_cases!(super::Relayed::new().await);
}

/// The suites over tables that are partitioned by day: markers, events and their links.
mod divided {
    use messagekit_testkit::{block_on, log, store};
    use messagekit_tests::{Database, is_full};

    use super::Rows;

    messagekit_testkit::store_cases!([markers, operators] Rows::of(Database::divided().await).await);

    /// The cases that join tables which are never partitioned with markers and events. The gate runs these, and
    /// `MESSAGEKIT_FULL=1` runs every case.
    const JOINED: [&str; 5] = [
        "leased_failed_message_is_whole",
        "failed_message_keeps_the_rules_through_random_lives",
        "keys_keep_their_order_through_random_lives",
        "positions_share_the_commit",
        "requested_retry_is_settled_as_a_record",
    ];

    #[test]
    fn undivided_tables_keep_their_promises_beside_divided_ones() {
        let parts = [
            store::list::positions::<Rows>(),
            store::list::failed_messages::<Rows>(),
            store::list::retries::<Rows>(),
            store::list::attempts::<Rows>(),
            store::list::primings::<Rows>(),
        ];
        let store_cases = parts.into_iter().flatten().map(|case| (case.name, true));
        let log_cases = log::all::<Rows>().into_iter().map(|case| (case.name, false));
        let is_run = |(name, _): &(&str, bool)| is_full() || JOINED.contains(name);
        let cases: Vec<_> = store_cases.chain(log_cases).filter(is_run).collect();
        assert!(cases.len() >= JOINED.len(), "{cases:?}");
        block_on(async {
            for (name, is_of_store) in cases {
                println!("{name}");
                let rows = Rows::of(Database::divided().await).await;
                if is_of_store { store::run(rows, name).await } else { log::run(rows, name).await }
            }
        });
    }

    mod relay {
        use messagekit_tests::Database;

        messagekit_testkit::relay_cases!(super::super::Relayed::of(Database::divided().await).await);
    }
}
