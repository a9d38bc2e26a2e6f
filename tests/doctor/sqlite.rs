//! Files.

use std::fs;
use std::path::{Path, PathBuf};

use messagekit::adapter::OutboxRows;
use messagekit::operations::Doctor;
use messagekit::{Message, Store, headers};
use messagekit_sqlite::rusqlite::{Connection, OptionalExtension};
use messagekit_sqlite::{SqliteStore, Synchronous, migrations};
use messagekit_testkit::block_on;
use messagekit_tests::services;
use tempfile::TempDir;

use crate::relay::{relay_of_step, topic};
use crate::stage::{Stage, nothing};

struct File {
    folder: TempDir,
}

impl File {
    fn new() -> Self {
        let file = Self { folder: TempDir::new().unwrap() };
        migrations::migrate(file.path()).unwrap();
        file
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("my shop.db")
    }

    fn stage(&self) -> Stage {
        let url = format!("sqlite:{}", self.path().display());
        Stage::database(&url)
    }

    fn open(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }
}

#[test]
fn a_missing_file_and_missing_tables_are_made() {
    block_on(async {
        let file = File { folder: TempDir::new().unwrap() };
        file.stage().heals("service-unreachable", nothing).await;
        assert_eq!(file.stage().look().code, 0);
        fs::remove_file(file.path()).unwrap();
        file.open().execute_batch("CREATE TABLE orders (id TEXT)").unwrap();
        file.stage().heals("schema-pending", nothing).await;
    });
}

#[test]
fn a_file_in_another_journal_mode_is_switched_back() {
    block_on(async {
        let file = File::new();
        file.open().execute_batch("PRAGMA journal_mode = DELETE").unwrap();
        file.stage().heals("journal-mode-not-wal", nothing).await;
    });
}

#[test]
fn a_log_that_a_reader_holds_is_cut_after_its_end() {
    block_on(async {
        let file = File::new();
        let reader = file.open();
        reader.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema").unwrap();
        let seen: Option<i64> =
            reader.query_row("SELECT 1 FROM sqlite_schema", [], |row| row.get(0)).optional().unwrap();
        assert!(seen.is_some(), "the snapshot is open");
        let writer = file.open();
        writer.execute_batch("CREATE TABLE noise (bytes BLOB)").unwrap();
        for _ in 0..20 {
            writer.execute_batch("INSERT INTO noise VALUES (zeroblob(8000000))").unwrap();
        }
        let mut reader = Some(reader);
        file.stage().heals("wal-large", async |_| drop(reader.take())).await;
        drop(writer);
    });
}

fn restore(backup: &Path, file: &File) {
    fs::copy(backup, file.path()).unwrap();
}

#[test]
fn a_damaged_file_is_found_until_a_backup_replaces_it() {
    block_on(async {
        let file = File::new();
        let conn = file.open();
        conn.execute_batch("CREATE TABLE orders (id TEXT); PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        for _ in 0..500 {
            conn.execute("INSERT INTO orders VALUES (hex(randomblob(200)))", []).unwrap();
        }
        conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        conn.close().unwrap();
        let backup = file.folder.path().join("backup.db");
        fs::copy(file.path(), &backup).unwrap();
        let mut bytes = fs::read(file.path()).unwrap();
        let end = bytes.len();
        bytes[end - 40_960..end - 4_096].fill(0xa5);
        fs::write(file.path(), &bytes).unwrap();
        file.stage().heals("file-damaged", async |_| restore(&backup, &file)).await;

        fs::write(file.path(), "this is no database, but a text that is long enough").unwrap();
        file.stage().heals("file-damaged", async |_| restore(&backup, &file)).await;
    });
}

#[test]
fn a_relayed_topic_without_a_relay_is_found_until_one_runs() {
    block_on(async {
        let file = File::new();
        let topic = topic(&[]).await;
        let store = SqliteStore::options().relayed_topics([topic.as_str()]).open(file.path()).await.unwrap();
        assert!(!file.stage().look().has("relay-absent"), "nothing is pending");
        let event = Message::new(topic.as_str(), "{}").with_key("k").with_header(headers::ID, "waits");
        let mut tx = store.begin().await.unwrap();
        store.write(&mut tx, &[event]).await.unwrap();
        store.commit(tx).await.unwrap();
        store.close().await.unwrap();
        // For longer than a relay takes to come back.
        file.open()
            .execute_batch("UPDATE messagekit_outbox_pending SET ready_at = ready_at - 31000000")
            .unwrap();
        let mut relay = None;
        file.stage().heals("relay-absent", async |step| relay = Some(relay_of_step(step))).await;
    });
}

/// The cause is a topic that is too small, which its own finding repairs.
#[test]
fn rejected_events_of_a_file_go_out_after_their_repair() {
    block_on(async {
        let (file, topic) = (File::new(), topic(&[("max.message.bytes", "1000")]).await);
        let store = SqliteStore::options().relayed_topics([topic.as_str()]).open(file.path()).await.unwrap();
        let noise: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(20_000).collect();
        let large = Message::new(topic.as_str(), noise).with_key("k").with_header(headers::ID, "large");
        let mut tx = store.begin().await.unwrap();
        store.write(&mut tx, &[large]).await.unwrap();
        store.commit(tx).await.unwrap();
        store.close().await.unwrap();
        let step = format!(
            "run messagekit relay --database 'sqlite:{}' --kafka HOST:PORT, or",
            file.path().display()
        );
        let _relay = relay_of_step(&step);
        let kafka = Stage::with(&["--kafka", &services::kafka(), "--topic", &topic]);
        let enlarge = async |_: &str| kafka.heals("topic-max-message-bytes-low", nothing).await;
        file.stage().heals("events-rejected", enlarge).await;
    });
}

#[test]
fn delayed_events_that_cannot_be_read_are_found_until_deleted() {
    block_on(async {
        let file = File::new();
        let insert = "INSERT INTO messagekit_outbox_delayed (due, topic, headers, payload)
            VALUES (0, 'doctor.order', 'not a list of headers', x'7b7d')";
        file.open().execute_batch(insert).unwrap();
        // A program that has the file open finds out that it cannot be read.
        let store = SqliteStore::open(file.path()).await.unwrap();
        let remove = async |_: &str| {
            file.open().execute_batch("DELETE FROM messagekit_outbox_delayed").unwrap();
        };
        file.stage().heals("delayed-event-unreadable", remove).await;
        store.close().await.unwrap();
    });
}

#[test]
fn a_store_that_does_not_sync_each_commit_says_so() {
    block_on(async {
        for (synchronous, is_found) in [(Synchronous::Normal, true), (Synchronous::Full, false)] {
            let file = File::new();
            let store = SqliteStore::options().synchronous(synchronous).open(file.path()).await.unwrap();
            let diagnosis = store.diagnose().await;
            let found = diagnosis.findings.iter().any(|found| found.check.name == "synchronous-not-full");
            assert_eq!((found, diagnosis.unchecked.len()), (is_found, 0), "{diagnosis:?}");
            store.close().await.unwrap();
        }
    });
}
