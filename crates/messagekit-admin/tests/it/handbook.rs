//! The requests of the handbook, in order.

use std::sync::Arc;

use messagekit_admin::Role;
use messagekit_memory::MemoryStore;

use crate::ask::Console;
use crate::stock::fill;

const HANDBOOK: &str = include_str!("../../../../docs/operating.md");

#[tokio::test]
async fn every_request_of_the_handbook_answers_as_it_says() {
    let store = MemoryStore::new();
    fill(&store, 3, 3).await;
    let console = Console::of([("shop", Arc::new(store) as _)]);
    let mut asked = 0;
    for block in HANDBOOK.split("```http\n").skip(1) {
        let mut lines = block.split("```").next().unwrap().lines();
        while let Some(request) = lines.next() {
            let mut answer = lines.next().expect("what it answers");
            let body = answer.starts_with('{').then(|| serde_json::from_str(answer).expect("JSON"));
            if body.is_some() {
                answer = lines.next().expect("what it answers");
            }
            let given = console.send(console.request(Role::Operator, request, body.as_ref())).await;
            assert_eq!(given.status.to_string(), answer, "{request}: {}", given.text());
            asked += 1;
        }
    }
    assert!(asked >= 20, "the handbook has {asked} requests");
}
