use std::fs::File;
use std::net::TcpListener;

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
        let hanging = shop.launch("consume", &["1"]);
        let mut hanging = hanging.variables([("OTEL_METRIC_EXPORT_INTERVAL", "20")]).start();
        eventually("several exports", PATIENCE, async || handled(&shop.receiver.metrics()).len() > 2).await;
        hanging.kill();
        assert!(handled(&shop.receiver.metrics()).iter().all(|it| it.value == 0.0));
    });
}

#[test]
fn a_receiver_without_metrics_is_named_once() {
    block_on(async {
        let shop = Shop::open().await;
        shop.request("hangs").await;
        File::create(shop.beside("hangs")).unwrap();
        let nothing = format!("{}/v1/nothing", shop.receiver.endpoint());
        let variables =
            [("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", &*nothing), ("OTEL_METRIC_EXPORT_INTERVAL", "20")];
        let mut hanging = shop.launch("consume", &["1"]).variables(variables).start();
        eventually("several exports", PATIENCE, async || shop.receiver.lost() > 3).await;
        hanging.kill();
        let log = hanging.log();
        assert_eq!(log.matches("receiver of metrics does not accept them").count(), 1, "{log}");
        assert!(log.contains("it answers 404 Not Found"), "{log}");
        assert!(!shop.receiver.spans().is_empty(), "traces are not concerned");
    });
}

/// What is lost at the end of a program is said, whatever stands at the address of the receiver.
#[test]
fn last_metrics_that_nothing_accepts_are_reported() {
    block_on(async {
        let shop = Shop::open().await;
        // Connections are accepted by the system and never answered.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let receiver = shop.receiver.endpoint();
        for (order, endpoint, cause) in [
            ("o-1", format!("{receiver}/moved"), "it answers 302 Found"),
            ("o-2", format!("{receiver}/page"), "something else has this address"),
            ("o-3", format!("{receiver}/full"), "it rejects 2 of the values"),
            ("o-4", format!("http://{}", silent.local_addr().unwrap()), "metrics end early"),
        ] {
            shop.request(order).await;
            let mut command = shop.command("consume", &["1"]);
            command.env("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", endpoint);
            let ran = shop.run(command).await;
            assert!(ran.log.contains("metrics end early"), "{}", ran.log);
            assert!(ran.log.contains(cause), "{}", ran.log);
            assert!(ran.out.starts_with("all exported"), "traces are not concerned: {}", ran.out);
        }
        assert!(shop.receiver.metrics().is_empty(), "a redirect is not followed");
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
