//! `messagekit connector` and PostgreSQL without a database or a worker.

use serde_json::json;

use crate::command::{ALSO_AWAY, AWAY, messagekit, messagekit_with};

const DATABASE: &str = "postgres://me:s3cret@db.internal:5433/web-shop?sslmode=require";

#[test]
fn the_settings_are_those_of_the_database_and_hold_no_password() {
    let given = messagekit(&["connector", "render", "--database", DATABASE]);
    let named = messagekit_with(&["connector", "render"], &[("MESSAGEKIT_DATABASE_URL", DATABASE)]);
    assert!(!given.out.contains("s3cret") && !given.out.contains("me:"), "{}", given.out);
    let settings = given.json();
    assert_eq!(settings, named.json());
    for (name, value) in [
        ("database.hostname", "db.internal"),
        ("database.port", "5433"),
        ("database.dbname", "web-shop"),
        ("database.user", "messagekit_cdc"),
        ("database.password", "${env:MESSAGEKIT_CDC_PASSWORD}"),
        ("database.sslmode", "require"),
        ("slot.name", "messagekit_web_shop"),
        ("publication.name", "messagekit_outbox"),
        ("table.include.list", "messagekit.outbox_events"),
        ("transforms.outbox.route.topic.replacement", "${routedByValue}"),
        ("errors.tolerance", "none"),
        // A broker that has just created a topic may refuse the first of several requests and accept the second.
        ("producer.override.max.in.flight.requests.per.connection", "1"),
    ] {
        assert_eq!(settings[name], json!(value), "{name}");
    }
}

#[test]
fn headers_are_placed_under_the_names_that_consumers_read() {
    use messagekit::headers;

    let settings = messagekit(&["connector", "render", "--database", DATABASE]).json();
    let placed = settings["transforms.outbox.table.fields.additional.placement"].as_str().unwrap();
    // COLUMN:header, or COLUMN:header:NAME.
    let names: Vec<&str> =
        placed.split(',').map(|field| field.split(':').rfind(|part| *part != "header").unwrap()).collect();
    let expected = [
        headers::EVENT_TYPE,
        headers::CONTENT_TYPE,
        headers::TRACEPARENT,
        headers::CREATED_AT,
        headers::FREE_HEADERS,
    ];
    assert_eq!(names, expected);
}

#[test]
fn worker_may_use_another_database_host_and_variable() {
    let with = |arguments: &[&str]| {
        messagekit(&[&["connector", "render", "--database", DATABASE], arguments].concat())
    };
    let settings = with(&["--database-host", "postgres:5432", "--password-variable", "SHOP_CDC"]).json();
    assert_eq!(
        (&settings["database.hostname"], &settings["database.port"]),
        (&json!("postgres"), &json!("5432"))
    );
    assert_eq!(settings["database.password"], json!("${env:SHOP_CDC}"));
    for position in ["postgres", ":5432", "postgres:", "me:pw@postgres:5432", "postgres:70000"] {
        with(&["--database-host", position]).refused(2, &["write HOST:PORT"]);
    }
    for password in ["s3cret!", "", "a}b"] {
        let answer = with(&["--password-variable", password]);
        assert!(!answer.err.contains("s3cret"), "{answer:?}");
        answer.refused(2, &["never a password"]);
    }
}

#[test]
fn what_is_not_understood_ends_with_2() {
    let on = |arguments: &[&'static str]| messagekit(&[&["connector"], arguments].concat());
    on(&["render"]).refused(2, &["--database <URL>"]);
    on(&["apply", "--database", DATABASE]).refused(2, &["--connect <URL> (or MESSAGEKIT_CONNECT_URL)"]);
    on(&["render", "--database", "sqlite:shop.db"]).refused(2, &["a SQLite file has no connector"]);
    on(&["render", "--database", DATABASE, "--name", "a/b"]).refused(2, &["\"a/b\"", "--name"]);
    for url in ["connect:8083", "http://", "file:///etc"] {
        on(&["status", "--database", DATABASE, "--connect", url]).refused(2, &["write http://HOST:PORT"]);
    }
    messagekit(&["migrate", "--cdc", "--database", "sqlite:never.db"]).refused(2, &["leave --cdc out"]);
    messagekit(&["migrate", "--cdc", "--status", "--database", DATABASE])
        .refused(2, &["cannot be used with"]);
}

#[test]
fn a_url_that_cannot_be_read_is_not_repeated() {
    for url in [
        "postgres://me:s3cret@db.internal:port/shop",
        "postgres://me:s3cret@db.internal:70000/shop",
        "mysql://me:s3cret@db.internal/shop",
    ] {
        for command in
            [&["migrate"][..], &["dlq", "list"], &["connector", "render"], &["migrate", "--status"]]
        {
            let answer = messagekit(&[command, &["--database", url]].concat());
            assert!(!answer.err.contains("s3cret") && !answer.err.contains("db.internal"), "{answer:?}");
            answer.refused(2, &["write"]);
        }
    }
}

#[test]
fn unreachable_server_is_a_failure_with_its_address() {
    let url = format!("postgresql://me:s3cret@{AWAY}/shop");
    let worker = format!("http://{ALSO_AWAY}");
    for command in [
        &["migrate"][..],
        &["migrate", "--status"],
        &["migrate", "--dry-run", "--cdc"],
        &["dlq", "list"],
        &["dlq", "show", "1"],
        &["connector", "apply", "--connect", &worker],
    ] {
        let answer = messagekit(&[command, &["--database", &url]].concat());
        assert!(!answer.err.contains("s3cret"), "{answer:?}");
        answer.refused(1, &[AWAY, "does not answer"]);
    }
}

#[test]
fn a_worker_that_is_not_there_is_one_line_of_its_own() {
    let url = format!("postgres://me:s3cret@{AWAY}/shop");
    let connect = format!("http://me:s3cret@{ALSO_AWAY}");
    let position = ["--database", &url, "--connect", &connect];
    let status = messagekit(&[&["connector", "status"], &position[..]].concat());
    assert_eq!(status.code, 1, "{status:?}");
    let lines: Vec<&str> = status.out.lines().collect();
    assert_eq!(lines.len(), 2, "{status:?}");
    for (line, name, position, fix) in
        [(lines[0], "database", AWAY, "start it"), (lines[1], "worker", ALSO_AWAY, "start the worker")]
    {
        assert!(line.starts_with(name) && line.contains("PROBLEM"), "{line}");
        assert!(line.contains(position) && line.contains(fix) && !line.contains("s3cret"), "{line}");
    }
    status.explained(&["messagekit-shop", "2 problems"]);
    let json = messagekit(&[&["connector", "status", "--json"], &position[..]].concat());
    let answer: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((&answer["ok"], &answer["connector"]), (&json!(false), &json!("messagekit-shop")));
    assert_eq!(answer["checks"][1]["check"], "worker");

    let delete = messagekit(&[&["connector", "delete", "--slot", "--yes"], &position[..]].concat());
    assert!(!delete.err.contains("s3cret"), "{delete:?}");
    delete.refused(1, &["Kafka Connect is not reachable", ALSO_AWAY]);
    let delete = messagekit(&[&["connector", "delete"], &position[..]].concat());
    assert!(!delete.err.contains("s3cret"), "{delete:?}");
    delete.refused(1, &["Kafka Connect is not reachable", ALSO_AWAY]);
}

#[test]
fn connector_delete_drops_unread_events_only_when_confirmed() {
    // Both ports are closed: a command that connects before its confirmation fails on them instead.
    let url = format!("postgres://me:s3cret@{AWAY}/shop");
    let connect = format!("http://{ALSO_AWAY}");
    let position = ["--database", &url, "--connect", &connect];
    let asked = messagekit(&[&["connector", "delete", "--slot"], &position[..]].concat());
    assert!(!asked.err.contains("s3cret"), "{asked:?}");
    asked.refused(
        2,
        &["messagekit-shop", "drop slot messagekit_shop", "never sent", "write --yes to confirm"],
    );
    messagekit(&[&["connector", "delete", "--yes"], &position[..]].concat()).refused(2, &["--slot"]);
}
