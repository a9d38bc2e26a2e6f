//! Typed topics on a file system that fills up.

use std::path::Path;
use std::process::Command;

use messagekit::ErrorKind;
use messagekit_sqlite::SqliteStore;
use messagekit_testkit::block_on;
use messagekit_tests::is_full;
use messagekit_topics::{Topic, Topics};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A small file system of its own, which only root can make.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn new(size: &str) -> Self {
        let folder = TempDir::new().unwrap();
        run("mount", &["-t", "tmpfs", "-o", size, "none"], folder.path());
        Self(folder)
    }

    fn grow(&self, size: &str) {
        run("mount", &["-o", &format!("remount,{size}")], self.0.path());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run("umount", &["-l"], self.0.path());
    }
}

fn run(program: &str, arguments: &[&str], path: &Path) {
    let status = Command::new(program).args(arguments).arg(path).status().unwrap();
    assert!(status.success(), "{program} {arguments:?} failed: only root may make a file system");
}

/// Appends until an append fails, and returns the ids of those that did not, and what the last one says.
async fn append_until_refused(
    items: &Topic<Value, SqliteStore>,
    ids: &mut Vec<i64>,
) -> messagekit_topics::Error {
    loop {
        let text = "x".repeat(10_000);
        match items.append(&json!({ "n": ids.len(), "text": text })).await {
            Ok(id) => ids.push(id),
            Err(error) => return error,
        }
    }
}

async fn numbers(items: &Topic<Value, SqliteStore>) -> Vec<u64> {
    use futures_util::TryStreamExt;
    items.iter_all().map_ok(|record| record.data["n"].as_u64().unwrap()).try_collect().await.unwrap()
}

/// In the gate, the engine's own test of a full disk limits the pages of the file.
#[test]
fn a_full_disk_loses_nothing_that_was_acknowledged() {
    if !is_full() {
        return;
    }
    let disk = SmallDisk::new("size=3m");
    let file = disk.0.path().join("topics.db");
    block_on(async {
        let topics = Topics::open(&file).await.unwrap();
        let items = topics.untyped("items").dedup(["n"]).open().await.unwrap();
        let mut ids = Vec::new();
        for _ in 0..2 {
            let error = append_until_refused(&items, &mut ids).await;
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
            assert!(format!("{error:?}").contains("disk is full: make room outside the file"), "{error:?}");
        }
        assert!(ids.len() > 50, "{}", ids.len());
        let acknowledged: Vec<u64> = (0..ids.len() as u64).collect();
        assert_eq!(numbers(&items).await, acknowledged);
        // A program that dies now leaves a log beside the file, and no room to merge them.
        let copy = TempDir::new().unwrap();
        for part in ["topics.db", "topics.db-wal"] {
            std::fs::copy(disk.0.path().join(part), copy.path().join(part)).unwrap();
        }
        let found = Topics::open(copy.path().join("topics.db")).await.unwrap();
        assert_eq!(numbers(&found.untyped("items").open().await.unwrap()).await, acknowledged);
        disk.grow("size=12m");
        items.append(&json!({ "n": ids.len() })).await.expect("there is room again");
        topics.close().await.unwrap();
        let topics = Topics::open(&file).await.unwrap();
        assert_eq!(numbers(&topics.untyped("items").open().await.unwrap()).await.len(), ids.len() + 1);
    });
}
