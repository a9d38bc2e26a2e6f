//! An outbox without a publisher, with two, and with a relay that is absent or refused.

use messagekit_postgres::SchemaName;
use messagekit_postgres::publishing_mode::{Existing, to_relay};
use messagekit_testkit::{DEADLINE, block_on};
use messagekit_tests::{Database, services};

use crate::relay::{relay_of_step, topic};
use crate::stage::{Stage, as_written, nothing, run};

async fn with_relay() -> (Database, Stage) {
    let database = Database::fresh().await;
    to_relay(database.url(), &SchemaName::default(), Existing::Refuse, DEADLINE).await.unwrap();
    let stage = Stage::database(database.url());
    (database, stage)
}

fn event(topic: &str, payload: &str) -> String {
    format!("SELECT messagekit.publish('{topic}', 'k', 'doctor.order.placed', '{payload}')")
}

/// Lets events wait for longer than a relay takes to come back.
fn wait_for_relay() -> String {
    "UPDATE messagekit.outbox_pending SET available_at = available_at - interval '31 s'".to_owned()
}

#[test]
fn an_outbox_without_a_publisher_gets_a_relay() {
    block_on(async {
        let (database, topic) = (Database::fresh().await, topic(&[]).await);
        let stage = Stage::database(database.url());
        assert_eq!(stage.look().code, 0, "a database that only consumes has no fault");
        run(database.url(), event(&topic, "{}")).await;
        let publishes = async |step: &str| {
            if step.contains("--existing publish") {
                as_written(step).await;
            }
        };
        stage.heals("outbox-without-publisher", publishes).await;
        assert_eq!(stage.look().names(), [""; 0], "a relay may be on its way");
        run(database.url(), wait_for_relay()).await;
        let mut relay = None;
        stage.heals("relay-absent", async |step| relay = Some(relay_of_step(step))).await;
        assert_eq!(stage.look().code, 0);
    });
}

#[test]
fn an_outbox_with_two_publishers_keeps_the_relay() {
    block_on(async {
        let (database, stage) = with_relay().await;
        let make = "CREATE PUBLICATION messagekit_outbox FOR TABLE messagekit.outbox_events WITH (publish = 'insert')";
        run(database.url(), make).await;
        stage.heals("outbox-with-two-publishers", nothing).await;
        assert_eq!(stage.look().names(), [""; 0], "nothing waits for a relay");
        run(database.url(), event("doctor.order", "{}")).await;
        run(database.url(), wait_for_relay()).await;
        assert_eq!(stage.look().names(), ["relay-absent"]);
    });
}

#[test]
fn a_switch_to_the_relay_that_was_interrupted_is_completed() {
    block_on(async {
        let (database, stage) = with_relay().await;
        run(database.url(), "DELETE FROM messagekit.relay_shards").await;
        stage.heals("relay-switch-incomplete", nothing).await;
    });
}

/// The cause is a topic that is too small, which its own finding repairs.
#[test]
fn rejected_events_go_out_after_their_repair() {
    block_on(async {
        let (database, stage) = with_relay().await;
        let topic = topic(&[("max.message.bytes", "1000")]).await;
        let noise: String = std::iter::repeat_with(fastrand::alphanumeric).take(20_000).collect();
        let _relay = relay_of_step(&format!(
            "run messagekit relay --database '{}' --kafka HOST:PORT, or",
            database.url()
        ));
        run(database.url(), event(&topic, &format!("{{\"noise\": \"{noise}\"}}"))).await;
        let kafka = Stage::with(&["--kafka", &services::kafka(), "--topic", &topic]);
        stage
            .heals("events-rejected", async |_| kafka.heals("topic-max-message-bytes-low", nothing).await)
            .await;
        let pending = "DO $$ BEGIN ASSERT NOT EXISTS (SELECT FROM messagekit.outbox_rejected); END $$";
        run(database.url(), pending).await;
    });
}
