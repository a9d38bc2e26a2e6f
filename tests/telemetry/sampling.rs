use std::collections::BTreeSet;

use messagekit_testkit::block_on;

use crate::shop::{Shop, named};

const EVENTS: usize = 1000;

#[test]
fn the_writers_decision_to_sample_is_kept_on_the_way() {
    block_on(async {
        let shop = Shop::open().await;
        let mut command = shop.command("write", &[&EVENTS.to_string()]);
        command.env("OTEL_TRACES_SAMPLER", "parentbased_traceidratio").env("OTEL_TRACES_SAMPLER_ARG", "0.1");
        shop.run(command).await;
        // The consumer would sample everything by itself.
        shop.consume(EVENTS).await;

        let spans = shop.receiver.spans();
        let traces = |name: &str| -> BTreeSet<String> {
            named(&spans, name).iter().map(|span| span.trace_id.clone()).collect()
        };
        let (written, processed) = (traces("create orders.order"), traces("process orders.order"));
        assert!((40..200).contains(&written.len()), "about a tenth: {}", written.len());
        assert_eq!(written, processed);
        let linked: usize = named(&spans, "receive orders.order").iter().map(|span| span.links.len()).sum();
        assert_eq!(linked, written.len());
    });
}
