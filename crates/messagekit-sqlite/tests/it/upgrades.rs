//! Upgrades files of every released schema with this program.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use messagekit::adapter::{Bookkeeping, ClaimRequest, InFlightAttempts, Offsets, Processed, Retries};
use messagekit::operations::{
    Action, ActionResult, EventFilter, FailedMessageFilter, FailedMessages, Operator, Origin, ReplayState,
    Replays, StoredEvent,
};
use messagekit::relay::RejectedEvents;
use messagekit::{Claim, Store};
use messagekit_sqlite::migrations::{self, MIGRATIONS};
use messagekit_sqlite::rusqlite::Connection;
use messagekit_sqlite::{SqliteOptions, SqliteStore};
use tempfile::TempDir;

/// A dump of each released schema with its version. Never edit one: a new schema adds its own. Made by `.dump` of the
/// shell, with rows in each new table.
const DUMPS: &[(u32, &str)] = &[(1, include_str!("upgrades/0001.sql"))];

const LEASE: Duration = Duration::from_secs(60);

/// A file restored from a dump.
struct Restored {
    _folder: TempDir,
    path: PathBuf,
}

impl Restored {
    fn of(dump: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("old.db");
        Connection::open(&path).unwrap().execute_batch(dump).unwrap();
        Self { _folder: folder, path }
    }

    async fn open(&self) -> SqliteStore {
        SqliteStore::open(&self.path).await.unwrap()
    }

    /// Returns every table with its number of rows.
    fn rows(&self) -> BTreeMap<String, i64> {
        let conn = Connection::open(&self.path).unwrap();
        let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'messagekit_*'
            AND name <> 'messagekit_schema'";
        let mut tables = conn.prepare(tables).unwrap();
        let tables = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap);
        let count = |table: &str| {
            conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
        };
        tables.map(|table: String| (table.clone(), count(&table))).collect()
    }
}

/// Returns the definitions of the tables, by name.
fn definitions(conn: &Connection) -> BTreeMap<String, Option<String>> {
    let mut made =
        conn.prepare("SELECT name, sql FROM sqlite_schema WHERE name GLOB 'messagekit_*'").unwrap();
    let made = made.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    made.map(Result::unwrap).collect()
}

#[tokio::test]
async fn newest_schema_is_dumped_and_equals_what_the_migrations_make() {
    let (version, dump) = DUMPS.last().unwrap();
    let newest = MIGRATIONS.last().unwrap().version;
    assert_eq!(*version, newest, "tests/it/upgrades has no dump of the newest schema: add one");
    let restored = Restored::of(dump);
    let folder = TempDir::new().unwrap();
    let made = folder.path().join("new.db");
    migrations::migrate(&made).unwrap();
    let open = |path| Connection::open(path).unwrap();
    assert_eq!(definitions(&open(&restored.path)), definitions(&open(&made)));
    for (table, count) in restored.rows() {
        assert!(count > 0, "the dump has no row of {table}");
    }
}

#[tokio::test]
async fn every_released_schema_is_upgraded_and_keeps_its_rows() {
    for (version, dump) in DUMPS {
        let restored = Restored::of(dump);
        let before = restored.rows();
        assert_eq!(migrations::status(&restored.path).unwrap().current, *version);
        migrations::migrate(&restored.path).unwrap();
        assert!(migrations::status(&restored.path).unwrap().pending.is_empty());
        let after = restored.rows();
        for (table, count) in before {
            assert_eq!(after.get(&table), Some(&count), "{table} of version {version}");
        }
    }
}

#[tokio::test]
async fn outbox_of_every_released_schema_goes_on() {
    for (_, dump) in DUMPS {
        let restored = Restored::of(dump);
        let store =
            SqliteOptions::default().relayed_topics(["orders.order"]).open(&restored.path).await.unwrap();
        let events = store.events(&EventFilter::default(), None, 10).await.unwrap();
        let copies: Vec<_> = events.iter().map(|event| (event.event_id.as_str(), event.copies)).collect();
        assert_eq!(copies, [("e-1", 1), ("e-2", 0), ("e-3", 0)]);
        let rejected = store.rejected(0, 10, false).await.unwrap();
        assert_eq!(rejected[0].error.as_deref(), Some("record too large"));
        let ann = Operator::new("ann", "cli");
        assert_eq!(store.retry_rejected(rejected[0].id, &ann).await.unwrap(), 2, "the whole key");

        let jobs = store.replays(None, 10).await.unwrap();
        assert_eq!((jobs[0].state, jobs[0].events, jobs[0].published), (ReplayState::Running, 2, 1));
        let (lease, _) = store.lease_replay(LEASE).await.unwrap().expect("the job goes on");
        let renamed = |_: &StoredEvent| unreachable!("its events keep their ids");
        let job = store.replay_step(lease, 10, LEASE, &renamed).await.unwrap();
        assert!(job.is_some_and(|job| job.state == ReplayState::Done && job.published == 2));
    }
}

#[tokio::test]
async fn inbox_of_every_released_schema_goes_on() {
    for (_, dump) in DUMPS {
        let restored = Restored::of(dump);
        let store = restored.open().await;
        let ids = ["m-done", "m-dead", "m-discarded", "m-new"];
        let requests = ids.map(|id| ClaimRequest {
            id: id.parse().unwrap(),
            topic: "orders.order".into(),
            key: None,
            generation: 0,
        });
        let mut tx = store.begin().await.unwrap();
        let claims = store.claim(&mut tx, "billing", &requests).await.unwrap();
        assert_eq!(claims, [Claim::Done, Claim::Held, Claim::Discarded, Claim::Fresh]);
        store.rollback(tx).await.unwrap();
        let mut next = store.next_of("billing", "payments.payment").await.unwrap();
        next.sort_by_key(|next| next.key_lane);
        assert_eq!(next.iter().map(|next| next.next).collect::<Vec<_>>(), [12, 9]);
        let poison = "m-poison".parse().unwrap();
        assert_eq!(store.begin_attempt("billing", &poison, "billing-c").await.unwrap(), 2);
    }
}

#[tokio::test]
async fn failed_messages_of_every_released_schema_go_on() {
    for (_, dump) in DUMPS {
        let restored = Restored::of(dump);
        let store = restored.open().await;
        assert_eq!(store.list(&FailedMessageFilter::default(), 10).await.unwrap().len(), 5);
        let dead = store.show(1).await.unwrap();
        assert_eq!(
            (dead.attempts, dead.crash_count, &*dead.received.message.payload),
            (4, 1, &[0xfe, 0][..])
        );
        assert_eq!(dead.received.message.headers.text("id"), Some("m-dead"));
        let leased = store.lease("billing", 10, LEASE).await.unwrap();
        assert_eq!(
            (leased.len(), leased[0].failed_message, leased[0].crash_count, leased[0].token),
            (1, 2, 1, 3)
        );
        assert!(leased[0].parked);
        let back = store.lease_returns(Origin::Queue, 10, LEASE).await.unwrap();
        assert_eq!((back[0].return_to.as_str(), back[0].leased.failed_message), ("printing", 5));
        let acted = store.act(Action::Retry, &[1], &Operator::new("ann", "cli")).await.unwrap();
        assert_eq!(acted, [ActionResult::Done]);
    }
}
