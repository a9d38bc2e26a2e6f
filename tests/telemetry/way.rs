use messagekit_testkit::block_on;

use crate::shop::{CALLER, Shop, TRACE, named};

#[test]
fn one_trace_leads_from_the_request_to_the_handler() {
    block_on(async {
        let shop = Shop::open().await;
        shop.request("o-1").await;
        shop.consume(1).await;
        let spans = shop.receiver.trace(TRACE);
        let one = |name: &str| {
            let found = named(&spans, name);
            assert_eq!(found.len(), 1, "{name}: {spans:#?}");
            found[0].clone()
        };
        let (request, create) = (one("POST /orders"), one("create orders.order"));
        let process = one("process orders.order");
        assert_eq!(request.parent, &CALLER[36..52]);
        assert_eq!(create.parent, request.span_id);
        assert_eq!(process.parent, create.span_id, "the file hides no writer");
        assert!(shop.receiver.contains("vendor=1"), "the state of the caller's vendor goes on");
        assert_eq!((request.kind, create.kind, process.kind), (2, 4, 5), "server, producer, consumer");
        assert_eq!(create.attribute("messaging.message.id"), process.attribute("messaging.message.id"));
        for (name, value) in [
            ("messaging.system", "messagekit"),
            ("messaging.operation.type", "process"),
            ("messaging.destination.name", "orders.order"),
            ("messaging.consumer.group.name", "billing"),
            ("messagekit.event.type", "orders.order.placed"),
            ("messagekit.attempt", "1"),
        ] {
            assert_eq!(process.attribute(name), value, "{name}");
        }

        let all = shop.receiver.spans();
        let receive = named(&all, "receive orders.order");
        let [receive] = &receive[..] else { panic!("one batch: {all:#?}") };
        assert_ne!(receive.trace_id, TRACE, "a batch belongs to no single trace");
        assert_eq!(receive.links, [(TRACE.to_owned(), create.span_id)]);
        assert_eq!(process.links, [(receive.trace_id.clone(), receive.span_id.clone())]);
        let settle = named(&all, "settle");
        assert_eq!(settle.len(), 1);
        assert_eq!((&settle[0].parent, &settle[0].trace_id), (&receive.span_id, &receive.trace_id));
        assert!(all.iter().all(|span| span.service == "traced" && !span.is_error), "{all:#?}");
    });
}

#[test]
fn without_an_endpoint_no_trace_is_started() {
    block_on(async {
        let shop = Shop::open().await;
        let mut command = shop.command("write", &["10"]);
        command.env_remove("OTEL_EXPORTER_OTLP_ENDPOINT");
        shop.run(command).await;
        shop.consume(10).await;
        let spans = shop.receiver.spans();
        let processed = named(&spans, "process orders.order");
        assert_eq!(processed.len(), 10);
        let receives = named(&spans, "receive orders.order");
        let is_of_batch = |parent: &str| receives.iter().any(|receive| receive.span_id == parent);
        assert!(
            processed.iter().all(|span| is_of_batch(&span.parent)),
            "they belong to their batch: {spans:#?}"
        );
    });
}

#[test]
fn the_environment_names_service_and_headers() {
    block_on(async {
        let shop = Shop::open().await;
        let mut command = shop.command("write", &["1"]);
        command
            .env("OTEL_SERVICE_NAME", "order-service")
            .env("OTEL_EXPORTER_OTLP_HEADERS", "api-key=planted-key")
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("{}/", shop.receiver.endpoint()));
        let ran = shop.run(command).await;
        assert_eq!(shop.receiver.spans()[0].service, "order-service");
        assert_eq!(shop.receiver.header("api-key").as_deref(), Some("planted-key"));
        assert!(!ran.log.contains("planted-key"), "{}", ran.log);
    });
}

#[test]
fn a_wrong_exporter_is_refused_by_name() {
    block_on(async {
        let shop = Shop::open().await;
        let mut command = shop.command("write", &["1"]);
        let output = command.env("OTEL_TRACES_EXPORTER", "zipkin").output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(log.contains("OTEL_TRACES_EXPORTER is \"zipkin\": set it to otlp or none"), "{log}");
    });
}
