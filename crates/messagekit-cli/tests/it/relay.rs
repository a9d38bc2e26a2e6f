//! `messagekit relay` and related commands, without a server.

use std::fs;
use std::time::Duration;

use messagekit::adapter::OutboxRows;
use messagekit::relay::{OutboxReader, Rejection, ShardRead};
use messagekit::{Error, ErrorKind, Message, Store};
use messagekit_sqlite::SqliteStore;
use tempfile::TempDir;

use crate::command::{messagekit, messagekit_with, on};
use crate::console::Console;

const DATABASE: [&str; 2] = ["--database", "postgres://me:s3cret@nowhere/shop"];

/// Runs `messagekit relay` with a configuration that it must reject.
fn told(text: &str, arguments: &[&str], variables: &[(&str, &str)], problems: &[&str]) {
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("relay.toml");
    fs::write(&config, text).unwrap();
    let position = ["relay", "--config", config.to_str().unwrap()];
    let answer = messagekit_with(&[&position, arguments].concat(), variables);
    assert_eq!((answer.code, answer.err.lines().count(), &*answer.out), (2, 1, ""), "{answer:?}");
    assert!(!answer.err.contains("s3cret"), "{answer:?}");
    for problem in problems {
        assert!(answer.err.contains(problem), "{problem:?} is missing: {answer:?}");
    }
}

#[test]
fn every_mistake_of_relay_settings_is_reported_at_once() {
    told("", &[], &[], &["no database: write [[database]]", "no broker: write the brokers of Kafka"]);
    told("", &DATABASE, &[], &["no broker"]);
    let rabbitmq = ["--rabbitmq", "http://me:s3cret@rabbit", "--exchange", "events"];
    told("", &[&DATABASE[..], &rabbitmq].concat(), &[], &["rabbitmq.url"]);
    let mysql = ["--database", "mysql://me:s3cret@host/x", "--kafka", "k:9092"];
    told("", &mysql, &[], &["relay.database", "not a database this program knows"]);
    told(
        "[relay]\nexchange = 'events'\nrouting_key = '{topic'\nbatch = 0\nspeed = 1\n[relay.limit]\nmessages = 0\nper = '0s'\n[rabbitmq]\nurl = 'amqp://rabbit'\n",
        &DATABASE,
        &[("MESSAGEKIT_RELAY__POLL", "soon")],
        &[
            "relay.limit.messages (",
            "relay.limit.per (",
            "relay.poll (MESSAGEKIT_RELAY__POLL)",
            "relay.batch (",
            "relay.speed (",
            "brace that stands alone",
        ],
    );
    messagekit(&["relay", "--kafka", "k:9092", "--exchange", "events"]).refused(2, &["--exchange"]);
    messagekit(&["relay", "--poll", "soon"]).refused(2, &["--poll", "write a time such as 50ms"]);
}

#[test]
fn options_win_over_variables_and_those_over_the_file() {
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("relay.toml");
    let text = "[relay]\nname = 'in-the-file'\nlisten = 'nowhere'\npoll = '1s'\n[relay.limit]\nmessages = 1000\nper = '1s'\n[kafka]\nbrokers = ['k:9092']\n\
                [[database]]\nurl = 'postgres://nowhere/shop'\n[bridge]\nname = 'another program'\n";
    fs::write(&config, text).unwrap();
    let position = ["relay", "--check", "--config", config.to_str().unwrap()];
    let listen = ("MESSAGEKIT_RELAY__LISTEN", "127.0.0.1:0");
    let answer = messagekit_with(&position, &[listen]);
    assert_eq!(answer.text(), "settings of relay in-the-file can be used\n");
    let named = ("MESSAGEKIT_RELAY__NAME", "in-a-variable");
    let answer = messagekit_with(&position, &[listen, named]);
    assert_eq!(answer.text(), "settings of relay in-a-variable can be used\n");
    let answer = messagekit_with(&[&position[..], &["--name", "as-option"]].concat(), &[listen, named]);
    assert_eq!(answer.text(), "settings of relay as-option can be used\n");
}

#[test]
fn an_outbox_without_a_relay_has_no_rejected_events() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("shop.db");
    messagekit(&["migrate", "--relay", "--cdc", "--database", "sqlite:x"])
        .refused(2, &["cannot be used with"]);
    messagekit(&["migrate", "--existing", "leave", "--database", "sqlite:x"]).refused(2, &["--relay"]);
    on(&file, &["migrate", "--relay"]).refused(2, &["leave --relay out"]);
    on(&file, &["migrate", "--by-day"]).refused(2, &["leave --by-day out"]);
    assert!(!file.exists(), "nothing was made");
    messagekit(&["outbox", "rejected", "retry", "--database", "sqlite:x"]).refused(2, &["<IDS>"]);
    messagekit(&["outbox", "rejected", "retry", "--all", "7"]).refused(2, &["cannot be used with"]);
}

#[tokio::test]
async fn a_file_from_which_nothing_leaves_has_nothing_rejected() {
    let console = Console::empty().await;
    let list = on(&console.file(), &["outbox", "rejected", "list"]);
    assert_eq!(list.text(), "no rejected events\n");
    let missing = on(&console.file(), &["outbox", "rejected", "retry", "1", "--json"]);
    missing.explained(&["1 of 1 not accepted"]);
}

#[tokio::test]
async fn a_refused_event_of_a_file_is_listed_and_put_back() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("shop.db");
    let store = SqliteStore::options().relayed_topics(["orders.order"]).open(&file).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let event =
        |id: &str| Message::new("orders.order", "{}").with_key("o-1").with_header("id", id.to_owned());
    store.write(&mut tx, &[event("e-1"), event("e-2")]).await.unwrap();
    store.commit(tx).await.unwrap();
    let lease = Duration::from_secs(600);
    let leases = store.lease("relay", lease).await.unwrap();
    let all: Vec<ShardRead> =
        leases.held.iter().map(|lease| ShardRead { lease: *lease, above: i64::MIN }).collect();
    let pending = async || store.pending("relay", &all, &[], &[], 10).await.unwrap();
    let first = &pending().await.rows[0];
    let lease = *leases.held.iter().find(|lease| lease.shard == first.shard).unwrap();
    let error = Some(Error::new(ErrorKind::TooLarge, "too large for its topic"));
    let rejection = Rejection { lease, entry: first.entry(), error };
    assert_eq!(store.set_aside("relay", &rejection).await.unwrap(), 2);

    let list = on(&file, &["outbox", "rejected", "list"]).text();
    assert!(list.contains("e-1") && list.contains("too large for its topic"), "{list}");
    let told = on(&file, &["outbox", "rejected", "retry", "1"]).text();
    assert!(told.contains("back in the outbox, 2 with what waited behind it"), "{told}");
    assert_eq!(on(&file, &["outbox", "rejected", "list"]).text(), "no rejected events\n");
    assert_eq!(pending().await.lost, [first.shard], "whoever reads the shard begins it again");
}
