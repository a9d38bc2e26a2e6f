//! A file with topics, and a client of its admin.

use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use messagekit::Store;
use messagekit_admin::{Admin, Role};
use messagekit_sqlite::SqliteStore;
use messagekit_topics::Topics;
use messagekit_topics::operations::wire::Append;
use messagekit_topics::operations::{NewTopic, TopicOperations};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::ask::{Answer, Console};
use crate::stock::patient;

pub(crate) const TOPIC: &str = "shop.orders";

/// The file `shop.db`, its topics and its admin, which knows it as `shop`.
pub(crate) struct Shop {
    folder: TempDir,
    pub(crate) store: SqliteStore,
    pub(crate) topics: Topics<SqliteStore>,
    pub(crate) console: Console,
}

impl Shop {
    /// Makes the file without topics.
    pub(crate) async fn empty() -> Self {
        let folder = TempDir::new().unwrap();
        let store = patient().open(folder.path().join("shop.db")).await.unwrap();
        let topics = Topics::of(store.clone());
        let served: Arc<dyn TopicOperations> = Arc::new(topics.clone());
        let builder = Admin::builder().database("shop", Arc::new(store.clone())).topics("shop", served);
        Self { folder, store, topics, console: Console::with(builder) }
    }

    /// Makes the file with the topic `shop.orders`, whose records differ in `n` and have the key `customer`.
    pub(crate) async fn new(partitions: u32) -> Self {
        let shop = Self::empty().await;
        let mut new = NewTopic::named(TOPIC);
        new.partitions = NonZeroU32::new(partitions).unwrap();
        (new.key, new.dedup) = (Some("customer".into()), vec!["n".into()]);
        shop.topics.create_topic(&new).await.unwrap();
        shop
    }

    /// With orders of these numbers.
    pub(crate) async fn with(partitions: u32, numbers: Range<i64>) -> Self {
        let shop = Self::new(partitions).await;
        shop.fill(numbers).await;
        shop
    }

    pub(crate) async fn fill(&self, numbers: Range<i64>) {
        let raw = |n| serde_json::value::to_raw_value(&order(n)).unwrap();
        let orders: Vec<_> = numbers.map(raw).collect();
        self.topics.append(&Append::records(TOPIC, orders)).await.unwrap();
    }

    /// Opens the same file once more, as another process would.
    pub(crate) async fn second(&self) -> Topics<SqliteStore> {
        Topics::of(patient().open(self.folder.path().join("shop.db")).await.unwrap())
    }

    /// Sends a body to a route of topics, as a service.
    pub(crate) async fn post(&self, route: &str, body: Value) -> Answer {
        self.console.tell(Role::Service, &format!("POST /v1/api/topics/{route}"), body).await
    }

    /// Returns the answer to a body that must be taken.
    pub(crate) async fn ok(&self, route: &str, body: Value) -> Value {
        let answer = self.post(route, body.clone()).await;
        assert_eq!(answer.status, 200, "{route} {body}: {}", answer.text());
        answer.json()
    }

    /// Returns the failure of a body that must be refused.
    pub(crate) async fn refused(&self, route: &str, body: Value, status: u16, code: &str) -> Value {
        let answer = self.post(route, body.clone()).await;
        answer.is_failure(status, code);
        answer.json()
    }

    /// Consumes with these fields beside the topic.
    pub(crate) async fn consume(&self, fields: Value) -> Value {
        self.ok("consume", about(TOPIC, fields)).await
    }

    /// Runs statements as an administrator.
    pub(crate) async fn sql(&self, sql: &str) -> Answer {
        self.console.tell(Role::Admin, "POST /v1/api/sql", json!({ "sql": sql })).await
    }

    /// Returns the rows of a statement that must succeed.
    pub(crate) async fn rows(&self, sql: &str) -> Value {
        let answer = self.sql(sql).await;
        assert_eq!(answer.status, 200, "{sql}: {}", answer.text());
        answer.json()["results"][0]["rows"].clone()
    }

    /// Runs statements in the file.
    pub(crate) async fn change(&self, sql: &'static str) {
        let mut tx = self.store.begin().await.unwrap();
        tx.call(move |c| c.execute_batch(sql)).await.unwrap();
        self.store.commit(tx).await.unwrap();
    }
}

impl Answer {
    /// Asserts that the response is an error in the form of the routes of topics.
    #[track_caller]
    pub(crate) fn is_failure(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/json");
        let failure = self.json();
        assert_eq!(failure["code"], code, "{failure}");
        assert!(failure["error"].is_string(), "{failure}");
    }
}

pub(crate) fn order(n: i64) -> Value {
    json!({ "n": n, "customer": format!("c{}", n % 7) })
}

/// Returns a body with the topic and these fields.
pub(crate) fn about(topic: &str, mut fields: Value) -> Value {
    fields["topic_id"] = json!(topic);
    fields
}

/// Returns a body about records of the group `g`.
pub(crate) fn of_group(fields: Value) -> Value {
    let mut body = about(TOPIC, fields);
    body["group_id"] = json!("g");
    body
}

/// Returns the payload of a message.
pub(crate) fn payload(message: &Value) -> Value {
    serde_json::from_slice(&STANDARD.decode(message["payload"].as_str().unwrap()).unwrap()).unwrap()
}

/// Returns the numbers of the orders of an answer.
pub(crate) fn numbers(answer: &Value) -> Vec<i64> {
    let messages = answer["messages"].as_array().unwrap();
    messages.iter().map(|message| payload(message)["n"].as_i64().unwrap()).collect()
}
