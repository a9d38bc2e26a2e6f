//! A restore into a file that is open, as `.restore` of the `sqlite3` shell does it.

use std::path::Path;
use std::process::Command;

use futures_util::StreamExt;
use messagekit_testkit::block_on;
use messagekit_topics::Topics;
use serde_json::json;
use tempfile::TempDir;

fn restore(backup: &Path, file: &Path) {
    const PROGRAM: &str = "import sqlite3, sys
source, target = (sqlite3.connect(path, timeout=60) for path in sys.argv[1:])
source.backup(target)";
    let done = Command::new("python3").args(["-c", PROGRAM]).arg(backup).arg(file).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn a_follower_reads_on_in_the_restored_log() {
    block_on(async {
        let folder = TempDir::new().unwrap();
        let (path, backup) = (folder.path().join("shop.db"), folder.path().join("backup.db"));
        let topics = Topics::open(&path).await.unwrap();
        let orders = topics.untyped("shop.orders").open().await.unwrap();
        let mut followed = orders.follow();
        for n in 1..=4 {
            orders.append(&json!({ "n": n })).await.unwrap();
            let record = followed.next().await.unwrap().unwrap();
            assert_eq!(record.data, json!({ "n": n }));
            orders.ack(&record).await.unwrap();
            if n == 2 {
                topics.backup(&backup).await.unwrap();
            }
        }
        restore(&backup, &path);
        // They have the ids of the two that are gone.
        for n in 5..=6 {
            orders.append(&json!({ "n": n })).await.unwrap();
            assert_eq!(followed.next().await.unwrap().unwrap().data, json!({ "n": n }));
        }
    });
}
