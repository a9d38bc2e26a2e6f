//! A service with missing or invalid settings prints the error in one line and exits.

use std::process::{Command, Output};

use messagekit_billing::SETTINGS;

/// Runs the service with only these variables.
fn run(variables: &[(&str, &str)]) -> Output {
    let mut service = Command::new(env!("CARGO_BIN_EXE_messagekit-billing"));
    SETTINGS.iter().for_each(|key| {
        service.env_remove(key);
    });
    service.envs(variables.iter().copied()).output().expect("the service starts")
}

/// Returns the one line that it prints before it exits.
fn last_word(output: &Output, code: i32) -> String {
    let text = String::from_utf8(output.stderr.clone()).expect("messages are text");
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(output.stdout.is_empty(), "nobody is told that it is ready");
    text
}

#[test]
fn missing_settings_are_named_all_at_once() {
    let line = last_word(&run(&[]), 2);
    for key in ["MESSAGEKIT_DATABASE__0__URL", "MESSAGEKIT_KAFKA__BROKERS"] {
        assert!(line.contains(key), "{line}");
    }
}

#[test]
fn an_empty_setting_counts_as_missing() {
    let line = last_word(&run(&[("MESSAGEKIT_DATABASE__0__URL", "")]), 2);
    assert!(line.contains("or set MESSAGEKIT_DATABASE__0__URL"), "{line}");
}

#[test]
fn wrong_settings_are_named_together_without_secrets() {
    let wrong = [
        ("MESSAGEKIT_DATABASE__0__URL", "mysql://shop:sesame@127.0.0.1/shop"),
        ("MESSAGEKIT_KAFKA__BROKERS", ""),
        ("MESSAGEKIT_BILLING__LISTEN", "nowhere"),
        ("MESSAGEKIT_BILLING__NAME_PREFIX", "my staging/"),
        ("MESSAGEKIT_BILLING__INSTANTS", "billing-1"),
    ];
    let line = last_word(&run(&wrong), 2);
    for (key, _) in wrong {
        assert!(line.contains(key), "{key} is not in {line}");
    }
    assert!(line.contains("did you mean instance?") && !line.contains("sesame"), "{line}");
}

#[test]
fn unreachable_database_ends_service_without_showing_password() {
    // No process listens on port 1.
    let url = ("MESSAGEKIT_DATABASE__0__URL", "postgres://shop:sesame@127.0.0.1:1/shop");
    let line =
        last_word(&run(&[url, ("MESSAGEKIT_KAFKA__BROKERS", "127.0.0.1:9"), ("MESSAGEKIT_LOG", "off")]), 1);
    assert!(line.starts_with("billing: ") && !line.contains("sesame"), "{line}");
}

#[test]
fn a_wrong_level_of_the_log_is_refused() {
    let line = last_word(&run(&[("MESSAGEKIT_LOG", "loud")]), 2);
    assert!(line.contains("MESSAGEKIT_LOG is no level"), "{line}");
}
