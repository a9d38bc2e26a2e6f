//! Upgrades files of every released schema with this program.

use std::collections::BTreeMap;
use std::path::PathBuf;

use messagekit_sqlite::migrations::{self, MIGRATIONS};
use messagekit_sqlite::rusqlite::Connection;
use messagekit_sqlite::{SqliteOptions, SqliteStore};
use messagekit_testkit::upgraded;
use tempfile::TempDir;

/// A dump of each released schema with its version. Never edit one: a new schema adds its own. Made by `.dump` of the
/// shell, with rows in each new table.
const DUMPS: &[(u32, &str)] = &[
    (1, include_str!("upgrades/0001.sql")),
    (2, include_str!("upgrades/0002.sql")),
    (3, include_str!("upgrades/0003.sql")),
    (4, include_str!("upgrades/0004.sql")),
    (5, include_str!("upgrades/0005.sql")),
    (6, include_str!("upgrades/0006.sql")),
    (7, include_str!("upgrades/0007.sql")),
    (8, include_str!("upgrades/0008.sql")),
    (9, include_str!("upgrades/0009.sql")),
    (10, include_str!("upgrades/0010.sql")),
    (11, include_str!("upgrades/0011.sql")),
];

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
        let options = SqliteOptions::default().relayed_topics(["orders.order"]);
        let store = options.open(&restored.path).await.unwrap();
        upgraded::outbox_goes_on(&store, &[("e-1", 1), ("e-2", 0), ("e-3", 0)]).await;
    }
}

#[tokio::test]
async fn inbox_of_every_released_schema_goes_on() {
    for (_, dump) in DUMPS {
        let restored = Restored::of(dump);
        upgraded::inbox_goes_on(&restored.open().await, "payments.payment").await;
    }
}

#[tokio::test]
async fn failed_messages_of_every_released_schema_go_on() {
    for (_, dump) in DUMPS {
        let restored = Restored::of(dump);
        upgraded::failed_messages_go_on(&restored.open().await).await;
    }
}
