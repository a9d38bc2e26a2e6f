//! Staying in the group, and joining it again.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::{Done, Incoming, Lane, Publisher, Subscriber};
use messagekit::{Error, Message};
use messagekit_kafka::KafkaSubscriber;
use messagekit_testkit::transport::{Receiver, texts};
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};
use messagekit_tests::make_topic;
use rdkafka::admin::{AdminOptions, NewPartitions};

use crate::broker::{ADMIN, POLL, admin, committed, impatient, join, kafka, publish, topic};

#[test]
fn handler_slower_than_the_poll_interval_keeps_its_lane() {
    block_on(async {
        let (topic, consumer) = (topic(1, &[]).await, unique("consumer"));
        publish(&topic, (0..2).map(|number| format!("m{number}"))).await;
        let mut receiver = join(&impatient(), &topic, &consumer).await;
        let taken = receiver.take(2).await;
        let lane = taken[0].receipt.lane();
        receiver.subscriber().pause(lane);
        // Longer than the interval, without receiving or settling a message.
        let news = receiver.next_within(POLL + Duration::from_secs(3)).await;
        assert!(news.is_err(), "the group took the lane away: {news:?}");
        receiver.settle_receipts(taken.into_iter().map(|delivery| delivery.receipt).collect());
        eventually("what was settled late is committed", DEADLINE, async || {
            committed(&consumer, &topic, 0).await == Some(2)
        })
        .await;
    });
}

/// Follows the lanes of a member until they no longer change. It gives up a revoked lane at once.
pub(crate) async fn follow(member: &mut Receiver<KafkaSubscriber>, lanes: &mut BTreeSet<Lane>) {
    while let Ok(Some(incoming)) = member.next_within(Duration::from_millis(300)).await {
        match incoming {
            Incoming::Assigned { lane, name } => {
                assert!(name.contains('/'), "topic and partition, not {name}");
                lanes.insert(lane);
            }
            Incoming::Revoking { lane, .. } | Incoming::Lost { lane } => drop(lanes.remove(&lane)),
            Incoming::Message(_) => {}
        }
    }
}

#[test]
fn a_static_member_comes_back_without_a_rebalance() {
    block_on(async {
        let (topic, consumer) = (topic(4, &[]).await, unique("consumer"));
        let bind = async |instance: &str| {
            let source = kafka().topics([topic.clone()]).instance_id(instance);
            Receiver::new(messagekit::adapter::Source::bind(source, &consumer, &[]).await.unwrap(), &consumer)
        };
        let mut stays = bind("a").await;
        let mut leaves = bind("b").await;
        // Until the lanes are divided, and the lanes that one member gave up belong to the other.
        let end = tokio::time::Instant::now() + DEADLINE;
        let (mut ours, mut theirs) = (BTreeSet::new(), BTreeSet::new());
        while (ours.len(), theirs.len()) != (2, 2) {
            assert!(tokio::time::Instant::now() < end, "the lanes are not divided: {ours:?} {theirs:?}");
            tokio::join!(follow(&mut stays, &mut ours), follow(&mut leaves, &mut theirs));
        }
        let _ = stays.take_while_busy(Duration::from_secs(1)).await;
        leaves.close().await.unwrap();
        drop(leaves);
        let mut back = bind("b").await;
        let assigned = back.next_within(DEADLINE).await.unwrap();
        assert!(matches!(assigned, Some(Incoming::Assigned { .. })), "{assigned:?}");
        let news = stays.next_within(Duration::from_secs(2)).await;
        assert!(news.is_err(), "the other member was disturbed: {news:?}");
    });
}

/// Follows the lanes of a member by one step; returns the reason if it ends.
async fn step(member: &mut KafkaSubscriber, lanes: &mut BTreeSet<Lane>) -> Option<Error> {
    match poll_fn(|cx| member.poll_next(cx)).await {
        Some(Ok(Incoming::Assigned { lane, .. })) => drop(lanes.insert(lane)),
        Some(Ok(Incoming::Revoking { lane, .. } | Incoming::Lost { lane })) => drop(lanes.remove(&lane)),
        Some(Err(error)) if !error.is_transient() => return Some(error),
        Some(_) => {}
        None => panic!("the member ended without a reason"),
    }
    None
}

async fn until_assigned(member: &mut KafkaSubscriber, lanes: &mut BTreeSet<Lane>) {
    while lanes.is_empty() {
        let ended = step(member, lanes).await;
        assert!(ended.is_none(), "{ended:?}");
    }
}

async fn reason_for_end(member: &mut KafkaSubscriber, lanes: &mut BTreeSet<Lane>) -> Error {
    loop {
        if let Some(reason) = step(member, lanes).await {
            return reason;
        }
    }
}

#[test]
fn a_second_process_with_an_instance_id_ends_the_first() {
    block_on(async {
        let (topic, consumer) = (topic(1, &[]).await, unique("consumer"));
        let bind = async || {
            let source = kafka().topics([topic.clone()]).instance_id("the same");
            messagekit::adapter::Source::bind(source, &consumer, &[]).await.unwrap()
        };
        let (mut first, mut lanes) = (bind().await, BTreeSet::new());
        until_assigned(&mut first, &mut lanes).await;
        let (mut second, mut taken_over) = (bind().await, BTreeSet::new());
        // Each joins again when it is fenced for the first time.
        let ended = tokio::select! {
            ended = reason_for_end(&mut first, &mut lanes) => ended,
            ended = reason_for_end(&mut second, &mut taken_over) => panic!("the second has ended: {ended}"),
        };
        assert!(ended.to_string().contains("give each process its own"), "{ended}");
        until_assigned(&mut second, &mut taken_over).await;
    });
}

#[test]
fn a_topic_that_is_made_later_is_found() {
    block_on(async {
        let (name, consumer) = (unique("topic"), unique("consumer"));
        let mut receiver = join(&kafka(), &name.as_str().into(), &consumer).await;
        assert!(receiver.next_within(Duration::from_secs(1)).await.is_err());
        make_topic(&name, 1, &[]).await;
        publish(&name.as_str().into(), ["m0".to_owned()]).await;
        assert_eq!(texts(&receiver.take(1).await), ["m0"]);
    });
}

#[test]
fn settled_positions_are_committed_while_the_subscriber_works() {
    block_on(async {
        let (topic, consumer) = (topic(1, &[]).await, unique("consumer"));
        publish(&topic, (0..3).map(|number| format!("m{number}"))).await;
        let mut receiver = join(&kafka(), &topic, &consumer).await;
        let mut taken = receiver.take(3).await;
        let last = taken.pop().unwrap();
        receiver.settle_receipts(vec![last.receipt]);
        receiver.settle_receipts(vec![taken.remove(0).receipt]);
        eventually("the finished prefix is committed and no more", DEADLINE, async || {
            committed(&consumer, &topic, 0).await == Some(1)
        })
        .await;
    });
}

/// Ignoring a revoked lane ends in its loss, not in a group that waits for ever.
#[test]
fn a_lane_that_does_not_come_to_rest_is_lost() {
    block_on(async {
        let (topic, consumer) = (topic(2, &[]).await, unique("consumer"));
        let kafka = impatient();
        let mut first = join(&kafka, &topic, &consumer).await;
        let _ = first.next_within(DEADLINE).await;
        let mut second = join(&kafka, &topic, &consumer).await;
        let (mut kept, mut lost) = (None, None);
        let end = tokio::time::Instant::now() + DEADLINE;
        while lost.is_none() {
            assert!(tokio::time::Instant::now() < end, "nothing was lost");
            let quiet = Duration::from_millis(200);
            let (news, _) = tokio::join!(first.next_within(quiet), second.take_while_busy(quiet));
            match news {
                Ok(Some(Incoming::Revoking { lane, done })) => kept = Some((lane, done)),
                Ok(Some(Incoming::Lost { lane })) => lost = Some(lane),
                _ => {}
            }
        }
        assert_eq!(kept.as_ref().map(|(lane, _)| *lane), lost);
    });
}

/// The hint twice a second does not help here: the group has just had one.
#[test]
fn what_is_settled_last_is_committed_when_its_lane_is_given_up() {
    block_on(async {
        let (topic, consumer) = (topic(2, &[]).await, unique("consumer"));
        publish_keys(&topic, 40).await;
        let mut first = join(&kafka(), &topic, &consumer).await;
        let taken = first.take(40).await;
        let mut second = join(&kafka(), &topic, &consumer).await;
        let (lane, done) = revoking(&mut first, &mut second).await;
        let mut held: Vec<_> = taken.into_iter().filter(|found| found.receipt.lane() == lane).collect();
        let last = held.pop().unwrap();
        let position = last.position.clone().unwrap();
        first.settle_receipts(held.into_iter().map(|delivery| delivery.receipt).collect());
        eventually("all but the last one is committed", DEADLINE, async || {
            committed(&consumer, &topic, position.partition).await == Some(position.offset)
        })
        .await;
        first.settle_receipts(vec![last.receipt]);
        drop(done);
        let end = tokio::time::Instant::now() + DEADLINE;
        while second.lanes().is_empty() {
            assert!(tokio::time::Instant::now() < end, "the lane was not handed over");
            let quiet = Duration::from_millis(200);
            let _ = tokio::join!(first.next_within(quiet), second.next_within(quiet));
        }
        assert_eq!(committed(&consumer, &topic, position.partition).await, Some(position.offset + 1));
    });
}

/// Otherwise a released message would be delivered repeatedly until the lane is revoked.
#[test]
fn a_lane_that_is_given_up_delivers_nothing_more() {
    block_on(async {
        let (topic, consumer) = (topic(2, &[]).await, unique("consumer"));
        publish_keys(&topic, 40).await;
        let mut first = join(&kafka(), &topic, &consumer).await;
        let taken = first.take(40).await;
        let mut second = join(&kafka(), &topic, &consumer).await;
        let (lane, _done) = revoking(&mut first, &mut second).await;
        first.release(taken.into_iter().filter(|found| found.receipt.lane() == lane).collect());
        let (again, _) = tokio::join!(
            first.take_while_busy(Duration::from_millis(500)),
            second.take_while_busy(Duration::from_millis(500))
        );
        assert!(again.iter().all(|found| found.receipt.lane() != lane), "{again:?}");
    });
}

/// Waits until the first member must revoke a lane because the second one joins.
async fn revoking(
    first: &mut Receiver<KafkaSubscriber>,
    second: &mut Receiver<KafkaSubscriber>,
) -> (Lane, Done) {
    let end = tokio::time::Instant::now() + DEADLINE;
    loop {
        assert!(tokio::time::Instant::now() < end, "no lane was asked for");
        let quiet = Duration::from_millis(200);
        let (news, _) = tokio::join!(first.next_within(quiet), second.take_while_busy(quiet));
        if let Ok(Some(Incoming::Revoking { lane, done })) = news {
            return (lane, done);
        }
    }
}

#[test]
fn partitions_that_are_added_later_are_read_from_their_start() {
    block_on(async {
        let (topic, consumer) = (topic(1, &[]).await, unique("consumer"));
        publish(&topic, ["m0".to_owned()]).await;
        let mut receiver = join(&kafka(), &topic, &consumer).await;
        let taken = receiver.take(1).await;
        receiver.settle_receipts(taken.into_iter().map(|delivery| delivery.receipt).collect());
        let options = AdminOptions::new().operation_timeout(Some(ADMIN));
        let made = admin().create_partitions([&NewPartitions::new(&topic, 4)], &options).await.unwrap();
        assert!(made.iter().all(Result::is_ok), "{made:?}");
        let end = tokio::time::Instant::now() + DEADLINE;
        loop {
            assert!(tokio::time::Instant::now() < end, "nothing was written to a new partition");
            // A new client each time, until one knows the new partitions.
            publish_keys(&topic, 40).await;
            let taken = receiver.take(40).await;
            if taken.iter().any(|delivery| delivery.position.as_ref().unwrap().partition > 0) {
                return;
            }
        }
    });
}

/// Publishes messages of different keys, enough for every partition.
async fn publish_keys(topic: &Arc<str>, count: usize) {
    let batch: Vec<Message> = (0..count)
        .map(|number| Message::new(topic.clone(), format!("m{number}")).with_key(format!("k{number}")))
        .collect();
    kafka().publisher().unwrap().publish(&batch).await.into_iter().for_each(|result| result.unwrap());
}
