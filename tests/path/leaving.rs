//! A consumer whose broker is frozen or dead exits on SIGTERM, whether it is closed or dropped.

use std::time::Instant;

use messagekit::adapter::{Publisher, codec};
use messagekit::{Envelope, Event, Message};
use messagekit_kafka::Kafka;
use messagekit_testkit::crash::Ended;
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};
use messagekit_tests::services::{self, Frozen, Service};
use messagekit_tests::{Database, Program, StepTaken};
use rustix::process::Signal;

use crate::down::Down;
use crate::process::launch;
use crate::{broker, turn};

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
async fn busy(drops: bool) -> Program {
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
    let member = launch("member", &[]).variables(settings).start();
    eventually("it is in the midst of it", DEADLINE, async || {
        let applied: i64 =
            sqlx::query_scalar("SELECT count(*) FROM applied").fetch_one(&mut connection).await.unwrap();
        applied > 0
    })
    .await;
    member
}

fn leaves(mut member: Program, how: &str) {
    member.is_alive_still();
    let asked = Instant::now();
    member.send(Signal::TERM);
    let ended = member.wait(DEADLINE);
    // After a close it may report that its last offsets were not committed. It was not killed.
    assert!(matches!(ended, Ended::Exited(Some(0 | 1))), "{how}: {ended:?}");
    println!("{how}: ended after {:.1} s, {ended:?}", asked.elapsed().as_secs_f64());
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
