use std::sync::Arc;
use std::time::Duration;

use messagekit::ErrorKind;
use messagekit::metrics::{self, Metrics};
use messagekit::relay::Relay;

use crate::fixture::{Running, World};

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let relay = Relay::builder("a b").poll(Duration::ZERO).lease(Duration::from_millis(3));
    let error = relay.build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
    for part in ["relay name \"a b\"", ".reader(outbox)", ".to(publisher)", "poll of 0", "lease of 3ms"] {
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn metrics_carry_the_name_given_to_the_relay() {
    let world = World::new();
    world.write_keys(3, 2);
    let registry = prometheus::Registry::new();
    let metrics = Metrics::new(&registry).unwrap();
    let relay = Running::start(world.relay().metrics(&metrics));
    world.until_drained(6).await;
    let text = metrics::text(&registry);
    for line in [
        r#"messagekit_relay_published_total{relay="orders-relay"} 6"#,
        r#"messagekit_relay_rejected_total{relay="orders-relay"} 0"#,
        r#"messagekit_relay_shards{relay="orders-relay"} 64"#,
        r#"messagekit_relay_paused_topics{relay="orders-relay"} 0"#,
    ] {
        assert!(text.lines().any(|known| known == line), "{line} is missing:\n{text}");
    }
    relay.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_shown_of_a_relay_holds_no_secret_and_no_event() {
    let world = World::new();
    let builder = Relay::builder("shop").reader(Arc::new(world.outbox)).to(Arc::new(world.broker));
    assert_eq!(format!("{builder:?}"), r#"RelayBuilder { name: "shop", .. }"#);
    assert_eq!(format!("{:?}", builder.build().unwrap()), r#"Relay { name: "shop", .. }"#);
}
