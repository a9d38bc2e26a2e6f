//! A consumer whose broker is frozen or dead exits on SIGTERM, whether it is closed or dropped.

use std::time::Instant;

use messagekit::adapter::{Publisher, codec};
use messagekit::{Envelope, Event, Message};
use messagekit_kafka::Kafka;
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};
use messagekit_tests::Database;
use messagekit_tests::services::{self, Frozen, Service};
use serde::{Deserialize, Serialize};

use crate::down::Down;
use crate::process::Process;
use crate::{broker, turn};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "storm.step.taken", key = "key")]
struct StepTaken {
    key: String,
}

async fn publish(topic: &str) {
    let publisher = Kafka::new(services::kafka()).publisher().unwrap();
    let step = |n| codec::encode(&Envelope::new(StepTaken { key: format!("k-{n}") }), "test").unwrap();
    let steps: Vec<Message> =
        (0..400).map(step).map(|step| Message { topic: topic.into(), ..step }).collect();
    // A restarted broker knows of a new topic a moment later.
    eventually("the topic is there", DEADLINE, async || publisher.publish(&steps[..1]).await[0].is_ok())
        .await;
    for published in publisher.publish(&steps[1..]).await {
        published.unwrap();
    }
}

/// Returns a member in the middle of its work: some records are handled, and others are not.
async fn busy(drops: bool) -> Process {
    // The group of a member that could not leave still exists.
    let name = format!("{}.{}", unique("leaving"), StepTaken::TOPIC);
    broker::make(&[(&name, 4)]).await;
    let database = Database::fresh().await;
    let mut connection = database.connection().await;
    sqlx::raw_sql("CREATE TABLE applied (partition int, place bigint, member text)")
        .execute(&mut connection)
        .await
        .unwrap();
    publish(&name).await;
    let brokers = services::kafka();
    let mut settings = vec![
        ("DATABASE", database.url()),
        ("BROKERS", &brokers),
        ("TOPIC", &name),
        ("GROUP", &name),
        ("NAME", "member"),
        ("SLOWEST", "200"),
    ];
    if drops {
        settings.push(("DROPS", "yes"));
    }
    let member = Process::start("member", &settings);
    eventually("it is in the midst of it", DEADLINE, async || {
        let applied: i64 =
            sqlx::query_scalar("SELECT count(*) FROM applied").fetch_one(&mut connection).await.unwrap();
        applied > 0
    })
    .await;
    member
}

fn leaves(mut member: Process, how: &str) {
    member.is_alive_still();
    let asked = Instant::now();
    let status = member.ends_within(DEADLINE).unwrap_or_else(|| panic!("{how}: it hangs"));
    // After a close it may report that its last offsets were not committed. It was not killed.
    assert!(matches!(status.code(), Some(0 | 1)), "{how}: {status}");
    println!("{how}: ended after {:.1} s, {status}", asked.elapsed().as_secs_f64());
}

#[test]
fn a_process_with_a_frozen_or_dead_broker_stops_on_request() {
    let _turn = turn::alone();
    block_on(async {
        for drops in [false, true] {
            let how = if drops { "dropped" } else { "closed" };
            leaves(busy(drops).await, how);

            let member = busy(drops).await;
            let frozen = Frozen::new(Service::Kafka);
            leaves(member, &format!("{how} before a frozen broker"));
            drop(frozen);

            let member = busy(drops).await;
            let down = Down::kill(Service::Kafka);
            leaves(member, &format!("{how} before a dead broker"));
            down.start();
        }
    });
}
