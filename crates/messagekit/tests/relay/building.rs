use std::sync::Arc;
use std::time::Duration;

use messagekit::ErrorKind;
use messagekit::relay::{LONGEST_LEASE, Relay};

use crate::fixture::World;

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let relay = Relay::builder("a b").poll(Duration::ZERO).lease(Duration::from_millis(3));
    let error = relay.build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
    for part in ["relay name \"a b\"", ".reader(outbox)", ".to(publisher)", "poll of 0", "lease of 3ms"] {
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
    let long = Relay::builder("a").lease(LONGEST_LEASE + Duration::from_secs(1)).build().unwrap_err();
    assert!(long.to_string().contains("lease of 601s is above 600s"), "{long}");
}

#[tokio::test]
async fn what_is_shown_of_a_relay_holds_no_secret_and_no_event() {
    let world = World::new();
    let builder = Relay::builder("shop").reader(Arc::new(world.outbox)).to(Arc::new(world.broker));
    assert_eq!(format!("{builder:?}"), r#"RelayBuilder { name: "shop", .. }"#);
    assert_eq!(format!("{:?}", builder.build().unwrap()), r#"Relay { name: "shop", .. }"#);
}
