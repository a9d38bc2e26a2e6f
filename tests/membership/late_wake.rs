//! A static member that wakes behind its session, while the group waits for a killed member.

use std::time::Duration;

use messagekit_testkit::{DEADLINE, eventually};
use messagekit_tests::services;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rustix::process::Signal;

use crate::block_on;
use crate::group::{BROKER, Group, SESSION};

/// Handlers that take this long at most are still at work when a member is asked for partitions.
const SLOWEST: Duration = Duration::from_millis(400);
/// The smallest number of waiting records.
const WAITING: usize = 100;

/// Waits until the group is in this state with this number of members.
async fn until_group(group: &str, state: &str, members: usize) {
    let mut config = ClientConfig::new();
    let outside: BaseConsumer = config.set("bootstrap.servers", services::kafka()).create().unwrap();
    eventually(&format!("the group is {state} with {members} members"), DEADLINE, async || {
        let Ok(found) = outside.fetch_group_list(Some(group), BROKER) else { return false };
        found.groups().iter().any(|group| group.state() == state && group.members().len() == members)
    })
    .await;
}

/// The group forgets a frozen member that it has asked for partitions, but the member keeps the others when it wakes. What it
/// commits before it has joined again must not end it.
#[test]
fn a_member_that_wakes_in_a_rebalance_works_again() {
    block_on(async {
        let mut group = Group::new(SLOWEST).await;
        let mut ada = group.member("ada", true, Some(SESSION));
        group.until_at_work(&mut ada, "ada", WAITING, DEADLINE).await;
        let mut bea = group.member("bea", false, Some(SESSION));
        // It has just asked the first member for half of its partitions.
        until_group(&group.name, "Stable", 2).await;
        ada.send(Signal::STOP);
        until_group(&group.name, "Stable", 1).await;
        bea.kill();
        ada.send(Signal::CONT);
        // It waits for the killed member, and works on with the partitions that it kept.
        until_group(&group.name, "PreparingRebalance", 2).await;
        until_group(&group.name, "Stable", 1).await;
        group.until_at_work(&mut ada, "ada", WAITING, DEADLINE).await;
        eventually("all is applied", DEADLINE, async || group.waiting().await == 0).await;
        ada.stop().await;
        group.compare().await;
    });
}
