//! The lag of a consumer behind writers with transactions, whose markers take offsets.

use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::{Delivery, LagProbe, PartitionLag, Subscriber};
use messagekit_kafka::KafkaSubscriber;
use messagekit_testkit::transport::Receiver;
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};

use crate::broker::{self, join, kafka, publish};
use crate::transactional_writer::{abort, begin, begin_in, commit};

async fn lag(probe: &Arc<dyn LagProbe>) -> Vec<PartitionLag> {
    tokio::time::timeout(DEADLINE, probe.lag()).await.unwrap().unwrap_or_default()
}

/// Waits until no partition has a lag, while the member receives.
async fn nothing_is_behind(
    receiver: &mut Receiver<KafkaSubscriber>,
    probe: &Arc<dyn LagProbe>,
    partitions: usize,
) {
    eventually("nothing is behind", DEADLINE, async || {
        receiver.take_while_busy(Duration::from_millis(20)).await;
        let lag = lag(probe).await;
        lag.len() == partitions && lag.iter().all(|one| one.messages == 0 && one.oldest.is_zero())
    })
    .await;
}

/// Settles what came.
fn settle(receiver: &mut Receiver<KafkaSubscriber>, came: Vec<Delivery>) {
    receiver.settle_receipts(came.into_iter().map(|delivery| delivery.receipt).collect());
}

#[test]
fn markers_and_aborted_records_are_no_lag() {
    block_on(async {
        let topic = broker::topic(1, &[]).await;
        let mut receiver = join(&kafka(), &topic, &unique("consumer")).await;
        let probe = receiver.subscriber().lag().unwrap();
        for _ in 0..3 {
            commit(begin(&topic, 2).await).await;
            abort(begin(&topic, 5).await).await;
            let came = receiver.take(2).await;
            settle(&mut receiver, came);
            nothing_is_behind(&mut receiver, &probe, 1).await;
        }
    });
}

#[test]
fn a_record_behind_markers_is_lag_of_its_own_age() {
    block_on(async {
        let topic = broker::topic(1, &[]).await;
        let mut receiver = join(&kafka(), &topic, &unique("consumer")).await;
        let probe = receiver.subscriber().lag().unwrap();
        commit(begin(&topic, 1).await).await;
        let came = receiver.take(1).await;
        let lane = came[0].receipt.lane();
        settle(&mut receiver, came);
        receiver.subscriber().pause(lane);
        abort(begin(&topic, 5).await).await;
        publish(&topic, ["late".to_owned()]).await;
        eventually("the record is lag", DEADLINE, async || {
            receiver.take_while_busy(Duration::from_millis(20)).await;
            lag(&probe).await.iter().any(|one| one.messages > 0 && !one.oldest.is_zero())
        })
        .await;
        receiver.subscriber().resume(lane);
        let came = receiver.take(1).await;
        settle(&mut receiver, came);
        nothing_is_behind(&mut receiver, &probe, 1).await;
    });
}

/// More partitions than one question reads.
#[test]
fn markers_of_many_partitions_are_no_lag() {
    block_on(async {
        let topic = broker::topic(120, &[]).await;
        let mut receiver = join(&kafka(), &topic, &unique("consumer")).await;
        let probe = receiver.subscriber().lag().unwrap();
        commit(begin_in(&topic, 0..120, 1).await).await;
        let came = receiver.take(120).await;
        settle(&mut receiver, came);
        nothing_is_behind(&mut receiver, &probe, 120).await;
    });
}
