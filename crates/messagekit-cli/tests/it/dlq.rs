//! `messagekit dlq`.

use std::time::Duration;

use jiff::Timestamp;
use messagekit::adapter::{Failure, FailureKind, Markers, Retries};
use messagekit_sqlite::SqliteStore;
use serde_json::{Value, json};

use crate::command::{messagekit_with, on};
use crate::console::{Console, message};

const NEVER_SEEN: &str = "consumer billing was never seen in this database: unless it is a pipeline, start it, and it runs what was accepted; workers that claim records pass over it\n";

fn ids(list: &Value) -> Vec<i64> {
    list["failed_messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|failed_message| failed_message["id"].as_i64().unwrap())
        .collect()
}

#[tokio::test]
async fn a_file_without_failed_messages_says_so() {
    let console = Console::empty().await;
    assert_eq!(on(&console.file(), &["dlq", "list"]).text(), "no failed messages\n");
    let none = json!({ "failed_messages": [], "unreachable": [], "totals": [] });
    assert_eq!(on(&console.file(), &["dlq", "list", "--json"]).json(), none);
    assert_eq!(on(&console.file(), &["dlq", "groups"]).text(), "no failed messages\n");
    assert_eq!(
        on(&console.file(), &["dlq", "groups", "--json"]).json(),
        json!({ "groups": [], "unreachable": [] })
    );
}

#[tokio::test]
async fn the_list_is_newest_first_and_can_be_narrowed_and_paged() {
    let console = Console::with((0..5).map(|_| message(Some(b"c-7"), b"{}"))).await;
    let list = |more: &[&str]| ids(&on(&console.file(), &[&["dlq", "list", "--json"], more].concat()).json());
    assert_eq!(list(&[]), [5, 3, 1], "only dead ones unless others are asked for");
    assert_eq!(list(&["--all"]), [5, 4, 3, 2, 1]);
    assert_eq!(list(&["--all", "--limit", "2"]), [5, 4]);
    assert_eq!(list(&["--all", "--limit", "2", "--before", "4"]), [3, 2]);
    assert_eq!(list(&["--state", "dead"]), [5, 3, 1]);
    assert_eq!(list(&["--state", "retry_scheduled"]), [4, 2]);
    assert_eq!(list(&["--state", "open"]), [5, 4, 3, 2, 1]);
    assert_eq!(list(&["--consumer", "billing", "--type", "orders.order.placed", "--limit", "1"]), [5]);
    assert_eq!(list(&["--consumer", "billing", "--kind", "too_slow"]), Vec::<i64>::new());
    assert_eq!(list(&["--type", "orders.order.paid"]), Vec::<i64>::new());
    assert_eq!(list(&["--kind", "permanent"]), [5, 3, 1]);
    assert_eq!(list(&["--all", "--origin", "store", "--key", "c-7"]).len(), 5);
    assert_eq!(list(&["--all", "--key-hex", "632d37", "--since", "1h"]).len(), 5);
    assert_eq!(list(&["--origin", "queue"]), Vec::<i64>::new());
    assert_eq!(list(&["--key", "c-8"]), Vec::<i64>::new());
    assert_eq!(list(&["--until", "2020-01-01"]), Vec::<i64>::new());
    let whole = on(&console.file(), &["dlq", "list", "--json", "--limit", "1", "--state", "dead"]).json();
    let totals =
        json!([{ "database": "shop", "consumer": "billing", "state": "dead", "failed_messages": 3 }]);
    assert_eq!((&whole["next"], &whole["totals"]), (&json!("5"), &totals), "totals count beyond the page");
    let last = on(&console.file(), &["dlq", "list", "--json", "--limit", "3"]).json();
    assert_eq!(last.get("next"), None, "nothing follows the last page");

    let table = on(&console.file(), &["dlq", "list", "--all", "--limit", "2"]).text();
    for text in [
        "billing",
        "dead",
        "retry_scheduled",
        "c-7",
        "permanent",
        "order 5 has no customer",
        "5 failed messages: 2 retry_scheduled, 3 dead",
        "more: --before 4",
    ] {
        assert!(table.contains(text), "{text:?} is missing:\n{table}");
    }
}

#[tokio::test]
async fn a_consumer_that_nothing_is_known_of_is_named() {
    let console = Console::with((0..1).map(|_| message(None, b"{}"))).await;
    for command in [&["dlq", "list"][..], &["dlq", "list", "--json"], &["dlq", "groups"]] {
        let wrong = [command, &["--consumer", "biling"]].concat();
        on(&console.file(), &wrong).refused(1, &["no consumer of this database", "biling", "known billing"]);
        assert!(!on(&console.file(), &[command, &["--consumer", "billing"]].concat()).text().is_empty());
    }
}

#[tokio::test]
async fn an_empty_list_names_the_kinds_and_types_that_there_are() {
    let console = Console::with((0..2).map(|_| message(None, b"{}"))).await;
    let said = |arguments: &[&str]| on(&console.file(), arguments).text();
    let known = "there are, among others: failed of orders.order.placed, permanent of orders.order.placed\n";
    for wrong in [["--kind", "permament"], ["--type", "orders.order.plaecd"]] {
        for command in ["list", "groups"] {
            let said = said(&[&["dlq", command, "--all"], &wrong[..]].concat());
            assert_eq!(said, format!("no failed messages of this kind and type; {known}"), "{command}");
        }
    }
    let behind = ["dlq", "list", "--all", "--kind", "permanent", "--before", "1"];
    assert_eq!(said(&behind), "no failed messages\n", "there are newer ones");
    let others = "; --state open lists those that are not dead, too\n";
    assert!(
        said(&["dql", "list"]).ends_with(&format!("1 retry_scheduled, 1 dead{others}")),
        "also with a slip"
    );
    let only_waiting = said(&["dlq", "list", "--kind", "failed"]);
    assert_eq!(only_waiting, format!("no dead letters\n1 failed message: 1 retry_scheduled{others}"));
}

#[tokio::test]
async fn a_failed_message_is_shown_whole() {
    let payload = br#"{"customer":null,"pence":7}"#;
    let console = Console::with([message(Some(b"\xfe\x01"), payload)]).await;
    let mut shown = on(&console.file(), &["dlq", "show", "1", "--json"]).json();
    let failed_message = shown["failed_message"].as_object_mut().unwrap();
    for time in ["set_aside_at", "changed_at"] {
        let time = failed_message.remove(time).unwrap();
        assert!(time.as_str().unwrap().ends_with('Z'), "{time}");
    }
    let fingerprint = failed_message.remove("fingerprint").unwrap();
    assert_eq!(fingerprint.as_str().unwrap().len(), 16);
    let runs = shown["failed_runs"].take();
    assert_eq!(
        (runs[0]["error"].as_str(), runs.as_array().unwrap().len()),
        (Some("order 1 has no customer"), 1)
    );
    assert_eq!(
        shown,
        json!({
            "failed_message": {
                "database": "shop", "id": 1, "consumer": "billing", "origin": "store", "return_to": null, "state": "dead",
                "reason": "set_aside", "message_id": "m-1", "event_type": "orders.order.placed", "topic": "orders.order",
                "partition": 3, "offset": 1, "key": { "base64": "/gE=" }, "attempts": 1, "crash_count": 0, "parked": false,
                "holds_back": 0, "due": null, "kind": "permanent", "error": "order 1 has no customer",
                "payload_bytes": payload.len(),
            },
            "failed_runs": null,
            "headers": [
                { "name": "eventType", "value": { "text": "orders.order.placed" } },
                { "name": "tenant", "value": { "base64": "/25vcnRo" } },
            ],
            "payload": { "preview": { "text": r#"{"customer":null,"pence":7}"# }, "truncated": false },
        })
    );
    let text = on(&console.file(), &["dlq", "show", "1"]).text();
    for line in [
        "1 of consumer billing",
        "orders.order/3/1",
        "0xfe01",
        "tenant: 0xff6e6f727468",
        "27 bytes",
        "changed ",
    ] {
        assert!(text.contains(line), "{line:?} is missing:\n{text}");
    }
    let url = format!("sqlite:{}", console.file().display());
    let (retry, discard) =
        ("to run it once more: messagekit dlq retry 1", "to give it up: messagekit dlq discard 1");
    let ends = format!("\n\n{retry} --database {url}\n{discard} --database {url}\n");
    assert!(text.ends_with(&ends), "{text}");
    let named = messagekit_with(&["dlq", "show", "1"], &[("MESSAGEKIT_DATABASE_URL", &url)]).text();
    assert!(named.ends_with(&format!("\n\n{retry}\n{discard}\n")), "{named}");
}

#[tokio::test]
async fn what_strangers_sent_cannot_move_the_cursor_of_a_terminal() {
    let hostile = "\u{1b}[2J\u{7}\u{202e}evil\r\n";
    let mut sent = message(Some(hostile.as_bytes()), hostile.as_bytes());
    sent.headers.set("eventType", hostile.as_bytes().to_vec());
    let console = Console::with([sent]).await;
    for arguments in [&["dlq", "list"][..], &["dlq", "show", "1"][..]] {
        let text = on(&console.file(), arguments).text();
        assert!(text.contains("evil"), "{text}");
        let hidden = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!text.contains(hidden), "{text:?}");
    }
    let shown = on(&console.file(), &["dlq", "show", "1", "--json"]).json();
    let text = json!({ "text": hostile });
    assert_eq!(
        (&shown["failed_message"]["key"], &shown["payload"]["preview"]),
        (&text, &text),
        "JSON keeps every character"
    );
}

#[tokio::test]
async fn a_retry_is_accepted_once() {
    let console = Console::with((0..4).map(|_| message(None, b"{}"))).await;
    let state = |id: &str| {
        on(&console.file(), &["dlq", "show", id, "--json"]).json()["failed_message"]["state"].clone()
    };
    assert_eq!(
        on(&console.file(), &["dlq", "retry", "1"]).text(),
        format!("1: accepted, its consumer runs it\n{NEVER_SEEN}")
    );
    assert_eq!(state("1"), "retry_requested");

    // The possible actions are done, and the exit code reports the others.
    let answer = on(&console.file(), &["dlq", "retry", "1", "2", "3", "99", "--json"]);
    assert_eq!(answer.code, 1);
    answer.explained(&["2 of 4 not accepted"]);
    let failed_messages: Value = serde_json::from_str(&answer.out).unwrap();
    let accepted = failed_messages["failed_messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|failed_message| failed_message["accepted"].as_bool().unwrap());
    assert_eq!(accepted.collect::<Vec<_>>(), [false, true, true, false]);
    let said = |index: usize| failed_messages["failed_messages"][index]["text"].as_str().unwrap().to_owned();
    assert_eq!(said(0), "failed message 1 is retry_requested, and due or running already");
    assert!(said(3).contains("there is no failed message 99"), "{}", said(3));
    assert_eq!((state("2"), state("3")), (json!("retry_scheduled"), json!("retry_requested")));
}

#[tokio::test]
async fn a_retry_says_whether_its_consumer_runs() {
    let console = Console::with((0..3).map(|_| message(None, b"{}"))).await;
    let run = |words: &str| on(&console.file(), &words.split(' ').collect::<Vec<_>>());
    let store = SqliteStore::open(console.file()).await.unwrap();
    store.note_window("billing", None).await.unwrap();
    store.close().await.unwrap();
    let said = run("dlq retry 1").text();
    let second = said.lines().nth(1).unwrap();
    assert!(
        second.starts_with("consumer billing was seen ")
            && second.ends_with(" ago: unless it has stopped since, it runs what was accepted"),
        "{said}"
    );
    let document = run("dlq retry --all --yes --json").json();
    let runner = &document["runners"][0];
    assert_eq!((&runner["consumer"], &runner["is_running"]), (&json!("billing"), &json!(true)), "{document}");

    let store = SqliteStore::open(console.file()).await.unwrap();
    let two_hours_ago = "UPDATE messagekit_consumer_windows SET noted_at = noted_at - 7200000000";
    store.transaction(async |tx| Ok(tx.call(|c| c.execute(two_hours_ago, ())).await?)).await.unwrap();
    store.close().await.unwrap();
    let document = run("dlq retry 2 --json").json();
    let runner = &document["runners"][0];
    assert_eq!(runner["is_running"], false, "{document}");
    assert!(runner["last_seen_seconds"].as_u64().unwrap() >= 7_200, "{document}");
    run("dlq discard 1 3").text();
    run("dlq undo 1 3").text();
    let said = run("dlq retry --all --yes").text();
    let expected =
        "consumer billing does not run: start it, and it runs what was accepted; it was last seen 2h ago";
    assert_eq!(said.lines().nth(1), Some(expected), "{said}");
}

#[tokio::test]
async fn a_scheduled_run_is_retried_now_and_lists_say_when_it_is_due() {
    let console = Console::with((0..2).map(|_| message(None, b"{}"))).await;
    let run = |words: &str| on(&console.file(), &words.split(' ').collect::<Vec<_>>());
    let due = || {
        let list = run("dlq list --state retry_scheduled --json").json();
        list["failed_messages"][0]["due"].as_str().unwrap().parse::<Timestamp>().unwrap()
    };
    let planned = due();
    assert!(planned > Timestamp::now(), "{planned}");
    let table = run("dlq list --all").text();
    assert!(table.contains("due") && table.contains(&format!("{planned:.0}")), "{table}");
    let shown = run("dlq show 2").text();
    assert!(shown.contains("to run it now: messagekit dlq retry 2"), "{shown}");

    assert_eq!(run("dlq retry 2").text(), format!("2: accepted, its consumer runs it\n{NEVER_SEEN}"));
    assert!(due() <= Timestamp::now(), "{} is not now", due());
    let shown = run("dlq show 2 --json").json()["failed_message"].clone();
    assert_eq!((&shown["state"], &shown["attempts"]), (&json!("retry_scheduled"), &json!(1)));
    let again = run("dlq retry 2");
    assert_eq!(again.out, "2: failed message 2 is retry_scheduled, and due or running already\n");
    again.explained(&["1 of 1 not accepted"]);
}

#[tokio::test]
async fn all_scheduled_runs_are_retried_when_their_state_is_named() {
    let console = Console::with((0..6).map(|_| message(None, b"{}"))).await;
    let run = |words: &str| on(&console.file(), &words.split(' ').collect::<Vec<_>>());
    assert_eq!(
        run("dlq retry --state retry_scheduled --yes").text(),
        format!("3 of 3 failed messages accepted: their consumers run them\n{NEVER_SEEN}")
    );
    let again = run("dlq retry --state retry_scheduled --yes");
    assert_eq!((again.code, again.out.contains("0 of 3 failed messages accepted")), (1, true), "{again:?}");
}

#[tokio::test]
async fn dlq_shows_a_dead_message_whose_retry_has_failed() {
    let console = Console::with((0..3).map(|_| message(None, b"{}"))).await;
    let list = || on(&console.file(), &["dlq", "list", "--state", "dead"]).text();
    assert_eq!(list().matches("dead, no retry was scheduled").count(), 2, "{}", list());
    on(&console.file(), &["dlq", "retry", "1"]).text();
    let store = SqliteStore::open(console.file()).await.unwrap();
    let leased = store.lease("billing", 1, Duration::from_secs(60)).await.unwrap();
    let failure = Failure::permanent(FailureKind::Permanent, "still no customer".to_owned());
    assert!(store.fail("billing", &leased[0], &failure).await.unwrap());
    store.close().await.unwrap();
    assert_eq!(list().matches("dead, its requested run failed").count(), 1, "{}", list());
    let shown = |id| on(&console.file(), &["dlq", "show", id]).text();
    assert!(shown("1").contains("state        dead, its requested run failed\n"), "{}", shown("1"));
    assert!(shown("3").contains("state        dead, no retry was scheduled\n"), "{}", shown("3"));
    let reason =
        |id| on(&console.file(), &["dlq", "show", id, "--json"]).json()["failed_message"]["reason"].clone();
    assert_eq!((reason("1"), reason("3")), (json!("requested_run_failed"), json!("set_aside")));
}

#[tokio::test]
async fn each_failed_run_is_shown_with_its_error_and_process() {
    let console = Console::with((0..2).map(|_| message(None, b"{}"))).await;
    on(&console.file(), &["dlq", "retry", "2"]).text();
    let store = SqliteStore::open(console.file()).await.unwrap();
    let lease =
        async |time: u64| store.lease("billing", 1, Duration::from_secs(time)).await.unwrap().remove(0);
    // The process of the first run ends without a result.
    lease(0).await;
    let failure = Failure::permanent(FailureKind::Permanent, "no customer of 寿司");
    assert!(store.fail("billing", &lease(60).await, &failure).await.unwrap());
    store.close().await.unwrap();

    let shown = on(&console.file(), &["dlq", "show", "2", "--json"]).json();
    let runs = shown["failed_runs"].as_array().unwrap();
    let seen: Vec<_> =
        runs.iter().map(|run| (run["attempt"].as_u64(), run["error"].as_str().unwrap())).collect();
    let cut_off = "ended without a result: its process crashed, or was cut off";
    assert_eq!(
        seen,
        [(Some(1), "order 2 has no customer"), (Some(2), cut_off), (Some(3), "no customer of 寿司")]
    );
    let here = messagekit::adapter::instance();
    assert_eq!(runs[2]["instance"], here);
    let time = runs[2]["at"].as_str().unwrap().parse::<Timestamp>().unwrap();
    let text = on(&console.file(), &["dlq", "show", "2"]).text();
    let line = format!("failed run   {time:.0}, attempt 3 on {here}: no customer");
    assert!(text.contains(&line) && text.contains(cut_off), "{text}");
    assert!(
        on(&console.file(), &["dlq", "list", "--all", "--json"]).json()["failed_messages"][0]
            .get("failed_runs")
            .is_none()
    );
}

#[tokio::test]
async fn failed_messages_that_failed_alike_are_one_group() {
    let console = Console::with((0..5).map(|_| message(None, b"{}"))).await;
    let groups = on(&console.file(), &["dlq", "groups", "--json"]).json();
    let groups = groups["groups"].as_array().unwrap();
    let of =
        |group: &Value| (group["kind"].clone(), group["failed_messages"].clone(), group["newest"].clone());
    assert_eq!(
        groups.iter().map(of).collect::<Vec<_>>(),
        [(json!("permanent"), json!(3), json!(5)), (json!("failed"), json!(2), json!(4))]
    );
    let fingerprint = groups[0]["fingerprint"].as_str().unwrap();
    let table = on(&console.file(), &["dlq", "groups"]).text();
    assert!(table.contains(fingerprint) && table.contains("order 5 has no customer"), "{table}");
    let listed =
        on(&console.file(), &["dlq", "list", "--json", "--all", "--fingerprint", fingerprint]).json();
    assert_eq!(ids(&listed), [5, 3, 1]);
    let one = on(&console.file(), &["dlq", "groups", "--json", "--kind", "failed", "--limit", "1"]).json();
    assert_eq!(one["groups"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn closed_messages_are_listed_only_on_request() {
    let console = Console::with((0..4).map(|_| message(None, b"{}"))).await;
    on(&console.file(), &["dlq", "discard", "3", "4"]).text();
    let run = |words: &str| on(&console.file(), &words.split(' ').collect::<Vec<_>>());
    assert_eq!(ids(&run("dlq list --json --state open").json()), [2, 1]);
    assert_eq!(ids(&run("dlq list --json --all").json()), [4, 3, 2, 1]);
    let totals = run("dlq list --json --state open").json()["totals"].clone();
    assert_eq!(totals.as_array().unwrap().len(), 2, "{totals}");

    let groups = |words: &str| {
        let groups = run(words).json();
        let of = |group: &Value| (group["kind"].clone(), group["failed_messages"].clone());
        groups["groups"].as_array().unwrap().iter().map(of).collect::<Vec<_>>()
    };
    let (one, two) = (json!(1), json!(2));
    let (permanent, failed) = (json!("permanent"), json!("failed"));
    assert_eq!(
        groups("dlq groups --json"),
        [(failed.clone(), one.clone()), (permanent.clone(), one.clone())]
    );
    assert_eq!(groups("dlq groups --json --all"), [(failed.clone(), two.clone()), (permanent.clone(), two)]);
    assert_eq!(groups("dlq groups --json --state dead"), [(permanent, one)]);

    run("dlq discard --state open --yes").text();
    assert_eq!(run("dlq groups").text(), "no open failed messages\n4 failed messages: 4 discarded\n");
    assert_eq!(run("dlq list --state open").text(), "no failed messages\n");
    run("dlq groups --all --state open").refused(2, &["--all", "--state"]);
    run("dlq list --state opened").refused(2, &["\"opened\" is none of open, retry_scheduled, blocked"]);
    for action in ["retry", "undo"] {
        run(&format!("dlq {action} --state open --yes")).refused(2, &["does nothing", "leave --state out"]);
    }
}

#[tokio::test]
async fn a_choice_is_acted_on_whole_and_only_when_confirmed() {
    let console = Console::with((0..1_203).map(|_| message(None, b"{}"))).await;
    let count = |state: &str| {
        let list = on(&console.file(), &["dlq", "list", "--json", "--limit", "1", "--state", state]).json();
        list["totals"][0]["failed_messages"].as_u64().unwrap_or(0)
    };
    let choice = ["--consumer", "billing", "--kind", "permanent"];
    let retry = |more: &[&str]| on(&console.file(), &[&["dlq", "retry"], &choice[..], more].concat());

    // Without a terminal, the error names the count and nothing is done.
    retry(&[]).refused(2, &["retry 602 failed messages", "--yes"]);
    assert_eq!(count("dead"), 602);
    assert_eq!(
        retry(&["--yes"]).text(),
        format!("602 of 602 failed messages accepted: their consumers run them\n{NEVER_SEEN}")
    );
    assert_eq!((count("dead"), count("retry_requested"), count("retry_scheduled")), (0, 602, 601));
    assert_eq!(retry(&["--yes"]).text(), "no failed message is chosen: nothing was done\n");

    let all = |act: &str, more: &[&str]| {
        on(&console.file(), &[&["dlq", act, "--all", "--yes", "--json"], more].concat()).json()
    };
    let done = |count: u64| json!({ "selected": count, "done": count, "skipped": 0, "refused": [] });
    assert_eq!(
        all("discard", &[]),
        done(0),
        "what still runs may heal: it is given up only by name or state"
    );
    assert_eq!(all("discard", &["--state", "retry_requested"]), done(602));
    assert_eq!(all("undo", &[]), done(602));
    assert_eq!((count("dead"), count("retry_scheduled")), (602, 601));
}

#[tokio::test]
async fn paced_retries_are_due_one_after_the_other() {
    let console = Console::with((0..4).map(|_| message(None, b"{}"))).await;
    let retry = |more: &[&str]| on(&console.file(), &[&["dlq", "retry", "--all", "--yes"], more].concat());
    for wrong in ["0", "1000001", "many"] {
        retry(&["--per-second", wrong]).refused(2, &["--per-second"]);
    }
    on(&console.file(), &["dlq", "discard", "1", "--per-second", "1"]).refused(2, &["--per-second"]);
    let said = retry(&["--per-second", "1"]).text();
    assert!(said.contains("the last one is due 1s from now\n"), "{said}");
    let list = on(&console.file(), &["dlq", "list", "--json", "--state", "retry_requested"]).json();
    let due: Vec<Timestamp> = list["failed_messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|failed_message| failed_message["due"].as_str().unwrap().parse().unwrap())
        .collect();
    assert_eq!(due.len(), 2);
    assert_eq!(due[0].duration_since(due[1]).as_secs(), 1, "newest first: {due:?}");
}

#[tokio::test]
async fn a_discard_can_be_taken_back() {
    let console = Console::with([message(None, b"{}"), message(None, b"{}")]).await;
    let show = |id: &str| on(&console.file(), &["dlq", "show", id]).text();
    let said = on(&console.file(), &["dlq", "discard", "2", "1", "2"]).text();
    assert_eq!(
        said,
        "2: discarded, it is never applied; `undo` takes that back\n1: discarded, it is never applied; `undo` takes that back\n"
    );
    assert!(show("1").contains("to take the discard back: messagekit dlq undo 1"), "{}", show("1"));
    on(&console.file(), &["dlq", "retry", "1"]).explained(&["1 of 1 not accepted"]);
    assert_eq!(
        on(&console.file(), &["dlq", "undo", "1"]).text(),
        "1: discard undone, `retry` runs it if it is dead; later messages of its key may have been applied meanwhile\n"
    );
    assert!(show("1").contains("to run it once more"));
    assert!(show("1").contains("dead, its discard was undone"), "{}", show("1"));
    let again = on(&console.file(), &["dlq", "undo", "1"]);
    assert_eq!((again.code, again.out.contains("failed message 1 is dead")), (1, true), "{again:?}");
}

#[tokio::test]
async fn every_act_is_written_down_with_who_did_it() {
    let console = Console::with([message(None, b"{}")]).await;
    on(&console.file(), &["dlq", "retry", "1"]).text();
    let audit = messagekit_sqlite::rusqlite::Connection::open(console.file()).unwrap();
    let row = |row: &messagekit_sqlite::rusqlite::Row<'_>| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
    };
    let (operator, through, act) =
        audit.query_row("SELECT operator, through, action FROM messagekit_admin_audit", [], row).unwrap();
    assert!(!operator.is_empty());
    assert_eq!((&*through, &*act), ("cli", "retry"));
}

#[tokio::test]
async fn a_list_says_what_holds_a_key_and_how_much_waits_behind_it() {
    let console = Console::with_a_blocked_key().await;
    let list = on(&console.file(), &["dlq", "list", "--all"]).text();
    assert_eq!(
        (
            list.matches("dead, no retry was scheduled, holds back 2").count(),
            list.matches(" blocked").count()
        ),
        (1, 3),
        "{list}"
    );
    assert!(
        list.contains("3 failed messages: 2 blocked, 1 dead") || list.contains("1 dead, 2 blocked"),
        "{list}"
    );
    assert!(list.contains("waits for an earlier message of its key"), "{list}");
    let json = on(&console.file(), &["dlq", "list", "--json", "--all"]).json();
    let held: Vec<_> = json["failed_messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|failed_message| &failed_message["holds_back"])
        .collect();
    assert_eq!(held, [&json!(0), &json!(0), &json!(2)]);

    on(&console.file(), &["dlq", "discard", "1"]).text();
    let dead = on(&console.file(), &["dlq", "list"]).text();
    assert!(dead.starts_with("no dead letters\n3 failed messages: "), "{dead}");
    let list = on(&console.file(), &["dlq", "list", "--all"]).text();
    assert!(list.contains("retry_scheduled, holds back 1"), "the next one of its key runs: {list}");
    let brought_back = on(&console.file(), &["dlq", "undo", "1"]).text();
    assert!(
        brought_back.contains("later messages of its key may have been applied meanwhile"),
        "{brought_back}"
    );
    let refused = on(&console.file(), &["dlq", "undo", "--all"]);
    assert_eq!(refused.code, 0, "nothing is discarded any more: {refused:?}");
}
