//! The table of findings in the page on operating.

use std::collections::BTreeMap;

use messagekit::operations::{Diagnosis, Doctor};
use messagekit_kafka::Kafka;
use messagekit_postgres::PostgresStore;
use messagekit_rabbitmq::RabbitMq;
use messagekit_sqlite::{FileDoctor, SqliteStore};
use messagekit_testkit::block_on;
use tempfile::TempDir;

const PAGE: &str = include_str!("../../docs/operating.md");

/// Services that are away know their checks all the same. No port below 1024 is given by the system.
async fn diagnoses() -> [Diagnosis; 4] {
    let postgres = PostgresStore::lazy("postgres://me@127.0.0.1:9/shop").unwrap();
    let rabbitmq = RabbitMq::new("amqp://me:me@127.0.0.1:9").unwrap().doctor();
    [
        postgres.diagnose().await,
        FileDoctor::new("/no/such/shop.db").diagnose().await,
        Kafka::new("127.0.0.1:9").doctor().diagnose().await,
        rabbitmq.management("http://127.0.0.1:9").unwrap().diagnose().await,
    ]
}

#[test]
fn the_page_on_operating_lists_every_finding() {
    block_on(async {
        let mut known = BTreeMap::new();
        // A program that has the file open knows one check more.
        let folder = TempDir::new().unwrap();
        let open = SqliteStore::open(folder.path().join("shop.db")).await.unwrap().diagnose().await;
        let away = diagnoses().await;
        for check in away.iter().chain([&open]).flat_map(|diagnosis| &diagnosis.checks) {
            assert!(
                check
                    .name
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'),
                "{check:?}"
            );
            assert!(!check.why.ends_with('.') && check.why.len() > 20, "{check:?}");
            let severity = check.severity.as_str().to_owned();
            let earlier = known.insert(check.name.to_owned(), severity.clone());
            assert!(earlier.is_none_or(|earlier| earlier == severity), "two severities of {}", check.name);
        }
        let table = PAGE.split("| finding | severity |").nth(1).expect("the page has the table");
        let table = table.split("\n\n").next().unwrap();
        let mut listed = BTreeMap::new();
        for row in table.lines().filter(|line| line.starts_with("| `")) {
            let cells: Vec<&str> = row.trim_matches(['|', ' ']).split(" | ").collect();
            listed.insert(cells[0].trim_matches('`').to_owned(), cells[1].to_owned());
        }
        assert_eq!(listed, known);
        assert!(known.len() > 50, "{} findings", known.len());
    });
}

#[test]
fn a_service_that_is_away_is_found_and_other_checks_are_named() {
    block_on(async {
        for diagnosis in diagnoses().await {
            let found: Vec<&str> = diagnosis.findings.iter().map(|found| found.check.name).collect();
            assert_eq!(found, ["service-unreachable"]);
            assert_eq!(diagnosis.passed().count(), 0, "{diagnosis:?}");
            assert_eq!(diagnosis.unchecked.len() + 1, diagnosis.checks.len(), "{diagnosis:?}");
        }
    });
}
