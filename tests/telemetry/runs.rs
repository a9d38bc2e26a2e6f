use std::collections::BTreeSet;
use std::fs::{self, File};

use messagekit_testkit::{block_on, eventually};
use messagekit_tests::Span;

use crate::shop::{PATIENCE, Shop, TRACE, named};

fn runs(spans: &[Span]) -> Vec<&Span> {
    named(spans, "process orders.order")
}

#[test]
fn a_failed_run_and_its_retry_are_spans_of_one_trace() {
    block_on(async {
        let shop = Shop::open().await;
        shop.request("fails-once").await;
        let ran = shop.consume(1).await;
        let spans = shop.receiver.trace(TRACE);
        let [first, second] = runs(&spans)[..] else { panic!("two runs: {spans:#?}") };
        assert_eq!((first.attribute("messagekit.attempt"), first.is_error), ("1", true));
        assert_eq!(first.attribute("error.type"), "failed");
        assert_eq!(first.attribute("messagekit.rolled_back"), "failed");
        assert_eq!((second.attribute("messagekit.attempt"), second.is_error), ("2", false));
        let set_aside = named(&spans, "set aside orders.order");
        let [set_aside] = set_aside[..] else { panic!("it was set aside: {spans:#?}") };
        assert_eq!(set_aside.attribute("messagekit.dead"), "false");
        assert!(
            ran.log.lines().any(|line| line.contains("message set aside") && line.contains(TRACE)),
            "{}",
            ran.log
        );
    });
}

/// The first message has run, and its transaction is open when the process ends: no one may take that run for a committed one.
#[test]
fn the_run_of_a_killed_consumer_is_not_shown_as_a_success() {
    block_on(async {
        let shop = Shop::open().await;
        let hangs = shop.beside("hangs");
        shop.request("o-1").await;
        shop.request("hangs").await;
        File::create(&hangs).unwrap();
        let first = shop.launch("consume", &["2"]).variables([("OTEL_BSP_SCHEDULE_DELAY", "20")]);
        let mut first = first.start();
        let has_begun = async || first.log().contains("order_id=\"hangs\"");
        eventually("the second message runs", PATIENCE, has_begun).await;
        first.kill();
        fs::remove_file(&hangs).unwrap();
        // A first batch of one message is possible: then only the second one is left.
        shop.consume(1).await;

        let spans = shop.receiver.trace(TRACE);
        let runs = runs(&spans);
        let messages: BTreeSet<&str> = runs.iter().map(|run| run.attribute("messaging.message.id")).collect();
        assert!(!runs.is_empty() && runs.iter().all(|run| !run.is_error), "{spans:#?}");
        assert_eq!(messages.len(), runs.len(), "one run of each message was committed: {spans:#?}");
    });
}

#[test]
fn spans_hold_neither_payloads_nor_errors() {
    block_on(async {
        let shop = Shop::open().await;
        shop.request("fails-once").await;
        shop.consume(1).await;
        assert!(shop.receiver.contains("process orders.order"), "the search finds what is there");
        for planted in ["4929-planted-card", "is refused", "fails-once"] {
            assert!(!shop.receiver.contains(planted), "{planted}");
        }
    });
}
