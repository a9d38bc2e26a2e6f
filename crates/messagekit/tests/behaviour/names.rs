//! Names rejected at run time equal those that `#[derive(Event)]` rejects: both tests use the same lists.

use messagekit::adapter::{check_topic, check_type};
use messagekit::{ErrorKind, Outbox};
use messagekit_memory::MemoryStore;

#[test]
fn types_follow_the_grammar_of_the_derive() {
    let longest = format!("{}.b", "a".repeat(198));
    for good in
        ["a.b", "orders.order.placed", "1.2", "order-lines.line-2.added", "a--b.c", "a.b.c.d.e.f", &longest]
    {
        assert!(check_type(good).is_ok(), "{good}");
    }
    let too_long = format!("a{longest}");
    for bad in [
        "", ".", "a", "a.", ".a", "a..b", "A.b", "a.B", "a_b.c", "a b.c", "-a.b", "a-.b", "a.-", "ä.b",
        "a.b\n", "a/b", &too_long,
    ] {
        let error = check_type(bad).expect_err(bad);
        assert_eq!(error.kind(), ErrorKind::InvalidEvent, "{bad:?}");
    }
}

#[test]
fn topics_follow_the_grammar_of_the_derive() {
    for good in ["a", "Orders_v2.order-placed", "...", ".a", "-", &"t".repeat(249)] {
        assert!(check_topic(good).is_ok(), "{good}");
    }
    for bad in ["", ".", "..", "a b", "a/b", "ä", "a\0", &"t".repeat(250)] {
        let error = check_topic(bad).expect_err(bad);
        assert_eq!(error.kind(), ErrorKind::InvalidEvent, "{bad:?}");
    }
}

#[test]
fn the_default_topic_of_every_good_type_is_a_good_topic() {
    for event_type in ["a.b", "orders.order.placed", "1.2", "a--b.c", &format!("{}.b", "a".repeat(198))] {
        let (topic, _) = event_type.rsplit_once('.').expect("two segments");
        assert!(check_topic(topic).is_ok(), "{topic}");
    }
}

#[test]
fn an_outbox_is_refused_a_name_out_of_form() {
    let store = MemoryStore::new();
    assert!(Outbox::new(store.clone(), "order-service").is_ok());
    for name in ["", "order service", "ördern", &"x".repeat(201)] {
        let error = Outbox::new(store.clone(), name).expect_err(name);
        assert_eq!(error.kind(), ErrorKind::InvalidConfiguration, "{error}");
    }
}
