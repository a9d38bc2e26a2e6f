use std::fs::{self, File};

use messagekit_testkit::block_on;
use messagekit_tests::Span;
use tokio::process::Command;

use crate::shop::{Shop, TRACE, named};

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

#[test]
fn the_second_run_of_a_killed_consumer_is_a_second_span() {
    block_on(async {
        let shop = Shop::open().await;
        let hangs = format!("{}.hangs", shop.file().display());
        shop.request("o-1").await;
        shop.request("hangs").await;
        File::create(&hangs).unwrap();
        let mut first = Command::from(shop.command("consume", &["2"]));
        let mut first = first.env("OTEL_BSP_SCHEDULE_DELAY", "20").kill_on_drop(true).spawn().unwrap();
        // The first message has run, its transaction is open while the second one hangs.
        shop.trace_has("the first run is seen", |spans| runs(spans).len() == 1).await;
        first.kill().await.unwrap();
        fs::remove_file(&hangs).unwrap();
        shop.consume(2).await;

        let spans = shop.receiver.trace(TRACE);
        let all = runs(&spans);
        assert_eq!(all.len(), 3, "{spans:#?}");
        let again: Vec<_> = all.iter().filter(|span| span.parent == all[0].parent).collect();
        let [first, second] = again[..] else { panic!("two runs of the first message: {spans:#?}") };
        assert_ne!(first.span_id, second.span_id);
        assert!(!second.is_error);
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
