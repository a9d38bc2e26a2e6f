//! `messagekit doctor` on files and on services that are away.

use serde_json::json;

use crate::command::{AWAY, messagekit, messagekit_with, on};

#[test]
fn mistakes_of_the_caller_are_usage_errors() {
    messagekit(&["doctor"]).refused(2, &["nothing to examine", "--database", "--kafka", "--rabbitmq"]);
    let refused = messagekit(&["doctor", "--database", "mysql://me:s3cret@host/shop"]);
    assert!(!refused.err.contains("s3cret"), "{refused:?}");
    refused.refused(2, &["write sqlite:PATH or postgres://"]);
    messagekit(&["doctor", "--topic", "orders"]).refused(2, &["--topic is of use only with --kafka"]);
    messagekit(&["doctor", "--management", "http://host"]).refused(2, &["only with --rabbitmq"]);
    let wrong = ["doctor", "--rabbitmq", "amqp://me:s3cret@host", "--management", "ftp://me:s3cret@host"];
    let refused = messagekit(&wrong);
    assert!(!refused.err.contains("s3cret"), "{refused:?}");
    refused.refused(2, &["not http://HOST:PORT"]);
    messagekit(&["doctor", "--config", "/nowhere/all.toml"]).refused(2, &["/nowhere/all.toml"]);
}

#[test]
fn a_file_without_faults_prints_what_was_examined() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.db");
    on(&file, &["migrate"]).text();
    let text = on(&file, &["doctor"]).text();
    assert!(text.contains("passed       shop: service-unreachable, journal-mode-not-wal"), "{text}");
    assert!(!text.contains("synchronous-not-full"), "the file does not tell: {text}");
    let json = on(&file, &["doctor", "--json", "--strict"]).json();
    assert_eq!((&json["findings"], &json["unchecked"]), (&json!([]), &json!([])));
}

#[test]
fn strict_fails_on_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.db");
    on(&file, &["migrate"]).text();
    // The header's versions for writing and reading: 1 is a rollback journal, 2 the write-ahead log.
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[18..20].fill(1);
    std::fs::write(&file, bytes).unwrap();
    let usual = on(&file, &["doctor"]);
    let strict = on(&file, &["doctor", "--strict"]);
    assert_eq!((usual.code, strict.code), (0, 1), "{usual:?} {strict:?}");
    assert!(strict.err.contains("doctor: 1 warning"), "{strict:?}");
}

#[test]
fn services_that_are_away_are_findings_and_no_secret_is_shown() {
    let rabbitmq = format!("amqp://me:s3cret@{AWAY}");
    let (postgres, management) = (format!("postgres://me:s3cret@{AWAY}/shop"), format!("http://{AWAY}"));
    let all = ["doctor", "--kafka", AWAY, "--rabbitmq", &rabbitmq, "--management", &management];
    let answer = messagekit_with(&[&all[..], &["--database", &postgres]].concat(), &[]);
    assert_eq!((answer.code, &*answer.err), (1, "messagekit: doctor: 3 problems\n"), "{answer:?}");
    for service in ["shop", "kafka", "rabbitmq"] {
        assert!(
            answer.out.contains(&format!("PROBLEM  service-unreachable of {service}: ")),
            "{}",
            answer.out
        );
    }
    assert!(!answer.out.contains("s3cret"), "{}", answer.out);
}

#[test]
fn the_services_of_a_configuration_file_are_examined() {
    let folder = tempfile::tempdir().unwrap();
    let (file, config) = (folder.path().join("shop.db"), folder.path().join("all.toml"));
    on(&file, &["migrate"]).text();
    let text = format!(
        "[[database]]\nname = 'orders'\nurl = 'sqlite:{}'\n\n[kafka]\nbrokers = ['{AWAY}']\n\n[relay]\nname = 'another program'\n",
        file.display()
    );
    std::fs::write(&config, text).unwrap();
    let answer = messagekit(&["doctor", "--config", config.to_str().unwrap()]);
    assert_eq!(answer.code, 1, "{answer:?}");
    assert!(answer.out.contains("passed       orders: "), "{}", answer.out);
    assert!(
        answer.out.contains("service-unreachable of kafka: no broker at 127.0.0.1:9 answers"),
        "{}",
        answer.out
    );
}
