//! Pages, over one and several databases.

use std::sync::Arc;

use messagekit::ErrorKind;
use messagekit::operations::Operations;
use messagekit_admin::Role;
use messagekit_memory::{Failpoint, MemoryStore};
use serde_json::{Value, json};

use crate::ask::Console;
use crate::stock::{Stores, dead, fill};

/// Follows the links from page to page, and returns database and key of every failed message.
async fn walk(console: &Console, query: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut next = Some(query.to_owned());
    while let Some(query) = next {
        let page = console.get(&format!("/api/v1/dlq{query}")).await;
        for failed_message in page["failed_messages"].as_array().unwrap() {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            found.push((text(&failed_message["database"]), text(&failed_message["key"]["text"])));
        }
        next = page.get("next").map(|next| next.as_str().unwrap().to_owned());
        assert!(found.len() < 1_000, "the links go round");
    }
    found
}

#[tokio::test]
async fn links_lead_through_all_failed_messages_once() {
    let stores = Stores::with(7, 0).await;
    for store in stores.each() {
        let console = Console::of([("shop", store)]);
        for limit in [1, 3, 7, 200] {
            let found = walk(&console, &format!("?limit={limit}&state=dead")).await;
            let keys: Vec<String> = (1..=7).rev().map(|number| format!("k-{number}")).collect();
            assert_eq!(found.into_iter().map(|(_, key)| key).collect::<Vec<_>>(), keys, "{limit}");
        }
    }
}

#[tokio::test]
async fn links_lead_through_several_databases_newest_first() {
    let (one, two) = (MemoryStore::new(), MemoryStore::new());
    for number in 1..=12 {
        dead(if number % 3 == 0 { &one } else { &two }, number).await;
    }
    let databases: [(&str, Arc<dyn Operations>); 2] = [("one", Arc::new(one)), ("two", Arc::new(two))];
    let console = Console::of(databases);
    for limit in [1, 4, 5, 100] {
        let found = walk(&console, &format!("?limit={limit}")).await;
        let expected = (1..=12)
            .rev()
            .map(|number| (if number % 3 == 0 { "one" } else { "two" }.to_owned(), format!("k-{number}")));
        assert_eq!(found, expected.collect::<Vec<_>>(), "{limit}");
    }
    assert_eq!(walk(&console, "?database=one&limit=3").await.len(), 4);
    // A number alone means one database; with two databases it is ambiguous.
    console.ask(Role::Viewer, "GET /api/v1/dlq?before=3").await.is_problem(422);
    for line in ["GET /api/v1/dlq/1", "POST /api/v1/dlq/1/retry", "GET /api/v1/replay/events", "GET /dlq"] {
        console.ask(Role::Operator, line).await.is_problem(422);
    }
    console.ask(Role::Viewer, "GET /api/v1/dlq?database=three").await.is_problem(404);
    assert_eq!(
        console.ask(Role::Operator, "POST /api/v1/dlq/1/retry?database=two").await.json()["database"],
        "two"
    );
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_named() {
    let (well, silent) = (MemoryStore::new(), MemoryStore::new());
    fill(&well, 1, 0).await;
    let databases: [(&str, Arc<dyn Operations>); 2] =
        [("well", Arc::new(well.clone())), ("silent", Arc::new(silent.clone()))];
    let console = Console::of(databases);
    for path in ["/api/v1/dlq", "/api/v1/dlq/totals", "/api/v1/dlq/groups"] {
        silent.fail_next(Failpoint::Operations, ErrorKind::Unavailable);
        let answer = console.get(path).await;
        assert_eq!(
            answer["unreachable"],
            json!([{"database": "silent", "error": "does not answer"}]),
            "{path}"
        );
        assert!(answer.to_string().contains("\"well\""), "{path}: {answer}");
    }
    silent.fail_next(Failpoint::Operations, ErrorKind::Unavailable);
    let answer = console.ask(Role::Viewer, "GET /api/v1/dlq?database=silent").await;
    answer.is_problem(503);
    assert_eq!(answer.header("retry-after"), "5");
    silent.fail_next(Failpoint::Operations, ErrorKind::Schema);
    let answer = console.ask(Role::Viewer, "GET /api/v1/dlq?database=silent").await;
    answer.is_problem(500);
    assert!(
        answer.text().contains("lacks the tables of this program: run `messagekit migrate"),
        "{}",
        answer.text()
    );
}
