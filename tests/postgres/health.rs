//! Health of the outbox as far as the database knows it, with a slot that the test reads itself.

use std::time::{Duration, Instant};

use messagekit::ErrorKind;
use messagekit::operations::{EventFilter, Operator, OutboxHealth, ReplayIds, ReplayOrder, Replays};
use messagekit_postgres::cdc::Capture;
use messagekit_postgres::{PostgresStore, SchemaName, migrations};
use messagekit_testkit::block_on;
use messagekit_tests::{Database, Port};
use sqlx::{AssertSqlSafe, PgPool};

use crate::shop::run;
use crate::whole_lag::whole_lag;
use messagekit_tests::Server;

/// A server whose log no other test writes, with a publication and a slot.
pub(crate) struct Captured {
    server: Server,
    pub(crate) store: PostgresStore,
    slot: String,
}

impl Captured {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts the server with more settings.
    pub(crate) async fn start_with(more: &[&str]) -> Self {
        let settings = ["wal_level=logical", "autovacuum=off", "max_prepared_transactions=2"];
        let server = Server::start(&[&settings, more].concat()).await;
        let url = server.url("shop");
        migrations::migrate(&url).await.unwrap();
        let store = PostgresStore::connect(&url).await.unwrap();
        let slot = Capture::of(&url, &SchemaName::default()).unwrap().slot;
        run(
            store.pool(),
            "CREATE PUBLICATION messagekit_outbox FOR TABLE messagekit.outbox_events
             WITH (publish = 'insert', publish_via_partition_root = true)",
        )
        .await;
        let captured = Self { server, store, slot };
        captured.make_slot().await;
        captured
    }

    pub(crate) fn url(&self) -> String {
        self.server.url("shop")
    }

    /// Records a checkpoint as the periodic job does, and sets its age.
    pub(crate) async fn checkpoint(&self, age: &str) {
        self.store.checkpoint(Duration::ZERO).await.unwrap();
        let newest = format!(
            "UPDATE messagekit.outbox_checkpoints SET at = at - interval '{age}'
             WHERE at = (SELECT max(at) FROM messagekit.outbox_checkpoints)"
        );
        sqlx::raw_sql(AssertSqlSafe(newest)).execute(self.store.pool()).await.unwrap();
    }

    async fn make_slot(&self) {
        let make = "SELECT pg_create_logical_replication_slot($1, 'pgoutput')";
        sqlx::query(make).bind(&self.slot).execute(self.store.pool()).await.unwrap();
    }

    /// Confirms everything up to a position, like a connector that has sent it.
    pub(crate) async fn confirm(&self, position: &str) {
        let advance = "SELECT pg_replication_slot_advance($1, $2::pg_lsn)";
        sqlx::query(advance).bind(&self.slot).bind(position).execute(self.store.pool()).await.unwrap();
    }

    pub(crate) async fn position(&self) -> String {
        let here = "SELECT pg_current_wal_insert_lsn()::text";
        sqlx::query_scalar(here).fetch_one(self.store.pool()).await.unwrap()
    }

    /// Writes two minutes of events at a steady rate, with a checkpoint each ten seconds, which ended at the time of this call.
    /// Returns the position of the log at each second.
    async fn two_minutes(&self) -> Vec<String> {
        let mut positions = Vec::new();
        // However long the writes take, the times have the same distance.
        let end: String =
            sqlx::query_scalar("SELECT clock_timestamp()::text").fetch_one(self.store.pool()).await.unwrap();
        for second in 0..120 {
            if second % 10 == 0 {
                let note = "INSERT INTO messagekit.outbox_checkpoints
                    VALUES ($2::timestamptz - (120 - $1) * interval '1 s', pg_current_wal_insert_lsn())";
                sqlx::query(note).bind(second).bind(&end).execute(self.store.pool()).await.unwrap();
            }
            positions.push(self.position().await);
            let insert = "INSERT INTO messagekit.outbox_events (event_id, topic, payload, created_at)
                SELECT 'e-' || $1 || '-' || n, 'orders.order', '\\x00', $2::timestamptz - (120 - $1 - n / 20.0) * interval '1 s'
                FROM generate_series(0, 19) n";
            sqlx::query(insert).bind(second).bind(&end).execute(self.store.pool()).await.unwrap();
        }
        positions
    }

    /// Returns the bytes of the log behind the slot's position. They grow while other tests write.
    async fn unconfirmed_bytes(&self) -> u64 {
        let sql = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), confirmed_flush_lsn)::bigint
            FROM pg_replication_slots WHERE database = current_database()";
        let bytes: i64 = sqlx::query_scalar(sql).fetch_one(self.store.pool()).await.unwrap();
        bytes.unsigned_abs()
    }
}

/// Returns whether a value is within a tenth of the true one, which grew meanwhile.
fn near(value: u64, truth: std::ops::RangeInclusive<u64>) -> bool {
    (truth.start() * 9..=truth.end() * 11).contains(&(value * 10))
}

#[test]
fn what_is_pending_is_counted_to_a_tenth_at_a_steady_rate() {
    block_on(async {
        let captured = Captured::start().await;
        let ended = Instant::now();
        let positions = captured.two_minutes().await;
        // The connector was stopped for this many seconds, at a checkpoint or between two of them.
        for stood in [90, 75, 60, 57] {
            captured.confirm(&positions[120 - stood]).await;
            let (stood, before) = (stood as u64, ended.elapsed().as_secs());
            let least = captured.unconfirmed_bytes().await;
            let lag = whole_lag(&captured.store).await;
            assert!(
                (least..=captured.unconfirmed_bytes().await).contains(&lag.slot_bytes.unwrap()),
                "{lag:?}"
            );
            let after = ended.elapsed().as_secs() + 1;
            assert!(near(lag.pending, 20 * stood..=20 * stood), "{stood} s: {lag:?}");
            // An event younger than ten seconds is not overdue, and with time each event gets older.
            let overdue = |since: u64| 20 * stood.min(stood + since - 10);
            assert!(near(lag.overdue, overdue(before)..=overdue(after)), "{stood} s: {lag:?}");
            let oldest = lag.oldest.unwrap().as_secs();
            assert!(near(oldest, stood + before..=stood + after), "{stood} s: {lag:?}");
            assert_eq!(lag.problems.len(), 1, "{lag:?}");
            assert!(lag.problems[0].contains("nobody reads the slot"), "{lag:?}");
        }
        captured.confirm(&captured.position().await).await;
        let lag = whole_lag(&captured.store).await;
        assert_eq!((lag.pending, lag.overdue, lag.oldest), (0, 0, None), "everything has left");
        assert_eq!(lag.problems, Vec::<String>::new(), "a connector that restarts is no problem yet");
    });
}

/// Their rows contain the time of the originals.
#[test]
fn copies_that_have_not_left_are_pending_like_originals() {
    block_on(async {
        let captured = Captured::start().await;
        captured.two_minutes().await;
        let store = &captured.store;
        store.checkpoint(Duration::ZERO).await.unwrap();
        captured.confirm(&captured.position().await).await;
        let order = ReplayOrder {
            filter: EventFilter::default(),
            ids: ReplayIds::Same,
            per_second: None,
            count: None,
        };
        store.order_replay(&order, &Operator::new("ann", "cli")).await.unwrap();
        let (lease, _) = store.lease_replay(Duration::from_secs(600)).await.unwrap().unwrap();
        let never = |_: &_| panic!("events keep their ids");
        store.replay_step(lease, 150, Duration::from_secs(600), &never).await.unwrap();
        let lag = whole_lag(store).await;
        assert_eq!((lag.pending, lag.overdue), (150, 0), "{lag:?}");

        // They are published, and their times are removed with the checkpoints of that week.
        captured.confirm(&captured.position().await).await;
        assert_eq!(whole_lag(store).await.pending, 0);
        run(store.pool(), "UPDATE messagekit.outbox_copies SET at = at - interval '8 days'").await;
        store.checkpoint(Duration::ZERO).await.unwrap();
        let left = "SELECT count(*) FROM messagekit.outbox_copies";
        let left: i64 = sqlx::query_scalar(left).fetch_one(store.pool()).await.unwrap();
        assert_eq!(left, 0);
    });
}

#[test]
fn slot_that_is_gone_is_a_problem_and_everything_is_pending() {
    block_on(async {
        let captured = Captured::start().await;
        captured.two_minutes().await;
        let drop = "SELECT pg_drop_replication_slot($1)";
        sqlx::query(drop).bind(&captured.slot).execute(captured.store.pool()).await.unwrap();
        let lag = whole_lag(&captured.store).await;
        assert_eq!(lag.pending, 2_400);
        assert!(lag.problems.iter().any(|problem| problem.contains("is missing")), "{lag:?}");

        // A new slot begins after everything that it has missed, so the publication is needed.
        captured.make_slot().await;
        let lag = whole_lag(&captured.store).await;
        assert!(lag.pending <= 20, "{lag:?}");
    });
}

#[test]
fn slot_before_the_first_checkpoint_counts_all_and_reports_it() {
    block_on(async {
        let captured = Captured::start().await;
        captured.two_minutes().await;
        run(captured.store.pool(), "DELETE FROM messagekit.outbox_checkpoints").await;
        captured.store.checkpoint(Duration::ZERO).await.unwrap();
        let lag = whole_lag(&captured.store).await;
        assert_eq!(lag.pending, 2_400);
        assert!(
            lag.problems.iter().any(|problem| problem.contains("before the first checkpoint")),
            "{lag:?}"
        );
    });
}

#[test]
fn database_that_nothing_captures_says_so_once_it_has_events() {
    block_on(async {
        let database = Database::fresh().await;
        let store = database.store().await;
        let lag = whole_lag(&store).await;
        assert_eq!((lag.pending, lag.oldest, lag.problems.len()), (0, None, 0), "it only consumes");
        run(
            store.pool(),
            "INSERT INTO messagekit.outbox_events (event_id, topic, payload) VALUES ('e', 'a.b', '')",
        )
        .await;
        let lag = whole_lag(&store).await;
        assert_eq!((lag.pending, lag.problems.len()), (1, 1), "{lag:?}");
        assert!(lag.problems[0].contains("nothing captures this outbox"), "{lag:?}");
    });
}

#[test]
fn many_who_note_a_checkpoint_write_one_and_forget_the_oldest() {
    block_on(async {
        let database = Database::fresh().await;
        let store = database.store().await;
        run(
            store.pool(),
            "INSERT INTO messagekit.outbox_checkpoints VALUES (now() - interval '8 days', '0/1'), (now() - interval '6 days', '0/2')",
        )
        .await;
        let callers: Vec<_> = (0..8)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move { store.checkpoint(Duration::from_secs(600)).await })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap().unwrap();
        }
        let count = async || {
            let count = "SELECT count(*) FROM messagekit.outbox_checkpoints";
            sqlx::query_scalar::<_, i64>(count).fetch_one(store.pool()).await.unwrap()
        };
        assert_eq!(count().await, 2, "one was written, and one was too old");
        store.checkpoint(Duration::ZERO).await.unwrap();
        assert_eq!(count().await, 3);
    });
}

#[test]
fn ping_misses_the_tables() {
    block_on(async {
        let empty = Database::empty().await;
        let store = PostgresStore::lazy(empty.url()).unwrap();
        assert_eq!(store.ping().await.unwrap_err().kind(), ErrorKind::Schema);
        migrations::migrate(empty.url()).await.unwrap();
        store.ping().await.unwrap();
        forget_the_newest_step(store.pool()).await;
        assert_eq!(store.ping().await.unwrap_err().kind(), ErrorKind::Schema);
    });
}

async fn forget_the_newest_step(pool: &PgPool) {
    let newest = migrations::MIGRATIONS.last().unwrap().version;
    let delete = format!("DELETE FROM messagekit.schema_migrations WHERE version = {newest}");
    sqlx::raw_sql(AssertSqlSafe(delete)).execute(pool).await.unwrap();
}

#[test]
fn lazy_store_of_a_down_database_reports_it_at_first_use() {
    block_on(async {
        let port = Port::free();
        let store = PostgresStore::lazy(&format!("postgres://shop:secret@{}/shop", port.address())).unwrap();
        let refused = store.ping().await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unavailable);
        assert!(!format!("{refused:?}").contains("secret"));
        let refused = PostgresStore::lazy("mysql://shop:secret@127.0.0.1/shop").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidConfiguration);
    });
}
