//! `messagekit bridge`: the program `messagekit-bridge` as a command.

use std::fs;

use tempfile::TempDir;

use crate::command::{Answer, messagekit, messagekit_with};

const SETTINGS: &str = r#"
    [bridge]
    name = "orders-to-shipping"
    [kafka]
    brokers = ["127.0.0.1:9092"]
    [rabbitmq]
    url = "amqp://messagekit:hunter2@127.0.0.1:5672/%2f"
    [[rule]]
    topics = ["orders.order"]
    exchange = "events"
"#;

fn check(text: &str, variables: &[(&str, &str)]) -> Answer {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("bridge.toml");
    fs::write(&file, text).unwrap();
    messagekit_with(&["bridge", "--check", "--config", file.to_str().unwrap()], variables)
}

#[test]
fn settings_of_a_bridge_are_checked_without_a_broker() {
    assert_eq!(check(SETTINGS, &[]).text(), "settings of bridge orders-to-shipping can be used\n");
    let renamed = check(SETTINGS, &[("MESSAGEKIT_BRIDGE__NAME", "bills")]);
    assert_eq!(renamed.text(), "settings of bridge bills can be used\n", "variables win over the file");
}

#[test]
fn bridge_names_all_mistakes_with_code_2_and_no_password() {
    let broken = SETTINGS.replace("name =", "title =").replace("exchange =", "exchanges =");
    let answer = check(&broken, &[]);
    assert!(!answer.err.contains("hunter2"), "{answer:?}");
    assert_eq!((answer.code, &*answer.out), (2, ""), "{answer:?}");
    for part in ["bridge.name", "bridge.title", "rule.0.exchange", "rule.0.exchanges"] {
        assert!(answer.err.contains(part), "{part}: {answer:?}");
    }
    messagekit(&["bridge", "--log", "loud"]).refused(2, &["--log", "messagekit bridge --help"]);
}
