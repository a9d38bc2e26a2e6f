//! Programs change a table, and workers that handle the changes are killed.

use std::cell::RefCell;
use std::num::NonZeroU32;

use messagekit_tests::Database;
use messagekit_tests::shipping::{LEDGER, Ledger, Size, TABLES, WRITERS, kill_workers};
use messagekit_topics::Topics;
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::runtime::Runtime;

async fn write(mut connection: PgConnection, writer: usize, orders: i64) {
    let first = i64::try_from(writer).unwrap() * orders;
    for id in first..first + orders {
        let insert = sqlx::query("INSERT INTO orders VALUES ($1, 'open')").bind(id);
        insert.execute(&mut connection).await.unwrap();
        let update = sqlx::query("UPDATE orders SET status = 'paid' WHERE id = $1").bind(id);
        update.execute(&mut connection).await.unwrap();
    }
}

#[test]
fn every_change_has_its_effect_once_while_workers_are_killed() {
    let runtime = Runtime::new().unwrap();
    let size = Size::get();
    let (database, connection, writers) = runtime.block_on(async {
        let database = Database::fresh().await;
        // The role of the tests has the name of our schema, where no table of the user belongs.
        let to_public = format!("ALTER DATABASE {} SET search_path TO public", database.name());
        sqlx::raw_sql(AssertSqlSafe(to_public)).execute(&mut database.connection().await).await.unwrap();
        let mut connection = database.connection().await;
        let topics = Topics::of(database.store().await);
        topics.untyped("shop.orders").partitions(NonZeroU32::new(4).unwrap()).open().await.unwrap();
        sqlx::raw_sql(TABLES).execute(&mut connection).await.unwrap();
        topics.source("orders").add("shop.orders").await.unwrap();
        let mut writers = Vec::new();
        for writer in 0..WRITERS {
            writers.push(tokio::spawn(write(database.connection().await, writer, size.orders)));
        }
        (database, RefCell::new(connection), writers)
    });
    let look = || {
        let mut connection = connection.borrow_mut();
        let read = sqlx::query_as::<_, (i64, i64, i64)>(LEDGER).fetch_one(&mut *connection);
        let (deliveries, shipped, events) = runtime.block_on(read).unwrap();
        Ledger { deliveries, shipped, events }
    };
    let is_writing = || writers.iter().any(|writer| !writer.is_finished());
    kill_workers(database.url(), size, look, is_writing);
    for writer in writers {
        runtime.block_on(writer).unwrap();
    }
}
