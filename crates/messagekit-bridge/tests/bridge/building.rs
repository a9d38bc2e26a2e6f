use std::sync::Arc;

use messagekit::{ErrorKind, Shutdown};
use messagekit_bridge::{Bridge, Rule};
use messagekit_memory::MemoryLog;

use crate::fixture::{RETRY, Running, TOPIC, World, until};

#[test]
fn every_problem_is_said_at_once() {
    let log = MemoryLog::new(1);
    let to = || Arc::new(log.clone());
    let built = Bridge::builder("a bridge")
        .from(log.topics([TOPIC, "orders.unruled"]))
        .retry_topic(RETRY)
        .rule(Rule::new([TOPIC, "orders.unread"], to()).routing_key("{eventType"))
        .rule(Rule::new([TOPIC], to()))
        .build();
    let error = built.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
    let text = error.to_string();
    for problem in [
        "bridge name \"a bridge\"",
        "no dead-letter topic",
        "brace that stands alone",
        "does not read topic orders.unread",
        "topic orders.order stands in two rules",
        "source reads topic orders.unruled, which no rule names",
        "does not read orders-bridge.retry",
    ] {
        assert!(text.contains(problem), "{problem:?} is not in {text:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_before_the_first_message_ends_it() {
    let world = World::new(1);
    let shutdown = Shutdown::new();
    shutdown.request();
    world.bridge().build().unwrap().run(shutdown).await.unwrap();
    let running = Running::start(world.bridge());
    until("a lane", || running.stats.read().lanes == 0).await;
    running.stop().await.unwrap();
}
