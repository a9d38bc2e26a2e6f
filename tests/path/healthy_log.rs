//! The log of the programs without errors: no warning and no error, because operators would learn to ignore both.

use std::fs;

use messagekit_shipping::{FAILED_MESSAGES, QUEUE};
use messagekit_testkit::{block_on, eventually};
use messagekit_tests::{Database, Program, services};
use tempfile::TempDir;

use crate::billing::{PATIENCE, number, start_member};
use crate::bridge::Bridge;
use crate::cdc::{messagekit, said};
use crate::console::Console;
use crate::names::Names;
use crate::orders::Order;
use crate::process::launch;
use crate::shop::start_shipping;
use crate::turn;
use crate::{broker, queues};

fn start_relay(name: &'static str, database: &Database) -> Program {
    let done = messagekit(&["migrate", "--database", database.url(), "--relay"]);
    assert!(done.status.success(), "{}", said(&done));
    let kafka = services::kafka();
    let arguments = ["relay", "--database", database.url(), "--kafka", &kafka, "--listen", "127.0.0.1:0"];
    launch("messagekit", &arguments).named(name).start()
}

fn bookkeeper_name(names: &Names) -> String {
    format!("{}bookkeeper", names.prefix)
}

fn start_bookkeeper(folder: &TempDir, database: &Database, names: &Names) -> Program {
    let settings = format!(
        "[bookkeeper]\nname = \"{0}\"\nlisten = \"127.0.0.1:0\"\nqueues = [\"{FAILED_MESSAGES}\"]\ntopics = [\"{1}.dead\"]\n\
         [[database]]\nname = \"billing\"\nurl = \"{2}\"\n[rabbitmq]\nurl = \"{3}\"\n[kafka]\nbrokers = [\"{4}\"]\n",
        bookkeeper_name(names),
        names.bridge,
        database.url(),
        services::amqp_url(),
        services::kafka(),
    );
    let file = folder.path().join("bookkeeper.toml");
    fs::write(&file, settings).unwrap();
    let arguments = ["bookkeeper", "--config", file.to_str().unwrap()];
    launch("messagekit", &arguments).named("healthy-bookkeeper").start()
}

fn place(address: &str) {
    let order = Order {
        id: "healthy-1".to_owned(),
        customer: Some("c-1".to_owned()),
        country: "France".to_owned(),
        pence: 990,
    };
    let answer = ureq::post(format!("{address}/orders")).send_json(&order).unwrap();
    assert_eq!(answer.status().as_u16(), 201);
}

/// Returns whether a line has such a level, in the form `TIME LEVEL target: text`.
fn is_alarming(line: &str) -> bool {
    line.split_whitespace().nth(1).is_some_and(|level| matches!(level, "WARN" | "ERROR"))
}

/// Returns whether a line says no more than that the machine was slow at this moment.
fn is_slowness(line: &str) -> bool {
    ["slow statement", "no checkpoint was noted in time"].iter().any(|text| line.contains(text))
}

/// The alarming lines of a program, but for a few that a busy machine causes.
fn alarming(program: &Program) -> Vec<String> {
    let log = program.log();
    let output = log.lines().map(str::to_owned).chain(program.printed());
    let (slow, alarming): (Vec<_>, Vec<_>) =
        output.filter(|line| is_alarming(line)).partition(|line| is_slowness(line));
    let too_many = if slow.len() > 2 { slow } else { Vec::new() };
    alarming.into_iter().chain(too_many).map(|line| format!("{}: {line}", program.name())).collect()
}

#[test]
fn no_program_logs_a_warning_or_an_error_while_all_is_well() {
    let _turn = turn::alone();
    block_on(async {
        let names = Names::make().await;
        queues::wipe().await;
        let folder = TempDir::new().unwrap();
        let databases = (Database::fresh().await, Database::fresh().await, Database::fresh().await);
        let (orders_database, billing_database, shipping_database) = &databases;

        let shipping = start_shipping(shipping_database);
        // Without its queue the bridge would have to set the bill aside, and the bookkeeper has nothing to read.
        eventually("shipping has its queue", PATIENCE, async || queues::waiting(QUEUE).await.is_some()).await;
        let settings = [
            ("MESSAGEKIT_DATABASE__0__URL", orders_database.url()),
            ("MESSAGEKIT_ORDERS__LISTEN", "127.0.0.1:0"),
            ("MESSAGEKIT_ORDERS__NAME_PREFIX", &names.prefix),
        ];
        let orders = launch("messagekit-orders", &[]).variables(settings).start();
        let relays = [
            start_relay("healthy-relay-orders", orders_database),
            start_relay("healthy-relay-billing", billing_database),
        ];
        let billing = start_member(billing_database, &names, 0);
        let bridge = Bridge::start(&names);
        let bookkeeper = start_bookkeeper(&folder, billing_database, &names);
        let console = Console::open(billing_database, &["ann"]);

        place(&orders.address());
        eventually("the order is shipped", PATIENCE, async || {
            number(shipping_database, "SELECT count(*) FROM shipments").await == Some(1)
        })
        .await;
        let topics = format!("{}.topics", bookkeeper_name(&names));
        eventually("the bookkeeper reads", PATIENCE, async || {
            let has_topic = broker::working_members(&topics).len() == 1;
            has_topic && queues::readers(FAILED_MESSAGES).await == Some(1)
        })
        .await;
        let ready = || console.operator("ann").get("/health/ready").0 == 200;
        eventually("the console is ready", PATIENCE, async || ready()).await;

        let [relay_of_orders, relay_of_billing] = relays;
        let mut programs = [
            orders,
            relay_of_orders,
            relay_of_billing,
            billing,
            bridge.process,
            shipping,
            bookkeeper,
            console.process,
        ];
        for program in &mut programs {
            program.stop().await;
        }
        let alarming: Vec<String> = programs.iter().flat_map(alarming).collect();
        assert!(alarming.is_empty(), "healthy programs raise an alarm:\n{}", alarming.join("\n"));
    });
}
