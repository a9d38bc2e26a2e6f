//! The readiness of a bookkeeper while its brokers are up or down.

use messagekit_bookkeeper::Reading;
use messagekit_testkit::eventually;

use crate::stage::{PATIENCE, Stage};

async fn until_well(reading: &Reading) {
    eventually("it is read", PATIENCE, async || reading.problem().is_none()).await;
}

#[tokio::test]
async fn a_queue_that_was_deleted_is_named_until_it_is_back() {
    let stage = Stage::new().await;
    let running = stage.keep_queue();
    let reading = running.readings[0].clone();
    until_well(&reading).await;
    stage.rabbit.delete(&stage.dead()).await;
    eventually("it is missed", PATIENCE, async || {
        reading.problem().is_some_and(|problem| {
            problem.contains("0 of 1 queues are read") && problem.contains(&stage.dead())
        })
    })
    .await;
    stage.rabbit.queue(&stage.dead(), &[]).await;
    until_well(&reading).await;
    running.stop().await;
}

#[tokio::test]
async fn topics_are_well_when_a_partition_is_assigned() {
    let stage = Stage::new().await;
    let running = stage.keep_topic().await;
    until_well(&running.readings[0]).await;
    running.stop().await;
}
