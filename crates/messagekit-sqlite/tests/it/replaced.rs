//! A file that a restore replaces while it is open.

use std::fs;
use std::path::PathBuf;

use messagekit::adapter::Publisher;
use messagekit::{Error, ErrorKind, Store};
use messagekit_sqlite::SqliteStore;
use messagekit_topic_store::RecordReads;
use tempfile::TempDir;

use crate::support::{assigned, bind, define, in_time, incoming, message};
use crate::transaction::{fixture, insert};

fn path(folder: &TempDir) -> PathBuf {
    folder.path().join("app.db")
}

/// Moves a backup over the file.
async fn restore(store: &SqliteStore, folder: &TempDir) {
    let backup = folder.path().join("backup.db");
    store.backup(&backup).await.unwrap();
    fs::rename(backup, path(folder)).unwrap();
}

fn says_replaced(error: impl Into<Error>) {
    let error = error.into();
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    assert!(error.to_string().contains("the file was replaced or removed while it was open"), "{error}");
}

#[tokio::test]
async fn no_commit_goes_into_a_file_that_has_lost_its_name() {
    let fixture = fixture().await;
    let open = fixture.begun().await;
    restore(&fixture.store, &fixture.folder).await;
    says_replaced(fixture.store.commit(open).await.unwrap_err());
    let mut tx = fixture.store.begin().await.unwrap();
    insert(&mut tx, 2).await.unwrap();
    says_replaced(fixture.store.commit(tx).await.unwrap_err());
    let appended = fixture.store.publisher().publish(&[message("t", "m", "k")]).await.remove(0);
    says_replaced(appended.unwrap_err().error);
    says_replaced(fixture.store.read(|c| c.query_row("SELECT 1", [], |_| Ok(()))).await.unwrap_err());
    says_replaced(fixture.store.backup(fixture.folder.path().join("other.db")).await.unwrap_err());
    fixture.store.close().await.unwrap();

    let restored = SqliteStore::open(path(&fixture.folder)).await.unwrap();
    let rows = restored.read(|c| c.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0))).await;
    assert_eq!(rows.unwrap(), 0);
    let mut tx = restored.begin().await.unwrap();
    insert(&mut tx, 3).await.unwrap();
    restored.commit(tx).await.unwrap();
}

#[tokio::test]
async fn a_removed_file_takes_no_commit() {
    let fixture = fixture().await;
    fs::remove_file(path(&fixture.folder)).unwrap();
    let mut tx = fixture.store.begin().await.unwrap();
    insert(&mut tx, 2).await.unwrap();
    says_replaced(fixture.store.commit(tx).await.unwrap_err());
}

#[tokio::test]
async fn readers_that_wait_end_with_the_reason() {
    let fixture = fixture().await;
    define(&fixture.store).await;
    let mut watch = fixture.store.watch_records().unwrap();
    let mut subscriber = bind(&fixture.store, &["t"], "billing").await;
    assigned(&mut subscriber).await;
    restore(&fixture.store, &fixture.folder).await;
    // The commits of the subscriber come first.
    let ended = async {
        loop {
            if let Err(error) = watch.changed().await {
                break error;
            }
        }
    };
    says_replaced(in_time("the end of the watch", ended).await);
    says_replaced(incoming(&mut subscriber).await.unwrap().unwrap_err());
}
