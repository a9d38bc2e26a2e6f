//! The lag of a consumer behind writers with transactions, whose markers take offsets.

use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::{LagProbe, PartitionLag, Subscriber};
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};

use crate::broker::{self, join, kafka, publish};
use crate::transactional_writer::{abort, begin, begin_in, commit};

async fn lag(probe: &Arc<dyn LagProbe>) -> Vec<PartitionLag> {
    tokio::time::timeout(DEADLINE, probe.lag()).await.unwrap().unwrap_or_default()
}

fn is_none(lag: &[PartitionLag]) -> bool {
    !lag.is_empty() && lag.iter().all(|one| one.messages == 0 && one.oldest.is_zero())
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
            receiver.settle_receipts(came.into_iter().map(|delivery| delivery.receipt).collect());
            eventually("nothing is behind", DEADLINE, async || {
                receiver.take_while_busy(Duration::from_millis(20)).await;
                is_none(&lag(&probe).await)
            })
            .await;
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
        receiver.settle_receipts(came.into_iter().map(|delivery| delivery.receipt).collect());
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
        receiver.settle_receipts(came.into_iter().map(|delivery| delivery.receipt).collect());
        eventually("nothing is behind", DEADLINE, async || {
            receiver.take_while_busy(Duration::from_millis(20)).await;
            is_none(&lag(&probe).await)
        })
        .await;
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
        receiver.settle_receipts(came.into_iter().map(|delivery| delivery.receipt).collect());
        eventually("nothing is behind", DEADLINE, async || {
            receiver.take_while_busy(Duration::from_millis(20)).await;
            let lag = lag(&probe).await;
            lag.len() == 120 && is_none(&lag)
        })
        .await;
    });
}
