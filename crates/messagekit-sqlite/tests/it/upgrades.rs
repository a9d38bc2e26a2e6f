//! Files of other versions: an earlier one is refused, and rows outlive a later step.

use std::collections::BTreeMap;
use std::path::PathBuf;

use messagekit::ErrorKind;
use messagekit::operations::Doctor;
use messagekit_sqlite::migrations::{self, MIGRATIONS};
use messagekit_sqlite::rusqlite::Connection;
use messagekit_sqlite::{FileDoctor, SqliteOptions, SqliteStore};
use messagekit_testkit::upgraded;
use tempfile::TempDir;

/// A file with rows in every table.
struct File {
    _folder: TempDir,
    path: PathBuf,
}

impl File {
    fn filled() -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("shop.db");
        migrations::migrate(&path).unwrap();
        let file = Self { _folder: folder, path };
        file.change(include_str!("upgrades/rows.sql"));
        file
    }

    /// With the step of a later program, which this one can live with.
    fn migrated() -> Self {
        let file = Self::filled();
        let version = MIGRATIONS.last().unwrap().version;
        file.change(&format!(
            "ALTER TABLE messagekit_failed_messages ADD COLUMN tenant TEXT;
             ALTER TABLE messagekit_topic_records ADD COLUMN tenant TEXT;
             CREATE TABLE messagekit_tenants (name TEXT PRIMARY KEY) STRICT;
             INSERT INTO messagekit_schema (version, name, applied_at, lowest_program) VALUES ({}, 'tenants', 0, {version})",
            version + 1
        ));
        file
    }

    fn change(&self, sql: &str) {
        let conn = Connection::open(&self.path).unwrap();
        conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        conn.execute_batch(sql).unwrap();
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

#[tokio::test]
async fn a_file_from_before_the_first_step_is_never_used() {
    let file = File::filled();
    file.change(include_str!("upgrades/0011.sql"));
    let before = file.rows();
    for error in [
        SqliteStore::open(&file.path).await.map(drop).expect_err("no step begins there"),
        migrations::status(&file.path).map(drop).expect_err("it is not usable"),
        migrations::pending_sql(&file.path).map(drop).expect_err("there is none"),
        migrations::migrate(&file.path).map(drop).expect_err("no step begins there"),
    ] {
        assert_eq!(error.kind(), ErrorKind::Schema);
        assert!(error.to_string().contains("cannot be upgraded: use a new file"), "{error}");
    }
    let diagnosis = FileDoctor::new(&file.path).diagnose().await;
    let found = diagnosis.findings.iter().find(|found| found.check.name == "schema-pending").unwrap();
    assert_eq!(found.repair[0].kind(), "manual", "{found:?}");
    assert_eq!(file.rows(), before);
}

#[tokio::test]
async fn this_program_continues_on_the_tables_of_a_later_one() {
    let before = File::filled().rows();
    let always_empty = ["messagekit_actor", "messagekit_foreign_key_probe"];
    for (table, count) in &before {
        assert!(*count > 0 || always_empty.contains(&&**table), "upgrades/rows.sql has no row of {table}");
    }
    let file = File::migrated();
    assert!(before.iter().all(|(table, count)| file.rows().get(table) == Some(count)));
    let options = SqliteOptions::default().relayed_topics(["orders.order"]);
    let store = options.open(&file.path).await.unwrap();
    upgraded::outbox_goes_on(&store, &[("e-1", 1), ("e-2", 0), ("e-3", 0)]).await;
    upgraded::inbox_goes_on(&File::migrated().open().await, "payments.payment").await;
    upgraded::failed_messages_go_on(&File::migrated().open().await).await;
}
