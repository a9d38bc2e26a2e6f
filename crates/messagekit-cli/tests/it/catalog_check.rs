//! `messagekit catalog check`: a build that fails where services do not fit each other.

use std::fs;

use serde_json::{Value, json};

use crate::command::messagekit;
use crate::services::{Known, Services, object};

const PLACED: &str = "orders.order.placed";

fn id() -> Value {
    object(&[("id!", json!({"type": "string"}))])
}

fn with_pence() -> Value {
    object(&[("id!", json!({"type": "string"})), ("pence!", json!({"type": "integer"}))])
}

fn placed(version: &str, schema: Value) -> Known {
    Known::new(PLACED, version, schema)
}

/// Returns the problems of services, as one document.
fn problems(services: &Services) -> Vec<Value> {
    let answer = services.run("check", &["--json"]);
    let found: Value = serde_json::from_str(&answer.out).unwrap();
    let problems = found["problems"].as_array().unwrap().clone();
    assert_eq!(answer.code, i32::from(!problems.is_empty()), "{answer:?}");
    problems
}

/// Requires one problem with these texts, in the document and in the table.
fn one_problem(services: &Services, service: &str, versions: &str, texts: &[&str]) {
    let found = problems(services);
    assert_eq!(found.len(), 1, "{found:#?}");
    let column = |name: &str| found[0][name].as_str().unwrap().to_owned();
    assert_eq!(
        (column("service"), column("versions")),
        (service.to_owned(), versions.to_owned()),
        "{found:#?}"
    );
    let whole = format!("{} {}", column("problem"), column("repair"));
    assert!(texts.iter().all(|text| whole.contains(text)), "{texts:?}: {whole}");
    let answer = services.run("check", &[]);
    assert_eq!(answer.code, 1, "{answer:?}");
    assert!(answer.out.contains("what to do") && answer.out.contains(service), "{answer:?}");
    answer.explained(&["1 problems between services"]);
}

#[test]
fn services_that_fit_each_other_pass() {
    let services = Services::new()
        .with("orders", &[placed("1.1", with_pence())], &[], &[])
        .with("billing", &[], &[placed("1.0", id())], &[])
        .with(
            "mailing",
            &[],
            &[placed("2.0", object(&[("key", json!({"type": "string"}))])).upcast_from(&["1.0"])],
            &[placed("1.0", id())],
        );
    let text = services.run("check", &[]).text();
    assert_eq!(text, "no problems, 0 warnings, 3 services, 1 events\n");
    assert_eq!(services.run("check", &["--json"]).json(), json!({"problems": [], "warnings": []}));
}

#[test]
fn a_reader_of_what_no_service_writes_fails_the_build() {
    let services =
        Services::new().with("billing", &[], &[placed("1.0", id())], &[]).with("idle", &[], &[], &[]);
    one_problem(&services, "billing", "1.0", &["no service writes it", "--external", "stop reading it"]);
    let external = services.run("check", &["--external", "a.b", "--external", PLACED]).text();
    assert!(external.starts_with("no problems, 0 warnings"), "{external}");
}

#[test]
fn a_major_version_that_no_service_writes_is_a_problem() {
    let services = Services::new().with("orders", &[placed("2.3", id())], &[], &[]).with(
        "billing",
        &[],
        &[placed("2.0", id()), placed("1.0", id())],
        &[],
    );
    one_problem(
        &services,
        "billing",
        "1.0",
        &["no service writes this major version, only 2.3", "take this one out"],
    );
    assert_eq!(services.run("check", &["--external", PLACED]).code, 0, "another system writes it");
    let ahead = Services::new().with("orders", &[placed("1.0", id())], &[], &[]).with(
        "billing",
        &[],
        &[placed("2.0", id())],
        &[],
    );
    one_problem(&ahead, "billing", "2.0", &["only 1.0", "upcast_from"]);
}

#[test]
fn a_written_version_that_a_reader_lacks_is_a_problem() {
    let orders =
        || Services::new().with("orders", &[placed("1.0", id()), placed("2.0", with_pence())], &[], &[]);
    let older = orders().with("billing", &[], &[placed("1.0", id())], &[]);
    one_problem(
        &older,
        "billing",
        "2.0 written, 1.0 read",
        &["major version 2", "orders writes", "deploy the reader"],
    );
    let newer = orders().with("billing", &[], &[placed("2.0", with_pence())], &[]);
    one_problem(&newer, "billing", "1.0 written, 2.0 read", &["major version 1", "add an upcaster"]);
    let upcast = orders().with("billing", &[], &[placed("2.0", with_pence()).upcast_from(&["1.0"])], &[]);
    assert_eq!(problems(&upcast), [] as [Value; 0]);
    let both = orders().with("billing", &[], &[placed("1.0", id()), placed("2.0", with_pence())], &[]);
    assert_eq!(problems(&both), [] as [Value; 0]);
}

#[test]
fn what_a_reader_requires_must_be_written() {
    let orders = || Services::new().with("orders", &[placed("1.0", id())], &[], &[]);
    let same_major = orders().with("billing", &[], &[placed("1.1", with_pence())], &[]);
    let texts = ["does not read what orders writes", "pence", "raise the major version"];
    one_problem(&same_major, "billing", "1.0 written, 1.1 read", &texts);
    let reads = [placed("2.0", id()).upcast_from(&["1.0"])];
    let earlier = orders().with("billing", &[], &reads, &[placed("1.0", with_pence())]);
    one_problem(&earlier, "billing", "1.0 written, 1.0 read", &["pence"]);
    let newest = [placed("1.1", with_pence()), placed("1.2", id())];
    assert_eq!(
        problems(&orders().with("billing", &[], &newest, &[])),
        [] as [Value; 0],
        "the newest one decides"
    );
}

#[test]
fn writers_of_one_version_must_have_one_schema() {
    let services = Services::new()
        .with("orders", &[placed("1.0", id())], &[], &[])
        .with("shop", &[placed("1.0", with_pence())], &[], &[])
        .with("billing", &[], &[placed("1.0", id())], &[]);
    let texts = ["two schemas", "pence is missing in orders and integer in shop", "raise the version"];
    one_problem(&services, "orders, shop", "1.0", &texts);
    let mut described = id();
    described["description"] = json!("An order.");
    let same = Services::new()
        .with("orders", &[placed("1.0", id())], &[], &[])
        .with("shop", &[placed("1.0", described), placed("1.1", with_pence())], &[], &[])
        .with("billing", &[], &[placed("1.0", id())], &[]);
    assert_eq!(problems(&same), [] as [Value; 0], "texts and other versions may differ");
}

#[test]
fn one_event_has_one_topic() {
    let writers = Services::new()
        .with("orders", &[placed("1.0", id())], &[], &[])
        .with("shop", &[placed("1.1", id()).topic("shop.orders")], &[], &[])
        .with("billing", &[], &[placed("1.0", id())], &[]);
    one_problem(
        &writers,
        "orders, shop",
        "1.0, 1.1",
        &["topic orders.order and to shop.orders", "one topic"],
    );
    let reader = Services::new().with("orders", &[placed("1.0", id())], &[], &[]).with(
        "billing",
        &[],
        &[placed("1.0", id()).topic("bills")],
        &[],
    );
    one_problem(&reader, "billing", "1.0", &["read from the topic bills and written to orders.order"]);
}

#[test]
fn a_service_has_one_document() {
    let services = Services::new().with("orders", &[], &[], &[]).with("orders", &[], &[], &[]);
    one_problem(&services, "orders", "-", &["several documents name this service"]);
    let folder = services.text("out");
    let answer = services.run("check", &["--folder", &folder]);
    assert!(answer.code == 1 && answer.out.contains("several documents"), "{answer:?}");
    services.run("render", &["--to", &folder]).refused(1, &["several documents name one service", "orders"]);
    assert!(!services.path("out").exists());
}

#[test]
fn what_no_service_reads_is_a_warning() {
    let services =
        Services::new().with("orders", &[placed("1.0", id())], &[], &[Known::new("a.b", "1.0", id())]);
    let text = services.run("check", &[]).text();
    for part in [
        "warning",
        PLACED,
        "no service reads it",
        "a.b",
        "neither writes nor reads it",
        "no problems, 2 warnings",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_folder_that_is_not_up_to_date_fails_the_build() {
    let services = Services::new().with("orders", &[placed("1.0", id())], &[], &[]).with(
        "billing",
        &[],
        &[placed("1.0", id())],
        &[],
    );
    let folder = services.text("out");
    let check = || services.run("check", &["--folder", &folder]);
    let answer = check();
    assert_eq!((answer.code, answer.out.matches("is missing").count()), (1, 3), "{answer:?}");
    services.render("out");
    check().text();
    let page = services.path("out/events/orders.order.placed.md");
    let gone = services.path("out/events/gone.md");
    fs::copy(&page, &gone).unwrap();
    fs::write(&page, fs::read_to_string(&page).unwrap() + "more").unwrap();
    fs::write(services.path("out/events/own.md"), "a page of the team").unwrap();
    let answer = check();
    assert_eq!(answer.code, 1, "{answer:?}");
    for text in [
        "events/orders.order.placed.md is not up to date",
        "events/gone.md is of an event that is gone",
        "run messagekit catalog render",
    ] {
        assert!(answer.out.contains(text), "{text}: {answer:?}");
    }
    answer.explained(&["2 problems"]);
    services.render("out");
    check().text();
}

#[test]
fn what_cannot_be_read_is_a_usage_error_with_its_file() {
    let services = Services::new().with("orders", &[], &[], &[]);
    let (good, bad) = (services.text("0.json"), services.text("bad.json"));
    let check = |file: &str| messagekit(&["catalog", "check", &good, file]);
    check(&bad).refused(2, &["contracts cannot be read", "bad.json"]);
    fs::write(&bad, "{}").unwrap();
    check(&bad).refused(2, &["no document of contracts", "bad.json"]);
    fs::write(&bad, r#"{"format": 1, "events": []}"#).unwrap();
    check(&bad).refused(2, &["do not say whose they are", "of_service", "bad.json"]);
    messagekit(&["catalog", "check"]).refused(2, &["<FILE>..."]);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_messagekit"));
    command.args(["catalog", "check", "-"]).stdin(fs::File::open(&good).unwrap());
    let output = command.output().unwrap();
    assert!(output.status.success() && output.stdout.starts_with(b"no problems"), "{output:?}");
}
