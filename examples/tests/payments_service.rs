//! The service of `docs/write-a-service.md`: its handlers, its program, and that the page shows this program.

#[path = "../17_payments_service.rs"]
#[allow(dead_code, reason = "the program's own main is not called")]
mod service;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use messagekit::adapter::FailureKind;
use messagekit::{Delivered, Envelope, Outbox};
use messagekit_sqlite::SqliteStore;
use messagekit_testkit::service::Scenario;
use messagekit_testkit::{DEADLINE, eventually};
use service::{OrderPlaced, PaymentTaken, Provider, consumer, create_tables, open};

fn order(pence: i64) -> Envelope<OrderPlaced> {
    Envelope::new(OrderPlaced { order_id: "o-1".to_owned(), pence })
}

async fn payments(store: &SqliteStore) -> i64 {
    store.read(|c| c.query_row("SELECT count(*) FROM payments", (), |row| row.get(0))).await.expect("a count")
}

#[tokio::test]
async fn an_order_is_charged_booked_and_announced_once() {
    let store = SqliteStore::temporary().await.expect("a file");
    create_tables(&store).await.expect("tables");
    let payments_consumer = consumer(&store, Arc::new(Provider::default())).expect("it is complete");
    let order = order(1_250);
    let charge = format!("charge-of-{}", order.event_id);
    let taken = PaymentTaken { order_id: "o-1".to_owned(), charge };
    let mut scenario = Scenario::of(&payments_consumer);
    assert_eq!(scenario.deliver(order).await.expect("delivered"), Delivered::Handled);
    assert_eq!(scenario.redeliver().await.expect("delivered"), Delivered::Duplicate);
    let emitted = scenario.emitted::<PaymentTaken>().await.expect("emitted");
    assert_eq!(emitted.len(), 1);
    assert_eq!((&emitted[0].data.order_id, &emitted[0].data.charge), (&taken.order_id, &taken.charge));
    assert_eq!(payments(&store).await, 1);
}

#[tokio::test]
async fn an_order_without_a_price_is_dead_and_an_outage_is_none() {
    let store = SqliteStore::temporary().await.expect("a file");
    create_tables(&store).await.expect("tables");
    let provider = Arc::new(Provider::default());
    let payments_consumer = consumer(&store, Arc::clone(&provider)).expect("it is complete");
    Scenario::of(&payments_consumer).when(order(0)).then_fails(FailureKind::Permanent).await;
    provider.is_away.store(true, Ordering::Relaxed);
    Scenario::of(&payments_consumer).when(order(5)).then_fails(FailureKind::Unavailable).await;
    assert_eq!(payments(&store).await, 0);
}

/// Another process writes the orders, as the service of orders does, and the program stops by a signal.
#[tokio::test]
async fn the_program_serves_orders_and_its_health_until_a_signal() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("payments.db");
    let mut program = Command::new(env!("CARGO_BIN_EXE_17-payments-service"));
    program.env("MESSAGEKIT_DATABASE__0__URL", format!("sqlite:{}", file.display()));
    program.env("MESSAGEKIT_PAYMENTS__LISTEN", "127.0.0.1:0");
    let mut program = program.stdout(Stdio::piped()).spawn().expect("the example starts");
    let mut lines = BufReader::new(program.stdout.take().expect("its output")).lines();
    let address = lines.next().expect("a line").expect("text");
    let address = address.strip_prefix("listening on ").expect("an address").to_owned();

    let store = open(&file).await.expect("the same file");
    let outbox = Outbox::new(store.clone(), "orders").expect("a name");
    let placed = OrderPlaced { order_id: "o-1".to_owned(), pence: 1_250 };
    outbox.transaction(async |tx| Ok(outbox.add(tx, placed).await?)).await.expect("committed");
    eventually("the order is paid", DEADLINE, async || payments(&store).await == 1).await;
    let get = |path: &str| {
        let mut response = ureq::get(format!("{address}{path}")).call().expect("an answer");
        response.body_mut().read_to_string().expect("text")
    };
    let ready = get("/health/ready");
    assert!(ready.contains(r#""consumer":"payments","status":"healthy""#), "{ready}");
    assert!(get("/metrics").contains("messagekit_consumer_handled_total{consumer=\"payments\""));

    let signal =
        Command::new("kill").args(["-TERM", &program.id().to_string()]).status().expect("it is sent");
    assert!(signal.success());
    assert!(program.wait().expect("it ends").success());
}

#[test]
fn the_program_says_which_setting_is_missing() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_17-payments-service"));
    program.env("MESSAGEKIT_PAYMENTS__LISTEN", "nowhere").env("MESSAGEKIT_LOG", "loud");
    let refused = program.output().expect("the example starts");
    let said = String::from_utf8(refused.stderr).expect("text");
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    for problem in [
        "payments: 3 problems",
        "MESSAGEKIT_LOG is no level",
        "MESSAGEKIT_DATABASE__0__URL",
        "payments.listen (MESSAGEKIT_PAYMENTS__LISTEN)",
    ] {
        assert!(said.contains(problem), "{problem:?} is not in {said}");
    }
}

#[test]
fn the_program_reads_the_file_of_its_settings() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("payments.toml");
    std::fs::write(&file, "[payments]\nlisten = '127.0.0.1:0'\nlimit = 3\n").expect("written");
    let mut program = Command::new(env!("CARGO_BIN_EXE_17-payments-service"));
    let refused = program.env("MESSAGEKIT_CONFIG", &file).output().expect("the example starts");
    let said = String::from_utf8(refused.stderr).expect("text");
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("payments.toml:3") && said.contains("unknown key"), "{said}");
}

/// Every block of the page is a part of the program or of these tests, and no function of the program is left out of the page.
#[test]
fn the_page_shows_this_program() {
    let page = include_str!("../../docs/write-a-service.md");
    let sources = [include_str!("../17_payments_service.rs"), include_str!("payments_service.rs")];
    let blocks: Vec<&str> =
        page.split("```rust,ignore\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0)).collect();
    assert!(blocks.len() >= 6, "{} blocks", blocks.len());
    for block in &blocks {
        assert!(
            sources.iter().any(|source| source.contains(block.trim_end())),
            "not in the program:\n{block}"
        );
    }
    for line in sources[0].lines().filter(|line| line.contains("fn ") || line.contains("struct ")) {
        assert!(page.contains(line), "the page does not show: {line}");
    }
}
