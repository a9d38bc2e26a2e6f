//! Programs change a table of a file, and workers that handle the changes are killed.

use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use messagekit_sqlite::rusqlite::Connection;
use messagekit_testkit::block_on;
use messagekit_tests::shipping::{LEDGER, Ledger, Size, TABLES, WRITERS, kill_workers};
use messagekit_topics::Topics;
use tempfile::TempDir;

/// Opens the file as a program that knows nothing of us.
fn foreign(file: &Path) -> Connection {
    let connection = Connection::open(file).unwrap();
    connection.busy_timeout(Duration::from_secs(300)).unwrap();
    connection
}

fn write(file: &Path, writer: usize, orders: i64) {
    let connection = foreign(file);
    let first = i64::try_from(writer).unwrap() * orders;
    for id in first..first + orders {
        connection.execute("INSERT INTO orders VALUES (?1, 'open')", [id]).unwrap();
        connection.execute("UPDATE orders SET status = 'paid' WHERE id = ?1", [id]).unwrap();
    }
}

#[test]
fn every_change_has_its_effect_once_while_workers_are_killed() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("shop.db");
    block_on(async {
        let topics = Topics::open(&file).await.unwrap();
        topics.untyped("shop.orders").partitions(NonZeroU32::new(4).unwrap()).open().await.unwrap();
        foreign(&file).execute_batch(TABLES).unwrap();
        topics.source("orders").add("shop.orders").await.unwrap();
        topics.close().await.unwrap();
    });
    let size = Size::get();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let file = file.clone();
            std::thread::spawn(move || write(&file, writer, size.orders))
        })
        .collect();
    let look = || {
        let read = |row: &messagekit_sqlite::rusqlite::Row<'_>| {
            Ok(Ledger { deliveries: row.get(0)?, shipped: row.get(1)?, events: row.get(2)? })
        };
        foreign(&file).query_row(LEDGER, [], read).unwrap()
    };
    let is_writing = || writers.iter().any(|writer| !writer.is_finished());
    let database = format!("sqlite:{}", file.display());
    kill_workers(&database, size, look, is_writing);
    for writer in writers {
        writer.join().unwrap();
    }
}
