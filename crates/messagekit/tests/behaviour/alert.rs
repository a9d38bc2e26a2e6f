//! A blocked lane raises an alert: a number in the statistics, an error in the log.

use messagekit::{OnFailure, ParkingLimits};

use crate::fixture::{Action, World, pass, seconds, start, until};
use crate::log::Log;

#[tokio::test(start_paused = true)]
async fn a_blocked_lane_shows_in_stats_and_log_until_it_resumes() {
    let log = Log::default();
    let _logged = log.begin();
    let world = World::new(1);
    world.push_all("a", 2).await;
    world.script.next("a-2", [Action::Fail; 3]);
    let consumer = start(world.billing().on_failure(OnFailure::Block));
    let blocked_lanes = || consumer.stats.connection().blocked;
    until(|| world.script.runs_of("a-2").len() == 2).await;
    assert_eq!(blocked_lanes(), 1);
    until(|| world.applied().len() == 2).await;
    until(|| blocked_lanes() == 0).await;
    let lines = log.lines("lane blocked by a message that cannot be applied");
    assert_eq!(lines.len(), 3, "one for each run that failed: {lines:?}");
    for (line, attempt) in lines.iter().zip(1..) {
        for part in ["ERROR", "consumer=\"billing\"", &format!("attempt={attempt} "), "wait=", "error="] {
            assert!(line.contains(part), "{part} in {line}");
        }
    }
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn key_over_its_parking_limit_blocks_its_lane_and_alerts_once() {
    let log = Log::default();
    let _logged = log.begin();
    let world = World::new(1);
    world.push_all("a", 4).await;
    world.script.always("a-1", Action::Permanent);
    let parking = world.billing().on_failure(OnFailure::ParkKey);
    let consumer = start(parking.parking_limits(ParkingLimits { per_key: 2, in_all: 100 }));
    let blocked_lanes = || consumer.stats.connection().blocked;
    until(|| world.failed_messages_now() == 2).await;
    until(|| blocked_lanes() == 1).await;
    pass(seconds(600)).await;
    assert_eq!((blocked_lanes(), world.committed(0)), (1, 2));
    let lines = log.lines("lane blocked: there is no room to park its first message");
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in ["ERROR", "consumer=\"billing\"", "message_id=a-3", "per_key=2", "in_all=100"] {
        assert!(lines[0].contains(part), "{part} in {}", lines[0]);
    }

    world.script.heal();
    world.retry(world.failed_message("a-1").await.id).await.expect("it is dead");
    until(|| world.applied().len() == 4).await;
    until(|| blocked_lanes() == 0).await;
    assert_eq!(log.lines("lane blocked").len(), 1, "it is over");
    consumer.stop().await;
}
