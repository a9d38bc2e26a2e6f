//! A service with missing or invalid settings prints the error in one line and exits.

use std::process::{Command, Output};

use messagekit_shipping::SETTINGS;

/// Runs the service with only these variables.
fn run(variables: &[(&str, &str)]) -> Output {
    let mut service = Command::new(env!("CARGO_BIN_EXE_messagekit-shipping"));
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
    for key in ["MESSAGEKIT_DATABASE__0__URL", "MESSAGEKIT_RABBITMQ__URL"] {
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
        ("MESSAGEKIT_RABBITMQ__URL", "amqp://shop:sesame@:port"),
        ("MESSAGEKIT_SHIPPING__LISTEN", "nowhere"),
    ];
    let line = last_word(&run(&wrong), 2);
    for (key, _) in wrong {
        assert!(line.contains(key), "{key} is not in {line}");
    }
    assert!(!line.contains("sesame"), "{line}");
}

#[test]
fn unreachable_database_ends_service_without_showing_password() {
    // No process listens on port 1.
    let url = ("MESSAGEKIT_DATABASE__0__URL", "postgres://shop:sesame@127.0.0.1:1/shop");
    let rabbitmq = ("MESSAGEKIT_RABBITMQ__URL", "amqp://127.0.0.1:9");
    let line = last_word(&run(&[url, rabbitmq, ("MESSAGEKIT_LOG", "off")]), 1);
    assert!(line.starts_with("shipping: ") && !line.contains("sesame"), "{line}");
}

#[test]
fn addresses_of_another_form_are_refused_without_the_password() {
    let url = ("MESSAGEKIT_DATABASE__0__URL", "postgres://shop@127.0.0.1:1/shop");
    for address in
        ["rabbit", "http://shop:sesame@rabbit", "amqp://shop:sesame@", "amqp://shop:sesame@rabbit:0"]
    {
        let line = last_word(&run(&[url, ("MESSAGEKIT_RABBITMQ__URL", address)]), 2);
        assert!(line.contains("rabbitmq.url (MESSAGEKIT_RABBITMQ__URL)"), "{address}: {line}");
        assert!(!line.contains("sesame"), "{line}");
    }
}
