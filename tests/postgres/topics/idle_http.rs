//! Consumers over HTTP that wait: they ask the database nothing, and a commit of another program ends their wait.

use std::sync::Arc;
use std::time::Duration;

use messagekit::Shutdown;
use messagekit_admin::{Admin, Role, Token, Tokens};
use messagekit_testkit::{DEADLINE, block_on, eventually};
use messagekit_tests::Database;
use messagekit_topics::Topics;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};

use super::watch::{TOPIC, insert, looks, others};

const CONSUMERS: usize = 20;
/// How long they are watched: a part of their wait.
const WATCHED: Duration = Duration::from_secs(4);

/// Serves the topics of a database without any other work, and returns the address and a token of a service.
async fn served(database: &Database, shutdown: &Shutdown) -> (String, String) {
    let store = database.store().await;
    Topics::of(store.clone()).untyped(TOPIC).open().await.unwrap();
    let (token, mut tokens) = (Token::generate().unwrap(), Tokens::new());
    tokens.add("worker", Role::Service, token.hash()).unwrap();
    let builder = Admin::builder().tokens(tokens).database("shop", Arc::new(store.clone()));
    let admin = builder.topics("shop", Arc::new(Topics::of(store))).build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/api/topics/consume", listener.local_addr().unwrap());
    tokio::spawn(messagekit_admin::serve(listener, admin.router(), shutdown.clone()));
    (url, format!("Bearer {}", token.secret()))
}

fn consume(url: &str, bearer: &str, group: usize) -> Value {
    let body = json!({
        "topic_id": TOPIC, "group_id": format!("g-{group}"), "start": "Earliest", "timeout_seconds": 20
    });
    let agent = ureq::Agent::config_builder().timeout_global(Some(DEADLINE)).build().new_agent();
    agent.post(url).header("authorization", bearer).send_json(body).unwrap().body_mut().read_json().unwrap()
}

#[test]
fn idle_consumers_over_http_ask_the_database_nothing() {
    block_on(async {
        let (database, shutdown) = (Database::fresh().await, Shutdown::new());
        let (url, bearer) = served(&database, &shutdown).await;
        let mut look = database.connection().await;
        let waiting: Vec<_> = (0..CONSUMERS)
            .map(|group| {
                let (url, bearer) = (url.clone(), bearer.clone());
                tokio::task::spawn_blocking(move || consume(&url, &bearer, group))
            })
            .collect();
        let known = "SELECT count(DISTINCT consumer) FROM messagekit.consumer_cursors";
        eventually("every group has begun", DEADLINE, async || {
            let count: i64 = sqlx::query_scalar(known).fetch_one(&mut look).await.unwrap();
            usize::try_from(count).unwrap() == CONSUMERS
        })
        .await;
        let mut before = others(&mut look).await;
        loop {
            looks(&mut look, 5).await;
            let now = others(&mut look).await;
            if std::mem::replace(&mut before, now.clone()) == now {
                break;
            }
        }
        // A consumer that asked once per second would be seen.
        let end = Instant::now() + WATCHED;
        while Instant::now() < end {
            looks(&mut look, 5).await;
            assert_eq!(others(&mut look).await, before, "a session that is not the watcher's has asked");
        }
        assert!(waiting.iter().all(|call| !call.is_finished()), "they wait");

        insert(&mut look, "woken", "NULL").await;
        for call in waiting {
            let answer = timeout(DEADLINE, call).await.unwrap().unwrap();
            assert_eq!(answer["messages"][0]["event_id"], "woken", "{answer}");
        }
        shutdown.request();
    });
}
