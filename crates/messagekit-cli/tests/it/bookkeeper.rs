//! `messagekit bookkeeper` without a broker.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::command::{AWAY, messagekit, messagekit_with};
use crate::console::Console;
use crate::server::{Server, get};

/// Runs it with a configuration that it must reject.
fn told(text: &str, variables: &[(&str, &str)], problems: &[&str]) {
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("books.toml");
    fs::write(&config, text).unwrap();
    let start = ["bookkeeper", "--config", config.to_str().unwrap()];
    for arguments in [&start[..], &[&start[..], &["--check"]].concat()] {
        let answer = messagekit_with(arguments, variables);
        assert_eq!((answer.code, answer.err.lines().count(), &*answer.out), (2, 1, ""), "{answer:?}");
        assert!(!answer.err.contains("s3cret"), "{answer:?}");
        for problem in problems {
            assert!(answer.err.contains(problem), "{problem:?} is missing: {answer:?}");
        }
    }
}

#[test]
fn all_mistakes_of_a_configuration_are_reported_together() {
    told("", &[], &["nothing to read", "no database: write [[database]]"]);
    told(
        "[bookkeeper]\nqueues = ['shipping.dead']\ntopics = ['bridge.dead']\nqueue = 'x'\n\
         [[database]]\nname = 'shop'\nurl = 'mysql://me:s3cret@host/x'\n\
         [rabbitmq]\nurl = 'http://me:s3cret@rabbit'\n[kafka]\nproperties = { 'enable.auto.commit' = true }\n",
        &[("MESSAGEKIT_BOOKKEEPER__LISTEN", "8091")],
        &[
            "bookkeeper.listen (MESSAGEKIT_BOOKKEEPER__LISTEN)",
            "bookkeeper.queue (",
            "did you mean queues?",
            "database.0.url (",
            "rabbitmq.url (",
            "kafka.brokers (",
        ],
    );
    let two = "[bookkeeper]\nqueues = ['q']\n[rabbitmq]\nurl = 'amqp://localhost'\n[[database]]\nname = 'a'\n\
               url = 'sqlite:a.db'\n[[database]]\nname = 'b'\nurl = 'sqlite:b.db'\n";
    told(two, &[], &["write the name of one [[database]]"]);
    told(two, &[("MESSAGEKIT_BOOKKEEPER__DATABASE", "c")], &["write the name of one [[database]]"]);
    messagekit(&["bookkeeper", "--config", "/nowhere/books.toml"]).refused(2, &["/nowhere/books.toml"]);
    messagekit(&["bookkeeper", "--confi", "x"]).refused(2, &["--config"]);
}

#[test]
fn a_check_refuses_every_name_that_a_start_refuses() {
    let text = "[bookkeeper]\nname = 'the books'\ndatabase = 'shop'\nqueues = ['q', 'q', '']\ntopics = ['a b']\n\
                [rabbitmq]\nurl = 'amqp://localhost'\n[kafka]\nbrokers = ['localhost']\n\
                [[database]]\nname = 'shop'\nurl = 'sqlite:a.db'\n[[database]]\nname = 'shop'\nurl = 'sqlite:b.db'\n\
                [[database]]\nname = 'Big Shop'\nurl = 'postgres://me:s3cret@host:port/shop'\n\
                [[database]]\nname = 'Big Shop'\nurl = 'sqlite:c.db'\n";
    told(
        text,
        &[("MESSAGEKIT_LOG", "a=b=c")],
        &[
            "bookkeeper.name (",
            "bookkeeper.queues (",
            "q is named twice",
            "name \"\" of a queue or exchange is not 1 to 255 bytes",
            "bookkeeper.topics (",
            "\"a b\"",
            "database.1.name (",
            "there are two databases shop",
            "database.2.url (",
            "database.3.name (",
            "1 to 63 of a-z, 0-9, _ and -",
            "write the name of one [[database]]",
            "MESSAGEKIT_LOG is no level",
        ],
    );
    let whole = "[bookkeeper]\nname = 'books'\nqueues = ['q', 'r']\n[rabbitmq]\nurl = 'amqp://localhost'\n\
                 [[database]]\nname = 'shop'\nurl = 'postgres://me@localhost/shop'\n";
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("books.toml");
    fs::write(&config, whole).unwrap();
    let checked = messagekit(&["bookkeeper", "--check", "--config", config.to_str().unwrap()]);
    assert_eq!(checked.text(), "settings of bookkeeper books can be used\n");
}

#[test]
fn a_database_that_is_not_there_is_a_failure() {
    let variables = [
        ("MESSAGEKIT_BOOKKEEPER__QUEUES", "shipping.dead"),
        ("MESSAGEKIT_RABBITMQ__URL", "amqp://localhost"),
        ("MESSAGEKIT_DATABASE__0__URL", "sqlite:/nowhere/books.db"),
    ];
    messagekit_with(&["bookkeeper"], &variables).refused(1, &["no such database file", "/nowhere/books.db"]);
}

#[tokio::test]
async fn a_bookkeeper_without_its_brokers_lives_and_is_not_ready() {
    let console = Console::empty().await;
    let (rabbitmq, database) =
        (format!("amqp://me:s3cret@{AWAY}"), format!("sqlite:{}", console.file().display()));
    let variables = [
        ("MESSAGEKIT_BOOKKEEPER__LISTEN", "127.0.0.1:0"),
        ("MESSAGEKIT_BOOKKEEPER__QUEUES", "shipping.dead"),
        ("MESSAGEKIT_BOOKKEEPER__TOPICS", "bridge.dead"),
        ("MESSAGEKIT_RABBITMQ__URL", &rabbitmq),
        ("MESSAGEKIT_KAFKA__BROKERS", AWAY),
        ("MESSAGEKIT_DATABASE__0__URL", &database),
    ];
    let mut server = Server::start(&["bookkeeper"], &variables);
    let position = server.says("health and metrics on ");
    assert_eq!(get(&format!("{position}/health/live"), None).status(), 200);
    let ready = get(&format!("{position}/health/ready"), None);
    assert_eq!(ready.status(), 503);
    let report: Value = ready.into_body().read_json().unwrap();
    assert!(!report.to_string().contains("s3cret"), "{report}");
    assert_eq!(report["databases"][0]["status"], "healthy", "{report}");
    for (index, name, lacks) in [(0, "queues", "shipping.dead"), (1, "topics", "bridge.dead")] {
        let connection = &report["connections"][index];
        assert_eq!((&connection["connection"], &connection["status"]), (&name.into(), &"unhealthy".into()));
        assert!(connection["error"].as_str().unwrap().contains(lacks), "{report}");
    }
    let (code, err) = server.stop("TERM");
    assert_eq!((code, err.contains("s3cret")), (Some(0), false), "{err}");
}
