//! A message whose handler returns "unavailable" holds its lane for a limited time and uses no attempt.

use std::time::Duration;

use messagekit::operations::{FailedMessage, FailedMessageState};
use messagekit::{ErrorKind, OnFailure, ParkingLimits};

use crate::fixture::{Action, CONSUMER, World, names, pass, seconds, start, until};
use crate::flaky::{Call, Flaky};

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

const DEFAULT: Duration = minutes(10);
const PARKS: [OnFailure; 2] = [OnFailure::ParkKey, OnFailure::DeadLetter];

/// Returns whether a message waits for its retry with no attempt used.
fn is_unburnt(failed_message: &FailedMessage) -> bool {
    (failed_message.state, &*failed_message.kind, failed_message.attempts, failed_message.crash_count)
        == (FailedMessageState::RetryScheduled, "unavailable", 0, 0)
}

#[tokio::test(start_paused = true)]
async fn a_message_is_parked_unburnt_after_the_limit() {
    for (policy, next) in PARKS.into_iter().zip(["b-1", "a-2"]) {
        let world = World::new(1);
        world.push_all("a", 2).await;
        world.push_all("b", 2).await;
        world.script.always("a-1", Action::Unavailable);
        let consumer = start(world.billing().on_failure(policy));
        pass(DEFAULT - seconds(6)).await;
        assert_eq!((world.applied().len(), world.failed_messages_now()), (0, 0), "{policy:?}");
        assert!(world.script.runs().iter().all(|run| run.id == "a-1"), "no other handler runs meanwhile");

        pass(seconds(12)).await;
        assert_eq!(world.applied()[0], next, "{policy:?}");
        let failed_message = world.failed_message("a-1").await;
        assert!(is_unburnt(&failed_message), "{policy:?}: {failed_message:?}");
        assert!(failed_message.error.contains("payment service is down"), "{}", failed_message.error);
        assert_eq!(failed_message.holds_back, u64::from(policy == OnFailure::ParkKey));
        let stats = consumer.read();
        assert_eq!((stats.set_aside, stats.dead), (1, 0));

        // Its retries use no attempt either, regardless of the duration.
        pass(minutes(20)).await;
        assert!(is_unburnt(&world.failed_message("a-1").await), "{policy:?}");
        assert!(world.script.attempts_of("a-1").iter().all(|attempt| *attempt == 1), "{policy:?}");
        world.script.heal();
        until(|| world.applied().len() == 4).await;
        let failed_message = world.failed_message("a-1").await;
        assert_eq!(
            (failed_message.state, failed_message.attempts),
            (FailedMessageState::Resolved, 0),
            "{policy:?}"
        );
        let of_a: Vec<_> = world.applied().into_iter().filter(|id| id.starts_with('a')).collect();
        let in_order = if policy == OnFailure::ParkKey { ["a-1", "a-2"] } else { ["a-2", "a-1"] };
        assert_eq!(of_a, in_order, "{policy:?}");
        consumer.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_limit_can_be_set() {
    for limit in [Duration::ZERO, minutes(1), minutes(30)] {
        let world = World::new(1);
        world.push_all("a", 1).await;
        world.push_all("b", 1).await;
        world.script.always("a-1", Action::Unavailable);
        let consumer = start(world.billing().unavailable_limit(limit));
        pass(limit.saturating_sub(seconds(1))).await;
        assert_eq!(world.failed_messages_now(), 0, "{limit:?}");
        pass(seconds(8)).await;
        assert_eq!((world.failed_messages_now(), world.applied()), (1, vec!["b-1".to_owned()]), "{limit:?}");
        consumer.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_message_decides_by_itself_and_has_the_whole_limit() {
    let world = World::new(1);
    world.push_all("a", 1).await;
    world.push_all("b", 1).await;
    world.push_all("c", 1).await;
    world.script.always("a-1", Action::Unavailable);
    world.script.always("b-1", Action::Unavailable);
    let consumer = start(world.billing());
    pass(DEFAULT + seconds(6)).await;
    assert!(!world.script.runs_of("b-1").is_empty());
    pass(DEFAULT - seconds(12)).await;
    assert_eq!((world.failed_messages_now(), world.applied().len()), (1, 0));
    pass(seconds(18)).await;
    assert_eq!((world.failed_messages_now(), world.applied()), (2, vec!["c-1".to_owned()]));
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_blocking_message_waits_and_health_names_its_lane() {
    let world = World::new(1);
    world.push_all("a", 1).await;
    world.push_all("b", 1).await;
    world.script.always("a-1", Action::Unavailable);
    let consumer = start(world.billing().on_failure(OnFailure::Block));
    pass(minutes(3 * 60)).await;
    assert_eq!((world.applied().len(), world.failed_messages_now()), (0, 0));
    assert_eq!(world.script.runs_of("b-1"), []);
    let connection = consumer.stats.connection();
    assert_eq!((connection.blocked, &*connection.blocked_lanes[0]), (1, "orders.order/0"));
    world.script.heal();
    until(|| world.applied().len() == 2).await;
    assert_eq!(world.applied(), ["a-1", "b-1"]);
    until(|| consumer.stats.connection().blocked == 0).await;
    assert!(consumer.stats.connection().blocked_lanes.is_empty());
    assert!(world.script.runs().iter().all(|run| run.attempt == 1));
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_limit_starts_again_when_the_lane_finishes_something() {
    let world = World::new(1);
    for key in ["a", "b", "c"] {
        world.push_all(key, 1).await;
        world.script.always(&format!("{key}-1"), Action::Unavailable);
    }
    let consumer = start(world.billing());
    for key in ["a", "b", "c"] {
        pass(DEFAULT - minutes(1)).await;
        assert!(!world.script.runs_of(&format!("{key}-1")).is_empty());
        world.script.next(&format!("{key}-1"), []);
        until(|| world.applied().contains(&format!("{key}-1"))).await;
    }
    assert_eq!((consumer.stop().await.set_aside, world.failed_messages_now()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_starts_again_gives_the_whole_limit_anew() {
    let world = World::new(1);
    world.push_all("a", 1).await;
    world.script.always("a-1", Action::Unavailable);
    for _ in 0..3 {
        let consumer = start(world.billing());
        pass(DEFAULT - minutes(1)).await;
        consumer.stop().await;
        assert_eq!(world.failed_messages_now(), 0);
    }
    let consumer = start(world.billing());
    pass(DEFAULT + seconds(6)).await;
    assert_eq!(world.failed_messages_now(), 1);
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_store_does_not_count_towards_the_limit() {
    let world = World::new(1);
    world.push_all("a", 1).await;
    world.push_all("b", 1).await;
    let flaky = Flaky::new(&world.store);
    flaky.fail(Call::Begin, ErrorKind::Unavailable);
    let consumer = start(world.consumer_on(CONSUMER, flaky.clone()).on_failure(OnFailure::ParkKey));
    pass(seconds(3_600)).await;
    world.script.next("a-1", [Action::Unavailable, Action::Unavailable]);
    flaky.heal();
    until(|| world.applied().len() == 2).await;
    assert_eq!((world.script.attempts_of("a-1"), world.failed_messages_now()), (vec![1, 1, 1], 0));
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_outage_in_between_starts_the_limit_again() {
    let world = World::new(1);
    world.push_all("a", 1).await;
    world.push_all("b", 1).await;
    world.script.always("a-1", Action::Unavailable);
    let flaky = Flaky::new(&world.store);
    let consumer = start(world.consumer_on(CONSUMER, flaky.clone()).on_failure(OnFailure::ParkKey));
    until(|| !world.script.runs_of("a-1").is_empty()).await;
    flaky.fail(Call::Begin, ErrorKind::Unavailable);
    pass(seconds(3_600)).await;
    let runs = world.script.runs_of("a-1").len();
    flaky.heal();
    until(|| world.script.runs_of("a-1").len() > runs + 1).await;
    assert_eq!((world.applied().len(), world.failed_messages_now()), (0, 0));
    pass(DEFAULT + minutes(1)).await;
    assert_eq!((world.applied(), world.failed_messages_now()), (vec!["b-1".to_owned()], 1));
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_long_outage_parks_each_message_once_and_keeps_order() {
    for policy in [OnFailure::ParkKey, OnFailure::DeadLetter, OnFailure::Block] {
        let world = World::new(1);
        for key in ["a", "b", "c"] {
            world.push_all(key, 2).await;
            (1..=2).for_each(|n| world.script.always(&format!("{key}-{n}"), Action::Unavailable));
        }
        let consumer = start(world.billing().on_failure(policy).unavailable_limit(minutes(1)));
        pass(minutes(10)).await;
        assert!(world.applied().is_empty(), "{policy:?}");
        let failed_messages = world.failed_messages().await;
        let parked = if policy == OnFailure::Block { 0 } else { 6 };
        assert_eq!(failed_messages.len(), parked, "{policy:?}");
        assert!(failed_messages.iter().all(|failed_message| failed_message.attempts == 0), "{policy:?}");
        assert!(world.script.runs().iter().all(|run| run.attempt == 1), "{policy:?}");
        world.script.heal();
        until(|| world.applied().len() == 6).await;
        if policy != OnFailure::DeadLetter {
            for key in ["a", "b", "c"] {
                let of_key: Vec<_> = world.applied().into_iter().filter(|id| id.starts_with(key)).collect();
                assert_eq!(of_key, names(key, 2), "{policy:?}");
            }
        }
        assert_eq!(consumer.stop().await.dead, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn retries_that_say_unavailable_do_not_hold_up_the_others() {
    let world = World::new(1);
    for n in 1..=50 {
        world.push("a", n).await;
        world.script.plan(&format!("a-{n}"), [Action::Fail], Action::Unavailable);
    }
    let consumer = start(world.billing());
    until(|| world.failed_messages_now() == 50).await;
    pass(minutes(2)).await;
    world.push("b", 1).await;
    world.script.next("b-1", [Action::Fail]);
    until(|| world.script.runs_of("b-1").len() == 1).await;
    pass(seconds(3)).await;
    assert_eq!(world.applied(), ["b-1"], "due after a second");
    let failed_messages = world.failed_messages().await;
    assert!(
        failed_messages
            .iter()
            .take(50)
            .all(|failed_message| (failed_message.attempts, failed_message.crash_count) == (1, 0))
    );
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn without_room_an_unavailable_message_waits_and_pays_nothing() {
    let world = World::new(1);
    world.push_all("a", 1).await;
    world.push_all("b", 1).await;
    world.script.always("a-1", Action::Permanent);
    world.script.always("b-1", Action::Unavailable);
    let parking = world.billing().on_failure(OnFailure::ParkKey);
    let consumer = start(parking.parking_limits(ParkingLimits { per_key: 10, in_all: 1 }));
    pass(minutes(60)).await;
    assert_eq!((world.failed_messages_now(), world.applied().len(), world.committed(0)), (1, 0, 1));
    assert!(world.script.attempts_of("b-1").iter().all(|attempt| *attempt == 1));
    world.script.next("b-1", []);
    until(|| world.applied() == ["b-1"]).await;
    assert_eq!(consumer.stop().await.set_aside, 0);
}
