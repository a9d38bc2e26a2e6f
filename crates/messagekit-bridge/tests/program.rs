//! The program without a broker: its output about settings, and its exit.

use std::io::Write;
use std::process::{Command, Output};

use tempfile::NamedTempFile;

/// Runs the program with a file of this text and without variables.
fn run(text: &str) -> Output {
    let mut file = NamedTempFile::new().expect("a file can be made");
    file.write_all(text.as_bytes()).expect("it can be written");
    let mut program = Command::new(env!("CARGO_BIN_EXE_messagekit-bridge"));
    program.env_clear().args(["--check", "--config"]).arg(file.path());
    program.output().expect("the program starts")
}

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

#[test]
fn settings_that_can_be_used_are_called_so_without_a_broker() {
    let output = run(SETTINGS);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "settings of bridge orders-to-shipping can be used\n"
    );
}

#[test]
fn bridge_reports_all_mistakes_with_code_2_and_no_password() {
    let broken = SETTINGS.replace("name =", "title =").replace("exchange =", "exchanges =");
    let output = run(&broken);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    for part in ["bridge.name", "bridge.title", "rule.0.exchange", "rule.0.exchanges"] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    assert!(!said.contains("hunter2"), "{said}");
}
