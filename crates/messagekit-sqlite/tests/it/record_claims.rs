//! Record claims beside another reader of the same consumer, and the files beside the database.

use std::num::NonZeroU32;
use std::path::Path;

use messagekit::{ErrorKind, Store};
use messagekit_sqlite::SqliteStore;
use messagekit_topic_store::{Claimed, RecordClaim, RecordClaimer, Which};
use tempfile::TempDir;

use crate::support::{append, patient};

async fn open(folder: &TempDir) -> SqliteStore {
    patient().partitions(NonZeroU32::MIN).open(folder.path().join("jobs.db")).await.unwrap()
}

async fn claim(worker: &RecordClaimer<SqliteStore>, max: u32) -> RecordClaim {
    let Claimed::Records(claim) = worker.claim(max).await.unwrap() else {
        panic!("records wait to be claimed")
    };
    claim
}

fn offsets(claim: &RecordClaim) -> Vec<i64> {
    claim.records.iter().map(|record| record.record.position.offset).collect()
}

/// Moves the consumer's cursor, as a subscriber of the same consumer does.
async fn move_cursor(store: &SqliteStore, next: i64) {
    let mut tx = store.begin().await.unwrap();
    let moved = tx
        .call(move |c| c.execute("UPDATE messagekit_consumer_cursors SET next = ?1", [next]))
        .await
        .unwrap();
    assert_eq!(moved, 1);
    store.commit(tx).await.unwrap();
}

#[tokio::test]
async fn claims_are_void_when_another_reader_has_moved_the_cursor() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).await;
    append(&store, "jobs.job", "j", 6).await;
    let worker = RecordClaimer::new(store.clone(), "billing", "jobs.job");
    let early = claim(&worker, 2).await;
    move_cursor(&store, 3).await;
    for which in [Which::All, Which::Offsets(&[0])] {
        assert_eq!(worker.acknowledge(&early, which).await.unwrap_err().kind(), ErrorKind::ClaimLost);
    }
    let behind = claim(&worker, 9).await;
    assert_eq!(offsets(&behind), [3, 4, 5]);
    assert_eq!(worker.acknowledge(&behind, Which::All).await.unwrap(), 6);
}

#[tokio::test]
async fn claims_that_cannot_be_read_are_refused_and_stay() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).await;
    append(&store, "jobs.job", "j", 2).await;
    let worker = RecordClaimer::new(store.clone(), "billing", "jobs.job");
    claim(&worker, 1).await;
    let mut tx = store.begin().await.unwrap();
    tx.call(|c| c.execute("UPDATE messagekit_record_claims SET ranges = '[{\"from\":7}]'", []))
        .await
        .unwrap();
    store.commit(tx).await.unwrap();
    assert_eq!(worker.claim(1).await.unwrap_err().kind(), ErrorKind::Corrupt);
    let kept = store.read(|c| {
        c.query_row("SELECT ranges FROM messagekit_record_claims", [], |row| row.get::<_, String>(0))
    });
    assert_eq!(kept.await.unwrap(), "[{\"from\":7}]");
}

fn holders(folder: &Path) -> usize {
    let files = std::fs::read_dir(folder).unwrap();
    files.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|end| end == "holder")).count()
}

#[tokio::test]
async fn a_closed_file_leaves_no_holder_and_frees_its_claims() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).await;
    append(&store, "jobs.job", "j", 1).await;
    let worker = RecordClaimer::new(store.clone(), "billing", "jobs.job");
    claim(&worker, 1).await;
    assert_eq!(holders(folder.path()), 1);
    store.close().await.unwrap();
    assert_eq!(holders(folder.path()), 0);
    assert_eq!(worker.claim(1).await.unwrap_err().kind(), ErrorKind::Closed);
    let next = RecordClaimer::new(open(&folder).await, "billing", "jobs.job");
    assert_eq!(offsets(&claim(&next, 1).await), [0]);
}
