//! The verdict over a run whose files were changed afterwards: each promise must detect its violation.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use messagekit::adapter::Publisher;
use messagekit::{Message, Store};
use messagekit_demo::{Outcome, Verdict, verdict};
use messagekit_sqlite::SqliteStore;
use tempfile::TempDir;

use crate::text;

/// Returns a run with two adjustments, several orders for some customers, and a rollback.
fn kept_run() -> &'static Path {
    static RUN: OnceLock<TempDir> = OnceLock::new();
    let folder = RUN.get_or_init(|| {
        // A static is never dropped, so the folder is in the build directory.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let input = folder.path().join("events.ndjson");
        let line = |number: usize| {
            let kind = if number % 20 == 7 { "adjusted" } else { "placed" };
            let data = format!(r#"{{"invoice":"i-{number}","totalPence":{}}}"#, 100 + number);
            format!(r#"{{"type":"shop.invoice.{kind}","key":"c-{}","data":{data}}}"#, number % 3)
        };
        fs::write(&input, (0..40).map(line).collect::<Vec<_>>().join("\n")).expect("a file");
        let kept = folder.path().join("kept");
        let output = crate::demo(&["--input", text(&input), "--keep", text(&kept)]);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        folder
    });
    folder.path()
}

/// Copies the run, changes the copy and judges it.
async fn judged(change: impl AsyncFnOnce(&SqliteStore)) -> Verdict {
    let folder = tempfile::tempdir().expect("a folder");
    for file in ["shop.db", "ledger.ndjson"] {
        fs::copy(kept_run().join("kept").join(file), folder.path().join(file)).expect("a copy");
    }
    let store = SqliteStore::open(folder.path().join("shop.db")).await.expect("a store");
    change(&store).await;
    store.close().await.expect("closed");
    verdict(folder.path()).await.expect("a verdict")
}

/// Changes the copy by statements that must each affect a row.
async fn judged_after(statements: &'static str) -> Verdict {
    judged(async |store: &SqliteStore| {
        for statement in statements.split(';') {
            let mut tx = store.begin().await.expect("a transaction");
            let changed = tx.call(move |c| c.execute(statement, ())).await.expect(statement);
            store.commit(tx).await.expect("a commit");
            assert!(changed > 0, "{statement}");
        }
    })
    .await
}

#[track_caller]
fn assert_broken(verdict: &Verdict, name: &str) {
    assert_eq!(verdict.outcome(), Outcome::Broken, "{verdict:?}");
    let promise =
        verdict.promises.iter().find(|promise| promise.name == name).expect("a promise of this name");
    assert_eq!(promise.outcome, Outcome::Broken, "{verdict:?}");
}

/// Returns the id of a transaction that was rolled back according to the ledger.
fn rolled_back() -> String {
    let ledger = fs::read_to_string(kept_run().join("kept/ledger.ndjson")).expect("a ledger");
    let line = ledger.lines().find(|line| line.contains("rolled_back")).expect("something was rolled back");
    let entry: serde_json::Value = serde_json::from_str(line).expect("JSON");
    entry["rolled_back"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn an_untouched_run_is_judged_as_before() {
    assert_eq!(judged(async |_| {}).await.outcome(), Outcome::Kept);
}

#[tokio::test]
async fn a_missing_bill_is_noticed() {
    let verdict = judged_after("DELETE FROM bills WHERE seq = (SELECT max(seq) FROM bills)").await;
    assert_broken(&verdict, "billed_once");
    assert_broken(&verdict, "sums_equal");
}

#[tokio::test]
async fn a_second_bill_is_noticed() {
    let verdict = judged_after(
        "INSERT INTO bills (event_id, invoice, customer, pence)
         SELECT event_id, invoice, customer, pence FROM bills LIMIT 1",
    )
    .await;
    assert_broken(&verdict, "billed_once");
}

#[tokio::test]
async fn a_second_bill_that_hides_a_missing_one_is_noticed() {
    let verdict = judged_after(
        "UPDATE bills SET event_id = (SELECT event_id FROM bills ORDER BY seq LIMIT 1)
         WHERE seq = (SELECT max(seq) FROM bills)",
    )
    .await;
    assert_broken(&verdict, "billed_once");
}

#[tokio::test]
async fn a_penny_more_or_less_is_noticed() {
    for statement in [
        "UPDATE bills SET pence = pence + 1 WHERE seq = (SELECT min(seq) FROM bills)",
        "UPDATE balances SET pence = pence - 1 WHERE customer = 'c-1'",
    ] {
        assert_broken(&judged_after(statement).await, "sums_equal");
    }
    let moved = "UPDATE bills SET pence = pence + 1 WHERE seq = (SELECT min(seq) FROM bills);
                 UPDATE bills SET pence = pence - 1 WHERE seq = (SELECT max(seq) FROM bills)";
    assert_broken(&judged_after(moved).await, "sums_equal");
}

#[tokio::test]
async fn a_record_of_a_rolled_back_transaction_is_noticed() {
    let verdict = judged(async |store: &SqliteStore| {
        let message = Message::new("shop.invoice", "{}").with_header("id", rolled_back());
        assert!(store.publisher().publish(&[message]).await[0].is_ok());
    })
    .await;
    assert_broken(&verdict, "nothing_of_rolled_back");
}

#[tokio::test]
async fn an_order_or_a_mark_of_a_rolled_back_transaction_is_noticed() {
    for statement in [
        "INSERT INTO orders (event_id, event_type, invoice, pence) VALUES (?1, 'shop.invoice.placed', 'i', 0)",
        "INSERT INTO messagekit_processed_messages (consumer_id, message_id, outcome, processed_at) VALUES (1, ?1, 0, 0)",
    ] {
        let verdict = judged(async |store: &SqliteStore| {
            let mut tx = store.begin().await.expect("a transaction");
            tx.call(move |c| c.execute(statement, [rolled_back()])).await.expect("a row");
            store.commit(tx).await.expect("a commit");
        })
        .await;
        assert_broken(&verdict, "nothing_of_rolled_back");
    }
}

#[tokio::test]
async fn an_id_from_nowhere_is_noticed() {
    let verdict = judged(async |store: &SqliteStore| {
        let message = Message::new("shop.invoice", "{}").with_header("id", "who-knows");
        assert!(store.publisher().publish(&[message]).await[0].is_ok());
    })
    .await;
    assert_broken(&verdict, "nothing_of_rolled_back");
}

#[tokio::test]
async fn a_lost_record_is_noticed() {
    let verdict = judged_after(
        "DELETE FROM messagekit_topic_records WHERE pos = (SELECT min(pos) FROM messagekit_topic_records)",
    )
    .await;
    assert_broken(&verdict, "published_exactly");
}

#[tokio::test]
async fn unread_record_is_noticed() {
    let verdict = judged_after(
        "UPDATE messagekit_consumer_cursors SET next = next - 1
         WHERE tp_id = (SELECT max(tp_id) FROM messagekit_consumer_cursors WHERE next > 0)",
    )
    .await;
    assert_broken(&verdict, "duplicates_suppressed");
}

#[tokio::test]
async fn bills_in_another_order_are_noticed() {
    let verdict = judged_after(
        "UPDATE bills SET seq = 1000 WHERE seq = (SELECT min(seq) FROM bills WHERE customer = 'c-0')",
    )
    .await;
    assert_broken(&verdict, "order_kept");
}

#[tokio::test]
async fn a_lost_failed_message_and_one_too_many_are_noticed() {
    for statement in [
        "DELETE FROM messagekit_failed_messages WHERE id = (SELECT min(id) FROM messagekit_failed_messages)",
        "UPDATE messagekit_failed_messages SET state = 'resolved'",
        "UPDATE messagekit_failed_messages SET message_id = (SELECT event_id FROM bills LIMIT 1)
         WHERE id = (SELECT min(id) FROM messagekit_failed_messages)",
    ] {
        assert_broken(&judged_after(statement).await, "dead_letters_exact");
    }
}

#[tokio::test]
async fn a_run_whose_kills_left_no_trace_is_void() {
    let verdict = judged_after("UPDATE billing_runs SET stopped = 1 WHERE run > 2").await;
    assert_eq!(verdict.outcome(), Outcome::Void, "{verdict:?}");
    assert_eq!(verdict.statistics.kills, 2);
}

#[tokio::test]
async fn a_folder_without_a_run_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let error = verdict(folder.path()).await.expect_err("nothing to judge");
    assert!(error.to_string().contains("no run was kept"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0, "nothing was made");
}
