//! The health of a relay while it cannot publish.

use messagekit_testkit::block_on;
use messagekit_tests::{Port, services};
use serde_json::Value;

use crate::TURNS;
use crate::stage::{Stage, health, reports};

fn names(report: &Value) -> Vec<&str> {
    report["problems"].as_array().unwrap().iter().map(|problem| problem["name"].as_str().unwrap()).collect()
}

#[test]
fn a_topic_that_gets_no_answer_is_named_and_its_events_wait() {
    let _turn = TURNS.together();
    block_on(async {
        let stage = Stage::new(1).await;
        let nobody = Port::free();
        stage.publish_to(&nobody.address());
        let mut relay = stage.relay("relay");
        let address = relay.address();
        reports(&mut relay, &address, "it is ready", |code, report| code == 200 && names(report).is_empty())
            .await;
        stage.write(&[stage.event("k", "e-1", b"{}".to_vec())]).await;
        reports(&mut relay, &address, "the topic is named", |code, report| {
            let mut problems = report["problems"].as_array().unwrap().iter();
            let paused = |problem: &Value| problem["name"] == "topic_paused";
            code == 503 && problems.any(|problem| paused(problem) && problem["topic"] == *stage.topic.name)
        })
        .await;
        assert_eq!((stage.pending().await, stage.rejected().await), (1, 0), "it waits, and is not refused");
        relay.kill();

        stage.publish_to(&services::kafka());
        let mut relay = stage.relay("relay");
        stage.until_published().await;
        relay.stop().await;
    });
}

#[test]
fn a_relay_without_its_database_waits_and_says_so() {
    let _turn = TURNS.together();
    block_on(async {
        let stage = Stage::new(1).await;
        let nobody = Port::free();
        let url = format!("postgres://me:s3cret@{}/shop", nobody.address());
        let mut relay = stage.relay_on(&url);
        let address = relay.address();
        reports(&mut relay, &address, "it says what is away", |code, report| {
            let names = names(report);
            code == 503 && names.contains(&"database_away") && names.contains(&"no_lease")
        })
        .await;
        let (_, report) = health(&address).unwrap();
        assert!(!report.to_string().contains("s3cret"), "{report}");
        relay.stop().await;
    });
}
