use std::sync::Arc;

use messagekit::{Message, headers};
use messagekit_bridge::{Bridge, Rule};

use crate::broker::{Broker, Fate};
use crate::fixture::{BRIDGE, DEAD, RETRY, Running, TOPIC, World, order, until};

fn said(dead_letter: &Message, name: &str) -> String {
    dead_letter.headers.text(name).unwrap_or_default().to_owned()
}

#[tokio::test(start_paused = true)]
async fn what_no_queue_wants_is_a_dead_letter_with_everything_in_it() {
    let world = World::new(1);
    world.broker.script(|message| match message.key.as_deref() == Some(b"o-1") {
        true => Fate::Returned,
        false => Fate::Taken,
    });
    let refused = order("o-1", 0).with_header("tenant", "north");
    world.publish([order("o-0", 0), refused.clone(), order("o-2", 0)]).await;
    let running = Running::start(world.bridge());
    until("all are settled", || world.committed() == 3).await;
    let [dead_letter] = &world.dead_letters()[..] else { panic!("one dead letter") };
    assert_eq!((&dead_letter.payload, &dead_letter.key), (&refused.payload, &refused.key));
    for (name, value) in [
        ("id", "o-1-0"),
        ("tenant", "north"),
        (headers::DEAD_KIND, "unroutable"),
        (headers::DEAD_BY, BRIDGE),
        (headers::RETRY_TOPIC, RETRY),
        (headers::SOURCE_TOPIC, TOPIC),
        (headers::SOURCE_OFFSET, "1"),
    ] {
        assert_eq!(said(dead_letter, name), value, "{name}");
    }
    assert_eq!(said(dead_letter, headers::DEAD_ERROR), "no queue is bound (routing key {eventType})");
    let stats = running.stats.read();
    assert_eq!((stats.forwarded, stats.returned, stats.dead_lettered), (2, 1, 1));
    running.stop().await.unwrap();
}

/// A dead letter is shown to people who may not read payloads.
#[tokio::test(start_paused = true)]
async fn a_dead_letter_names_the_template_and_no_value() {
    let world = World::new(1);
    world.broker.script(|_| Fate::Returned);
    let bridge = Bridge::builder(BRIDGE)
        .from(world.log.topics([TOPIC, RETRY]))
        .dead_letters(Arc::new(world.log.clone()), DEAD)
        .rule(Rule::new([TOPIC], Arc::new(world.broker.clone())).routing_key("orders.{orderId}"));
    world.publish([order("planted-4711", 0)]).await;
    let running = Running::start(bridge);
    until("it is settled", || world.committed() == 1).await;
    let [dead_letter] = &world.dead_letters()[..] else { panic!("one dead letter") };
    assert_eq!(said(dead_letter, headers::DEAD_ERROR), "no queue is bound (routing key orders.{orderId})");
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_forwarded_is_a_dead_letter_that_says_why() {
    let world = World::new(1);
    let plain = || Message::new(TOPIC, "{}").with_header(headers::EVENT_TYPE, "orders.order.placed");
    world
        .publish([
            plain(),
            plain().with_header(headers::ID, ""),
            plain().with_header(headers::ID, vec![0xff]),
            Message::new(TOPIC, ""),
            Message::new(TOPIC, "[1]"),
            Message::new(TOPIC, "{}").with_header(headers::ID, "m-1"),
            Message { payload: vec![b'x'; 10_001].into(), ..order("o", 0) },
        ])
        .await;
    let running = Running::start(world.bridge());
    until("all are settled", || world.committed() == 7).await;
    let mut kinds: Vec<String> =
        world.dead_letters().iter().map(|dead_letter| said(dead_letter, headers::DEAD_KIND)).collect();
    kinds.sort();
    let expected =
        ["bad_id", "bad_id", "missing_id", "too_large", "undecodable", "undecodable", "unroutable"];
    assert_eq!(kinds, expected);
    assert_eq!(world.broker.publishes(), 0);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn no_offset_moves_before_the_dead_letter_is_confirmed() {
    let world = World::new(1);
    let dead_letters = Broker::new();
    dead_letters.script(|_| Fate::Away);
    world.broker.script(|_| Fate::Returned);
    world.publish([order("o-1", 0)]).await;
    let running = Running::start(world.bridge().dead_letters(Arc::new(dead_letters.clone()), DEAD));
    until("the dead letter was tried three times", || dead_letters.publishes() >= 3).await;
    assert_eq!((world.committed(), running.stats.read().dead_lettered), (0, 0));
    dead_letters.script(|_| Fate::Returned);
    until("a refused dead letter is tried again too", || dead_letters.publishes() >= 6).await;
    assert_eq!(world.committed(), 0);
    dead_letters.script(|_| Fate::Taken);
    until("it is settled", || world.committed() == 1).await;
    // The bridge published once: a dead letter is not forwarded again.
    assert_eq!((world.broker.publishes(), dead_letters.taken().len()), (1, 1));
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_repaired_copy_goes_out_to_its_rule() {
    let world = World::new(1);
    world.broker.script(|_| Fate::Returned);
    world.publish([order("o-1", 0)]).await;
    let running = Running::start(world.bridge());
    until("a dead letter", || world.dead_letters().len() == 1).await;
    world.broker.script(|_| Fate::Taken);
    let dead_letter = world.dead_letters().remove(0);
    world.publish([Message { topic: RETRY.into(), ..dead_letter }.with_header(headers::RETURNS, "1")]).await;
    until("it is there", || world.log.committed(BRIDGE, RETRY, 0) == 1).await;
    let [copy] = &world.broker.taken()[..] else { panic!("one message") };
    assert_eq!((&*copy.topic, said(copy, headers::ID)), ("orders.order.placed", "o-1-0".to_owned()));
    assert_eq!(
        (said(copy, headers::SOURCE_TOPIC), said(copy, headers::SOURCE_OFFSET)),
        (TOPIC.into(), "0".into())
    );
    assert_eq!((said(copy, headers::DEAD_KIND), said(copy, headers::RETURNS)), (String::new(), "1".into()));
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn retry_without_a_known_source_topic_is_dead_lettered() {
    let world = World::new(1);
    let copy = |n| Message { topic: RETRY.into(), ..order("o-1", n) };
    world.publish([copy(0), copy(1).with_header(headers::SOURCE_TOPIC, "orders.unknown")]).await;
    let running = Running::start(world.bridge());
    until("both are dead letters", || world.dead_letters().len() == 2).await;
    let errors: Vec<String> =
        world.dead_letters().iter().map(|dead_letter| said(dead_letter, headers::DEAD_ERROR)).collect();
    assert!(errors[0].contains("does not say where it comes from"), "{errors:?}");
    assert_eq!(errors[1], "no rule forwards topic orders.unknown");
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn two_rules_send_to_two_exchanges() {
    let world = World::new(1);
    let other = Broker::new();
    let bridge = Bridge::builder(BRIDGE)
        .from(world.log.topics([TOPIC, "orders.refund", RETRY]))
        .dead_letters(Arc::new(world.log.clone()), DEAD)
        .rule(Rule::new([TOPIC], Arc::new(world.broker.clone())))
        .rule(Rule::new(["orders.refund"], Arc::new(other.clone())).routing_key("refunds.{key}"));
    world.publish([order("o-1", 0), Message { topic: "orders.refund".into(), ..order("r-1", 0) }]).await;
    let running = Running::start(bridge);
    until("both are there", || running.stats.read().forwarded == 2).await;
    assert_eq!((world.broker.taken_ids(), other.taken_ids()), (vec!["o-1-0".into()], vec!["r-1-0".into()]));
    assert_eq!(&*other.taken()[0].topic, "refunds.r-1");
    running.stop().await.unwrap();
}
