use std::fs::File;
use std::net::TcpListener;

use messagekit_testkit::crash::Ended;
use messagekit_testkit::{block_on, eventually};
use messagekit_tests::{OtlpReceiver, Port};

use crate::shop::{PATIENCE, Shop};

/// The spans that wait for the receiver.
const ROOM: usize = 100;

fn milliseconds(out: &str) -> u64 {
    let text = out.rsplit_once(" in ").and_then(|(_, rest)| rest.strip_suffix(" ms\n"));
    text.unwrap_or_else(|| panic!("{out}")).parse().unwrap()
}

#[test]
fn a_silent_receiver_neither_delays_nor_grows_a_program() {
    block_on(async {
        let shop = Shop::open().await;
        // Connections are accepted by the system and never answered.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut command = shop.command("write", &["5000"]);
        command
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", silent.local_addr().unwrap()))
            // The first request is still waiting when the program ends.
            .env("OTEL_EXPORTER_OTLP_TIMEOUT", "600000")
            .env("OTEL_BSP_MAX_QUEUE_SIZE", ROOM.to_string());
        let ran = shop.run(command).await;
        assert!(ran.out.starts_with(&format!("{ROOM} spans were not exported")), "{}", ran.out);
        assert!(ran.out.contains(&format!(", {} dropped", 5000 - ROOM)), "{}", ran.out);
        assert!(ran.out.contains("0 failed before the end"), "nothing waited for the receiver: {}", ran.out);
        assert!(milliseconds(&ran.out) < 60_000, "the end waits five seconds: {}", ran.out);
        assert!(ran.log.contains("queue of finished spans is full"), "{}", ran.log);
    });
}

#[test]
fn a_receiver_that_comes_back_gets_spans_again() {
    block_on(async {
        let shop = Shop::open().await;
        let port = Port::free();
        let endpoint = format!("http://{}", port.address());
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
            ("OTEL_BSP_SCHEDULE_DELAY", "50"),
            // A busy receiver is not away once more.
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "600000"),
        ];
        let mut ticking = shop.launch("tick", &[]).variables(variables).start();
        let away = "receiver of traces does not accept spans";
        eventually("the loss is reported", PATIENCE, async || ticking.log().contains(away)).await;
        let receiver = OtlpReceiver::start_at(port.address().parse().unwrap()).await;
        eventually("spans arrive", PATIENCE, async || !receiver.spans().is_empty()).await;
        eventually("the end of it is reported", PATIENCE, async || {
            ticking.log().contains("accepts spans again")
        })
        .await;
        File::create(format!("{}.stop", shop.file().display())).unwrap();
        ticking.ends(Ended::Exited(Some(0))).await;
        assert_eq!(ticking.log().matches(away).count(), 1, "once, not for each batch");
        // The events of the whole time are kept: telemetry is no part of them.
        let before = receiver.spans().len();
        shop.consume(before).await;
    });
}
