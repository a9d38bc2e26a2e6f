//! The examples that need services print what their pages promise, and can be run again.

use messagekit_tests::{Database, command, services};

use crate::turn;

/// Runs an example against a database and the brokers.
fn output_of(program: &str, database: &Database) -> String {
    let mut command = command(program);
    command.env("MESSAGEKIT_DATABASE_URL", database.url()).env("MESSAGEKIT_KAFKA", services::kafka());
    command.env("MESSAGEKIT_RABBITMQ", services::amqp_url());
    let output = command.output().expect("the example starts");
    let text = String::from_utf8(output.stdout).expect("examples print text");
    assert!(output.status.success(), "{program} failed:\n{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[tokio::test]
async fn orders_on_postgres_keeps_row_and_event_together() {
    let _turn = turn::with_fixed_names();
    let database = Database::empty().await;
    for _ in 0..2 {
        assert_eq!(
            output_of("04-orders-on-postgres", &database),
            "committed: 1 row, 1 event for topic example.order\n\
             rolled back: 0 rows, 0 events\n\
             by SQL alone: 1 row, 1 event for topic example.order\n"
        );
    }
}

#[tokio::test]
async fn changes_of_a_shop_reach_the_worker_that_stays() {
    let _turn = turn::with_fixed_names();
    let database = Database::empty().await;
    for _ in 0..2 {
        assert_eq!(
            output_of("13-shop-changes", &database),
            "one worker claims 2 events and leaves\n\
             order 2 inserted: {\"customer\":\"bob\",\"id\":2,\"pence\":900,\"status\":\"paid\"}\n\
             order 1 updated: {\"status\":{\"after\":\"paid\",\"before\":\"open\"}}\n\
             left for shipping: 0\n"
        );
    }
}

#[tokio::test]
async fn billing_from_kafka_bills_a_duplicate_order_once() {
    let _turn = turn::with_fixed_names();
    let database = Database::empty().await;
    for _ in 0..2 {
        assert_eq!(
            output_of("05-billing-from-kafka", &database),
            "published: 2 records, one order\n\
             duplicates suppressed: 1\n\
             1 bill of 1250 pence\n"
        );
    }
}

#[tokio::test]
async fn bridge_example_forwards_a_record_and_dead_letters_another() {
    let _turn = turn::with_fixed_names();
    let database = Database::empty().await;
    for _ in 0..2 {
        assert_eq!(
            output_of("06-bridge", &database),
            "published to Kafka: 2 records\n\
             forwarded: 1, failed messages: 1\n\
             from the queue: same id true, same bytes true, from offset 0 of the topic\n\
             from the dead-letter topic: same bytes true, unroutable\n"
        );
    }
}

#[tokio::test]
async fn failed_message_retried_in_the_admin_is_billed_once() {
    let _turn = turn::with_fixed_names();
    let database = Database::empty().await;
    for _ in 0..2 {
        assert_eq!(
            output_of("07-failed-messages-from-the-admin", &database),
            "dead after 3 runs: \"the product is not in the catalogue\"\n\
             first click: 202, second click: 409\n\
             the failed message is \"resolved\"\n\
             1 bill of 1250 pence\n"
        );
    }
}

#[tokio::test]
async fn relay_example_publishes_at_once_and_delayed_events_when_due() {
    let _turn = turn::with_fixed_names();
    let database = Database::empty().await;
    for _ in 0..2 {
        assert_eq!(
            output_of("08-relay", &database),
            "published: the order, at once\n\
             published: the reminder, when it was due\n\
             left to publish: 0\n"
        );
    }
}
