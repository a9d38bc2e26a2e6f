//! `messagekit status`.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use messagekit::adapter::{Markers, Positions, UnhandledType};
use messagekit_sqlite::SqliteStore;
use serde_json::json;

use crate::command::on;
use crate::console::{Console, message};

#[tokio::test]
async fn one_screen_shows_outbox_consumers_and_failed_messages() {
    let console = Console::with((0..3).map(|_| message(None, b"{}"))).await;
    let file = console.file();
    let status = on(&file, &["status", "--json"]).json();
    let database = &status["databases"][0];
    assert_eq!((&database["database"], &database["outbox"]["pending"]), (&json!("shop"), &json!(0)));
    assert_eq!(database["consumers"][0]["consumer"], "billing");
    let states =
        json!([{"state": "retry_scheduled", "failed_messages": 1}, {"state": "dead", "failed_messages": 2}]);
    assert_eq!(
        (&database["failed_messages"], &database["consumers"][0]["failed_messages"]),
        (&states, &states)
    );
    let screen = on(&file, &["status"]).text();
    for part in ["shop", "local", "billing", "1 retry_scheduled, 2 dead"] {
        assert!(screen.contains(part), "{part}: {screen}");
    }
    on(&file, &["status", "--json", "--watch"]).refused(2, &["--watch"]);
}

#[tokio::test]
async fn missing_dedup_window_is_named_none() {
    let console = Console::with([message(None, b"{}")]).await;
    let file = console.file();
    let windows = || {
        let consumers = on(&file, &["status", "--json"]).json()["databases"][0]["consumers"].clone();
        consumers
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["dedup_window_seconds"].clone())
            .collect::<Vec<_>>()
    };
    let line = |consumer: &str| {
        let screen = on(&file, &["status"]).text();
        screen.lines().find(|line| line.contains(consumer)).unwrap().to_owned()
    };
    assert_eq!(windows(), [json!(null)]);
    assert!(line("billing").contains("none"), "{}", line("billing"));

    let store = SqliteStore::open(&file).await.unwrap();
    for (consumer, hours) in [("stock", 48), ("tax", 36)] {
        store.note_window(consumer, Some(Duration::from_secs(hours * 3_600))).await.unwrap();
    }
    store.note_window("vat", None).await.unwrap();
    store.close().await.unwrap();
    assert_eq!(windows(), [json!(null), json!(172_800), json!(129_600), json!(null)]);
    assert!(line("vat").contains("none"), "{}", line("vat"));
    assert!(line("stock").contains("2d") && !line("stock").contains("none"), "{}", line("stock"));
    assert!(line("tax").contains("36h"), "{}", line("tax"));
}

#[tokio::test]
async fn watched_screen_is_drawn_again() {
    let console = Console::empty().await;
    let mut child = Command::new(env!("CARGO_BIN_EXE_messagekit"))
        .args(["status", "--watch", "--database", &format!("sqlite:{}", console.file().display())])
        .stdout(Stdio::piped())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    // Each drawing begins with an empty screen.
    let mut drawings = lines.filter(|line| line.contains("\u{1b}[2J"));
    for _ in 0..2 {
        let first = drawings.next().unwrap();
        assert!(!first.contains("\u{1b}[3J"), "what was scrolled away stays: {first:?}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test]
async fn running_services_stand_on_the_screen() {
    let console = Console::empty().await;
    let file = console.file();
    // No process listens on port 1.
    let with = ["status", "--service", "billing=http://127.0.0.1:1"];
    let status = on(&file, &[&with[..], &["--json"]].concat()).json();
    let service =
        json!({"service": "billing", "status": "unhealthy", "error": "no connection", "consumers": []});
    assert_eq!(status["services"], json!([service]));
    let screen = on(&file, &with).text();
    assert!(screen.contains("unhealthy: no connection"), "{screen}");
    on(&file, &["status", "--service", "http://127.0.0.1:1"]).refused(2, &["NAME=URL"]);
    let secret = on(&file, &["status", "--service", "billing=http://me:sesame@127.0.0.1"]);
    assert!(!secret.err.contains("sesame"), "{secret:?}");
    secret.refused(2, &["without login and path"]);
}

#[tokio::test]
async fn types_without_a_handler_are_shown_with_similar_ones() {
    let console = Console::empty().await;
    let file = console.file();
    let screen = on(&file, &["status"]).text();
    assert!(!screen.contains("type without a handler"), "{screen}");
    let store = SqliteStore::open(&file).await.unwrap();
    store.note_window("billing", None).await.unwrap();
    let passed_over = |event_type: &str, similar: &[&str]| UnhandledType {
        topic: "orders.order".into(),
        event_type: event_type.to_owned(),
        similar: similar.iter().copied().map(str::to_owned).collect(),
        messages: 3,
    };
    let types = [passed_over("orders.palced", &["orders.placed"]), passed_over("red\u{1b}[31m", &[])];
    store.note_unhandled("billing", &types).await.unwrap();
    store.close().await.unwrap();

    let screen = on(&file, &["status"]).text();
    assert!(screen.contains("type without a handler") && !screen.contains('\u{1b}'), "{screen}");
    let line = screen.lines().find(|line| line.contains("orders.palced")).unwrap();
    for part in ["billing", "orders.order", " 3 ", "orders.placed"] {
        assert!(line.contains(part), "{part} in {line}");
    }
    let status = on(&file, &["status", "--json"]).json();
    let unhandled = &status["databases"][0]["consumers"][0]["unhandled"];
    assert_eq!(
        (&unhandled[0]["event_type"], &unhandled[0]["similar"], &unhandled[0]["messages"]),
        (&json!("orders.palced"), &json!(["orders.placed"]), &json!(3))
    );
    assert!(unhandled[0]["first_at"].is_string() && unhandled[0]["last_at"].is_string(), "{unhandled}");

    let warned = on(&file, &["doctor", "--strict"]);
    assert_eq!((warned.code, &*warned.err), (1, "messagekit: doctor: 1 warning\n"), "{warned:?}");
    for part in [
        "event-type-misspelt of shop: consumer billing",
        "3 messages of type \"orders.palced\"",
        "handles orders.placed",
    ] {
        assert!(warned.out.contains(part), "{part} in {}", warned.out);
    }
}
