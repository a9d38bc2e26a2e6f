//! Each example prints the output that its page shows.

use std::process::Command;

fn output_of(program: &str) -> String {
    let output = Command::new(program).output().expect("the example starts");
    let text = String::from_utf8(output.stdout).expect("examples print text");
    assert!(output.status.success(), "{program} failed:\n{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn outbox_in_memory_bills_the_committed_order_once() {
    assert_eq!(
        output_of(env!("CARGO_BIN_EXE_01-outbox-in-memory")),
        "published: 1\n\
         billing o-1 for 1250 pence\n\
         duplicates suppressed: 1\n\
         billed: 1250 pence\n"
    );
}

#[test]
fn consumer_on_sqlite_writes_its_row_and_event_together() {
    assert_eq!(
        output_of(env!("CARGO_BIN_EXE_02-consumer-on-sqlite")),
        "bill 1 for o-1, caused by an event: true\n\
         ordered 1250 pence, billed 1250 pence\n"
    );
}

#[test]
fn failed_message_is_applied_once_after_the_repair() {
    assert_eq!(
        output_of(env!("CARGO_BIN_EXE_03-failed-message-fix-retry")),
        "dead after 3 runs: product \"lamp\" is not in the catalogue\n\
         failed message is resolved\n\
         a second retry says: failed message 1 is resolved: only an open one can be retried\n\
         1 bill of 1250 pence\n"
    );
}

#[test]
fn a_key_waits_behind_its_first_failure_and_keeps_its_order() {
    assert_eq!(
        output_of(env!("CARGO_BIN_EXE_09-order-and-parking")),
        "b: placed, changed, cancelled\n\
         a: dead, and holds back 2: no such order\n\
         a: placed, changed, cancelled\n"
    );
}

#[test]
fn tests_of_a_service_find_the_careless_handler() {
    assert_eq!(
        output_of(env!("CARGO_BIN_EXE_11-testing")),
        "emitted billing.bill.issued for o-2\n\
         refused: less than nothing\n\
         delivered twice: Handled, Duplicate\n\
         the flow handled 2, and 5 bills are issued\n\
         `orders.order.placed` o-1: the process ends after its handler and before the commit (consumer.handled); a new one gets it again\n\
         number \"billed\": expected 995, found 1990\n"
    );
}

#[test]
fn a_projection_is_primed_in_order_and_goes_on() {
    assert_eq!(
        output_of(env!("CARGO_BIN_EXE_15-prime-then-live")),
        "stopped in the middle of the past: true\n\
         ada +500, bob +900, ada -500, ada +250, bob -300, bob -600\n\
         owed: [(\"ada\", 250), (\"bob\", 0)]\n"
    );
}

#[test]
fn gates_hold_back_and_fail_no_message() {
    assert_eq!(
        output_of(env!("CARGO_BIN_EXE_10-gates")),
        "after 2 calls the consumer is held back by Some(\"circuit_breaker\")\n\
         charged 6000 pence, 0 messages failed\n\
         at 100 orders a second: true\n"
    );
}

/// Runs an example without the services it needs, and returns its one line.
fn refusal_of(program: &str) -> String {
    let mut command = Command::new(program);
    let output = command.env_remove("MESSAGEKIT_DATABASE_URL").env_remove("MESSAGEKIT_KAFKA").output();
    let output = output.expect("the example starts");
    let text = String::from_utf8(output.stderr).expect("examples print text");
    assert_eq!((output.status.code(), text.lines().count()), (Some(1), 1), "{text}");
    text
}

#[test]
fn shop_changes_without_a_database_says_how_to_start_one() {
    let line = refusal_of(env!("CARGO_BIN_EXE_13-shop-changes"));
    assert!(line.contains("MESSAGEKIT_DATABASE_URL is not set"), "{line}");
}

#[test]
fn orders_on_postgres_without_a_database_says_how_to_start_one() {
    let line = refusal_of(env!("CARGO_BIN_EXE_04-orders-on-postgres"));
    assert!(line.contains("MESSAGEKIT_DATABASE_URL is not set"), "{line}");
    assert!(line.contains("cargo xtask stack up --services postgres;"), "{line}");
}

#[test]
fn billing_from_kafka_without_services_says_how_to_start_them() {
    let line = refusal_of(env!("CARGO_BIN_EXE_05-billing-from-kafka"));
    assert!(line.contains("MESSAGEKIT_DATABASE_URL and MESSAGEKIT_KAFKA"), "{line}");
    assert!(line.contains("cargo xtask stack up --services postgres,kafka;"), "{line}");
}

#[test]
fn relay_without_services_says_how_to_start_them() {
    let line = refusal_of(env!("CARGO_BIN_EXE_08-relay"));
    assert!(line.contains("MESSAGEKIT_DATABASE_URL and MESSAGEKIT_KAFKA"), "{line}");
    assert!(line.contains("cargo xtask stack up --services postgres,kafka;"), "{line}");
}

#[test]
fn a_second_tour_of_the_feeds_finds_nothing_to_do() {
    assert_eq!(
        output_of(env!("CARGO_BIN_EXE_12-rss-tour")),
        "18 records handled, 15 appended\n\
         graph TD\n    \
         raw.videos[\"raw.videos<br/>new 0, handled 2, dead 0\"] --> clean.videos[\"clean.videos<br/>new 0, handled 2, dead 0\"]\n    \
         raw.posts[\"raw.posts<br/>new 0, handled 2, dead 0\"] --> clean.posts[\"clean.posts<br/>new 0, handled 2, dead 0\"]\n    \
         raw.stories[\"raw.stories<br/>new 0, handled 2, dead 0\"] --> clean.stories[\"clean.stories<br/>new 0, handled 2, dead 0\"]\n    \
         clean.videos --> feed[\"feed<br/>new 0, handled 6, dead 0\"]\n    \
         clean.posts --> feed\n    \
         clean.stories --> feed\n    \
         feed --> best[\"best<br/>new 3, handled 0, dead 0\"]\n\
         0 records handled, 0 appended\n"
    );
}
