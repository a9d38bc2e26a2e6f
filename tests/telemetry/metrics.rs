use std::fs::File;

use messagekit_testkit::{block_on, eventually};
use messagekit_tests::Measured;

use crate::shop::{PATIENCE, Shop};

fn handled(metrics: &[Measured]) -> Vec<&Measured> {
    let is_handled = |it: &&Measured| {
        let of = |label: &str| it.labels.get(label).map_or("", String::as_str);
        it.name == "messagekit_consumer_handled_total"
            && of("consumer") == "billing"
            && of("outcome") == "handled"
    };
    metrics.iter().filter(is_handled).collect()
}

#[test]
fn the_last_counts_of_a_program_are_exported() {
    block_on(async {
        let shop = Shop::open().await;
        shop.run(shop.command("write", &["3"])).await;
        shop.consume(3).await;
        let metrics = shop.receiver.metrics();
        let last = *handled(&metrics).last().expect("the interval of a minute is not waited for");
        assert_eq!(last.value, 3.0);
        assert_eq!(last.resource["service.name"], "traced");
        assert!(last.resource.contains_key("service.instance.id"), "two processes are two series: {last:?}");
        assert!(!shop.receiver.contains("planted-card"), "payloads stay here");
    });
}

#[test]
fn metrics_are_exported_while_a_program_runs() {
    block_on(async {
        let shop = Shop::open().await;
        shop.request("hangs").await;
        File::create(shop.beside("hangs")).unwrap();
        let mut hanging = shop.command("consume", &["1"]);
        let mut hanging = hanging.env("OTEL_METRIC_EXPORT_INTERVAL", "20").spawn().unwrap();
        eventually("several exports", PATIENCE, async || handled(&shop.receiver.metrics()).len() > 2).await;
        hanging.kill().unwrap();
        hanging.wait().unwrap();
        assert!(handled(&shop.receiver.metrics()).iter().all(|it| it.value == 0.0));
    });
}

#[test]
fn a_receiver_without_metrics_is_named_once() {
    block_on(async {
        let shop = Shop::open().await;
        shop.request("fails-once").await;
        let mut command = shop.command("consume", &["1"]);
        command
            .env("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", format!("{}/v1/nothing", shop.receiver.endpoint()))
            .env("OTEL_METRIC_EXPORT_INTERVAL", "1");
        let ran = shop.run(command).await;
        assert_eq!(ran.log.matches("receiver of metrics does not accept them").count(), 1, "{}", ran.log);
        assert!(ran.log.contains("it answers 404 Not Found"), "{}", ran.log);
        assert!(ran.log.contains("metrics end early"), "{}", ran.log);
        assert!(ran.out.starts_with("all exported"), "traces are not concerned: {}", ran.out);
    });
}

#[test]
fn a_program_may_export_traces_alone() {
    block_on(async {
        let shop = Shop::open().await;
        shop.request("o-1").await;
        let mut command = shop.command("consume", &["1"]);
        command.env("OTEL_METRICS_EXPORTER", "none");
        let ran = shop.run(command).await;
        assert!(!ran.log.contains("metrics"), "{}", ran.log);
        assert!(shop.receiver.metrics().is_empty());
        assert!(!shop.receiver.spans().is_empty());
    });
}
