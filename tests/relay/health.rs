//! What a relay says of itself while it cannot publish.

use messagekit_testkit::block_on;
use serde_json::Value;

use crate::stage::Stage;

fn names(report: &Value) -> Vec<&str> {
    report["problems"].as_array().unwrap().iter().map(|problem| problem["name"].as_str().unwrap()).collect()
}

#[test]
fn a_topic_that_takes_nothing_is_named_until_it_takes_again() {
    block_on(async {
        let stage = Stage::new(1).await;
        let mut relay = stage.relay("relay");
        let address = relay.address();
        relay.reports(&address, "it is ready", |code, report| code == 200 && names(report).is_empty()).await;
        stage.topic.takes_records(false).await;
        stage.write(&[stage.event("k", "e-1", b"{}".to_vec())]).await;
        relay
            .reports(&address, "the topic is named", |code, report| {
                let paused = report["problems"].as_array().unwrap().iter();
                let mut paused = paused.filter(|problem| problem["name"] == "topic_paused");
                code == 503 && paused.any(|problem| problem["topic"] == *stage.topic.name)
            })
            .await;
        assert_eq!((stage.pending().await, stage.rejected().await), (1, 0), "it waits, and is not refused");
        stage.topic.takes_records(true).await;
        relay.reports(&address, "it is ready again", |code, _| code == 200).await;
        stage.until_published().await;
        relay.stop().await;
    });
}

#[test]
fn a_relay_without_its_database_waits_and_says_so() {
    block_on(async {
        let stage = Stage::new(1).await;
        // Nobody listens where a socket is bound that does not listen.
        let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = format!("postgres://me:s3cret@127.0.0.1:{nobody}/shop");
        let mut relay = stage.relay_on(&url);
        let address = relay.address();
        relay
            .reports(&address, "it says what is away", |code, report| {
                let names = names(report);
                code == 503 && names.contains(&"database_away") && names.contains(&"no_lease")
            })
            .await;
        let (_, report) = relay.health(&address).unwrap();
        assert!(!report.to_string().contains("s3cret"), "{report}");
        relay.stop().await;
    });
}
