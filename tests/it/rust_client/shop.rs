//! A file with a topic of one partition, and its server.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use messagekit::operations::{FailedMessage, FailedMessageFilter, FailedMessages};
use messagekit_client::{Client, Consumer, Error, Message};
use messagekit_sqlite::SqliteStore;
use serde::{Deserialize, Serialize};

use crate::http_served::Served;

/// Longer than anything takes.
const DEADLINE: Duration = Duration::from_secs(300);

pub(super) const ORDERS: &str = "shop.orders";

pub(super) const GROUP: &str = "shipping";

#[derive(Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) n: i64,
}

pub(super) fn number(message: &Message) -> i64 {
    message.json::<Order>().unwrap().n
}

pub(super) struct Shop {
    folder: tempfile::TempDir,
    pub(super) served: Served,
}

impl Shop {
    /// With the records 0, 1 and so on.
    pub(super) async fn with(records: i64) -> Self {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("shop.db");
        SqliteStore::open(&file).await.unwrap().close().await.unwrap();
        let served = Served::start(&format!("sqlite:{}", file.display()));
        served.sql(&format!("CREATE TOPIC {ORDERS} WITH (dedup = ('n'))"));
        let shop = Self { folder, served };
        let orders: Vec<Order> = (0..records).map(|n| Order { n }).collect();
        if !orders.is_empty() {
            let appended = shop.client().append_all(ORDERS, &orders, false).await.unwrap();
            assert!(appended.iter().all(|record| !record.duplicate));
        }
        shop
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("shop.db")
    }

    pub(super) fn client(&self) -> Client {
        Client::new(&self.served.url(), self.served.token()).unwrap()
    }

    pub(super) fn consumer(&self) -> Consumer {
        Consumer::new(&self.served.url(), self.served.token(), ORDERS, GROUP).unwrap()
    }

    /// Returns how many records the group has not settled.
    pub(super) fn lag(&self) -> i64 {
        self.offsets("lag").unwrap_or_default()
    }

    /// Returns the offset before which the group has settled everything.
    pub(super) fn settled(&self) -> i64 {
        self.offsets("last_acked_offset").map_or(0, |last| last + 1)
    }

    fn offsets(&self, column: &str) -> Option<i64> {
        let of = format!("topic_id = '{ORDERS}' AND group_id = '{GROUP}'");
        let rows = self.served.sql(&format!("SELECT {column} FROM system.topic_offsets WHERE {of}"));
        rows[0][0].as_i64()
    }

    pub(super) async fn failed_messages(&self) -> Vec<FailedMessage> {
        let store = SqliteStore::open(self.file()).await.unwrap();
        let mut failed = Vec::new();
        for id in store.ids(&FailedMessageFilter::default(), 100).await.unwrap() {
            failed.push(store.show(id).await.unwrap());
        }
        store.close().await.unwrap();
        failed
    }
}

/// Waits for the end of a run in a task of its own.
pub(super) async fn end_of(
    run: impl Future<Output = Result<(), Error>> + Send + 'static,
) -> Result<(), Error> {
    let run = tokio::spawn(run);
    tokio::time::timeout(DEADLINE, run).await.expect("the run ends").unwrap()
}
