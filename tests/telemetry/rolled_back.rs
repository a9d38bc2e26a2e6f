//! Runs whose transaction was rolled back are not taken for committed ones.

use std::collections::BTreeMap;

use messagekit_testkit::block_on;
use messagekit_tests::Span;

use crate::shop::{CALLER, Shop, TRACE, named};

/// What a query of traces filters by.
const ROLLED_BACK: &str = "messagekit.rolled_back";

fn is_committed(span: &&Span) -> bool {
    span.attribute(ROLLED_BACK).is_empty()
}

/// Runs two orders whose first transaction is rolled back, and returns the spans of their trace.
async fn spans_after(cause: &str) -> Vec<Span> {
    let shop = Shop::open().await;
    let mut command = shop.command("rolled-back", &[cause]);
    command.env("TRACEPARENT", CALLER);
    shop.run(command).await;
    shop.receiver.trace(TRACE)
}

/// Returns how many of the spans of each message were committed.
fn committed_of_each<'a>(spans: &[&'a Span], message: impl Fn(&'a Span) -> &'a str) -> Vec<usize> {
    let mut counts = BTreeMap::<&str, usize>::new();
    for span in spans {
        *counts.entry(message(span)).or_default() += usize::from(is_committed(span));
    }
    counts.into_values().collect()
}

fn assert_says(span: &Span, cause: &str) {
    assert_eq!(span.attribute(ROLLED_BACK), cause, "{span:#?}");
    assert!(span.is_error);
    assert_eq!(span.status, format!("rolled back: {cause}"));
}

#[test]
fn a_filter_leaves_committed_runs_of_messages_and_their_events() {
    block_on(async {
        for cause in ["failed", "conflict", "outage", "transaction", "unknown", "cut_off"] {
            let spans = spans_after(cause).await;
            let runs = named(&spans, "process orders.order");
            let bills = named(&spans, "create billing.bill");
            let run_of = |bill: &Span| runs.iter().find(|run| run.span_id == bill.parent).copied();
            let order_of = |bill: &Span| run_of(bill).map_or("", |run| run.attribute("messaging.message.id"));
            assert_eq!(
                committed_of_each(&runs, |run| run.attribute("messaging.message.id")),
                [1, 1],
                "{cause}"
            );
            assert_eq!(committed_of_each(&bills, order_of), [1, 1], "{cause}: {spans:#?}");
            for spans in [&runs, &bills] {
                let (committed, undone): (Vec<&Span>, Vec<&Span>) =
                    spans.iter().copied().partition(is_committed);
                assert!(undone.len() >= 2, "{cause}: of both, one of which is only a neighbour: {spans:#?}");
                undone.into_iter().for_each(|span| assert_says(span, cause));
                assert!(committed.iter().all(|span| !span.is_error && span.status.is_empty()), "{cause}");
            }
            for other in ["create orders.order", "create audit.run"] {
                let spans = named(&spans, other);
                assert!(spans.len() >= 2 && spans.iter().all(is_committed), "{cause}: another transaction");
            }
        }
    });
}

/// Nothing else in the trace says that the run was kept: the claim of its repetition finds the marker.
#[test]
fn a_commit_whose_answer_was_lost_is_unknown_even_if_kept() {
    block_on(async {
        let spans = spans_after("unknown-kept").await;
        let (runs, bills) = (named(&spans, "process orders.order"), named(&spans, "create billing.bill"));
        assert_eq!((runs.len(), bills.len()), (2, 2), "{spans:#?}");
        runs.into_iter().chain(bills).for_each(|span| assert_says(span, "unknown"));
    });
}

#[test]
fn a_failed_run_keeps_the_kind_of_its_failure() {
    block_on(async {
        let spans = spans_after("failed").await;
        let undone = named(&spans, "process orders.order").into_iter().filter(|run| !is_committed(run));
        let mut kinds: Vec<&str> = undone.map(|run| run.attribute("error.type")).collect();
        kinds.sort_unstable();
        assert_eq!(kinds, ["", "failed"], "the neighbour has not failed itself");
    });
}

/// Spans wait for the outcome of their transaction, but do not last until then.
#[test]
fn a_span_ends_with_its_run_and_not_with_the_transaction() {
    block_on(async {
        let spans = spans_after("unknown-kept").await;
        let runs = named(&spans, "process orders.order");
        let [first, second] = runs[..] else { panic!("one transaction of two runs: {spans:#?}") };
        assert!(first.time.1 <= second.time.0, "{spans:#?}");
        for bill in named(&spans, "create billing.bill") {
            let run = runs.iter().find(|run| run.span_id == bill.parent).unwrap();
            assert!(run.time.0 <= bill.time.0 && bill.time.1 <= run.time.1, "{spans:#?}");
        }
    });
}
