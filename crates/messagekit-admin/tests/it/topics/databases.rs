//! Several databases behind one admin.

use std::sync::Arc;

use messagekit_admin::{Admin, Role};
use messagekit_memory::MemoryStore;
use serde_json::json;

use super::shop::{Shop, TOPIC, numbers, order};
use crate::ask::Console;

fn console(one: &Shop, other: &Shop) -> Console {
    let mut builder = Admin::builder().database("plain", Arc::new(MemoryStore::new()));
    for (name, shop) in [("one", one), ("other", other)] {
        builder = builder.database(name, Arc::new(shop.store.clone()));
        builder = builder.topics(name, Arc::new(shop.topics.clone()));
    }
    Console::with(builder)
}

#[tokio::test]
async fn a_request_names_one_of_several_databases() {
    let (one, other) = (Shop::with(1, 0..1).await, Shop::with(1, 0..2).await);
    let console = console(&one, &other);
    let consume = json!({"topic_id": TOPIC, "start": "Earliest"});
    for (database, count) in [("one", 1), ("other", 2)] {
        let line = format!("POST /v1/api/topics/consume?database={database}");
        let answer = console.tell(Role::Service, &line, consume.clone()).await;
        assert_eq!(numbers(&answer.json()).len(), count, "{}", answer.text());
        let line = format!("POST /v1/api/sql?database={database}");
        let statement = json!({"sql": "CONSUME FROM shop.orders FROM EARLIEST"});
        let answer = console.tell(Role::Service, &line, statement).await;
        assert_eq!(answer.json()["results"][0]["row_count"], count);
    }
    let routes = ["topics/consume", "topics/append", "topics/latest-offsets", "sql"];
    let bodies = [
        consume.clone(),
        json!({"topic_id": TOPIC, "data": order(9)}),
        json!({"partitions": []}),
        json!({"sql": "CONSUME FROM shop.orders"}),
    ];
    for (route, body) in routes.into_iter().zip(bodies) {
        for (query, status, code) in [
            ("", 422, "UNPROCESSABLE_ENTITY"),
            ("?database=zzq", 404, "NOT_FOUND"),
            ("?database=plain", 404, "NOT_FOUND"),
            ("?database=one&database=other", 400, "BAD_REQUEST"),
            ("?zzq=1", 400, "BAD_REQUEST"),
        ] {
            let answer =
                console.tell(Role::Admin, &format!("POST /v1/api/{route}{query}"), body.clone()).await;
            answer.is_failure(status, code);
            assert!(!answer.text().contains("zzq"), "{}", answer.text());
        }
    }
}

#[tokio::test]
async fn topics_of_a_database_that_is_not_there_are_refused() {
    let shop = Shop::empty().await;
    let builder = Admin::builder().database("one", Arc::new(shop.store.clone()));
    let refused = builder.topics("other", Arc::new(shop.topics.clone())).build().unwrap_err();
    assert!(refused.to_string().contains("other"), "{refused}");
}
