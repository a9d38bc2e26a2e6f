//! A program in Rust and one in Python share a file under load. `beside_rust.py` is the other half.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use futures_util::TryStreamExt;
use messagekit_sqlite::SqliteStore;
use messagekit_topic_store::AppendedRecord;
use messagekit_topics::{Error, Topic, Topics};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::environment::{HERE, python};

/// How many records each program appends.
const RECORDS: i64 = 1_000;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Item {
    number: i64,
    text: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Copy {
    number: i64,
}

fn item(number: i64) -> Item {
    Item { number, text: format!("item {number}") }
}

struct Shared {
    topics: Topics<SqliteStore>,
    own: Topic<Item, SqliteStore>,
    others: Topic<Item, SqliteStore>,
    both: Topic<Item, SqliteStore>,
    copies: Topic<Copy, SqliteStore>,
}

impl Shared {
    async fn open(path: &Path) -> Result<Self, Error> {
        let topics = Topics::open(path).await?;
        let items = async |name: &str| topics.topic::<Item>(name.to_owned()).dedup(["number"]).open().await;
        let (own, others, both) =
            (items("by.rust").await?, items("by.python").await?, items("by.both").await?);
        let copies = topics.topic::<Copy>("copies").open().await?;
        Ok(Self { topics, own, others, both, copies })
    }

    /// Does what the other program does, with the topics in exchange, and returns how many of the common records it has appended.
    async fn work(&self) -> Result<i64, Error> {
        let reader = tokio::spawn(acknowledge(self.others.clone()));
        let mut appended = 0;
        for number in 0..RECORDS {
            self.own.append(&item(number)).await?;
            let outcome = self.both.append_if_new(&item(number)).await?;
            appended += i64::from(matches!(outcome, AppendedRecord::Appended(_)));
            if number % 100 == 0 {
                self.copy().await?;
            }
        }
        reader.await.expect("the reader does not panic")?;
        self.copy().await?;
        Ok(appended)
    }

    async fn copy(&self) -> Result<(), Error> {
        let copies = async |item: Item| Ok::<_, Error>(Copy { number: item.number });
        self.both.pipe(copies).to(&self.copies).run().await.map(drop)
    }
}

async fn acknowledge(others: Topic<Item, SqliteStore>) -> Result<(), Error> {
    let mut records = others.follow();
    for _ in 0..RECORDS {
        let record = records.try_next().await?.expect("a follower has no end");
        others.ack(&record).await?;
    }
    Ok(())
}

/// Requires that a topic has each number once, and returns how many are handled.
async fn whole<T>(topic: &Topic<T, SqliteStore>, number: impl Fn(T) -> i64) -> u64
where
    T: serde::de::DeserializeOwned + Send + 'static,
{
    let all: Vec<i64> =
        topic.iter_all().map_ok(|record| number(record.data)).try_collect().await.expect("it is read");
    assert_eq!(all.len() as i64, RECORDS, "{} has lost or doubled records", topic.name());
    assert!(all.into_iter().collect::<BTreeSet<_>>().into_iter().eq(0..RECORDS), "{}", topic.name());
    topic.count().await.expect("it is counted").handled
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rust_and_python_share_a_file_under_load() {
    let folder = tempfile::tempdir().expect("a folder is made");
    let path = folder.path().join("shared.db");
    let script = Path::new(HERE).join("tests/beside_rust.py");
    let command = python().arg(script).arg(&path).arg(RECORDS.to_string()).stdout(Stdio::piped()).spawn();
    let mut child = command.expect("Python starts");
    let mut lines = BufReader::new(child.stdout.take().expect("it was piped")).lines();
    let mut line = || lines.next().expect("the program in Python goes on").expect("it prints text");
    assert_eq!(line(), "ready");
    let shared = Shared::open(&path).await.expect("both have the same schemas");
    let by_rust = shared.work().await.expect("the file is shared");
    let by_python: i64 = line().parse().expect("a number");
    assert!(child.wait().expect("it ends").success());
    assert_eq!(by_rust + by_python, RECORDS, "{by_rust} by Rust and {by_python} by Python");

    let handled = RECORDS as u64;
    assert_eq!(whole(&shared.own, |item| item.number).await, handled, "by Python");
    assert_eq!(whole(&shared.others, |item| item.number).await, handled, "by Rust");
    assert_eq!(whole(&shared.both, |item| item.number).await, handled, "by the pipeline of either");
    assert_eq!(whole(&shared.copies, |copy| copy.number).await, 0);
    shared.topics.close().await.expect("it is closed");
}
