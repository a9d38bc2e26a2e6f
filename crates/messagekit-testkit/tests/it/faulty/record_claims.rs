//! Faults of record claims.

use std::sync::Arc;

use jiff::Timestamp;
use messagekit::adapter::Retries;
use messagekit::{Error, Store};
use messagekit_topic_store::{ClaimHolder, ClaimPartitions, ClaimWindow, LeasedMessage, RecordClaims};
use serde_json::Value;

use super::methods::faults;
use super::store::{Fault, FaultyStore, FaultyTx};
use super::{Row, Suite, everybody};

/// Where a claim window is written: consumer, topic and partition.
type Place<'a> = (&'a str, &'a Arc<str>, i32);

/// Gives the transaction up, and writes a window in another one, which commits.
async fn write_at_once(
    faulty: &FaultyStore,
    tx: &mut FaultyTx,
    (consumer, topic, partition): Place<'_>,
    window: &ClaimWindow,
) -> Result<(), Error> {
    drop(std::mem::replace(tx.inner(), faulty.inner.begin().await?));
    let mut other = faulty.inner.begin().await?;
    faulty.inner.write_claim_window(&mut other, consumer, topic, partition, window).await?;
    faulty.inner.commit(other).await
}

/// Notes a window that this process writes. Returns the one before it.
async fn note(
    faulty: &FaultyStore,
    (consumer, topic, _): Place<'_>,
    window: &ClaimWindow,
) -> Result<Option<ClaimWindow>, Error> {
    let key = (faulty.inner.claim_holder().await?, consumer.to_owned(), Arc::clone(topic));
    Ok(faulty.notes().windows.insert(key, window.clone()))
}

/// Finds partitions with what a fault makes of the window that this process wrote last.
async fn partitions_as_noted(
    faulty: &FaultyStore,
    tx: &mut FaultyTx,
    (consumer, topic, _): Place<'_>,
    unknown: fn(i64, ClaimWindow) -> ClaimWindow,
) -> Result<ClaimPartitions, Error> {
    let mut found = faulty.inner.claim_partitions(tx.inner(), consumer, topic).await?;
    let key = (faulty.inner.claim_holder().await?, consumer.to_owned(), Arc::clone(topic));
    let known = faulty.notes().windows.get(&key).cloned();
    for partition in &mut found.partitions {
        let found = partition.window.clone();
        let invent = || unknown(partition.bounds.earliest, found);
        partition.window = known.clone().unwrap_or_else(invent);
    }
    Ok(found)
}

/// Changes the ranges of a window.
fn changed(window: &ClaimWindow, change: impl FnOnce(&mut Vec<Value>)) -> ClaimWindow {
    let mut ranges = serde_json::from_str(&window.encode()).expect("a window is written as a list");
    change(&mut ranges);
    ClaimWindow::decode(window.next(), &Value::from(ranges).to_string()).expect("a changed window is one")
}

/// Returns a window whose ranges have 1970 for one of their times.
fn without_times(window: &ClaimWindow, name: &str) -> ClaimWindow {
    changed(window, |ranges| {
        let states = ranges.iter_mut().filter_map(|range| range["state"].as_object_mut());
        for time in states.flat_map(|states| states.values_mut()).filter_map(|state| state.get_mut(name)) {
            *time = Value::from(0);
        }
    })
}

/// Returns a window whose claims have one holder.
fn held_by(window: &ClaimWindow, holder: &ClaimHolder) -> ClaimWindow {
    changed(window, |ranges| {
        for claimed in ranges.iter_mut().filter_map(|range| range["state"].get_mut("claimed")) {
            claimed["holder"] = Value::from(holder.as_str());
        }
    })
}

pub(super) static ROWS: &[Row<Fault>] = faults! {
    /// Claims are not written.
    Log claimed_record_is_claimed_once: call write_claim_window: |_, _, _, _, _, _| Ok(());
    /// A new consumer skips the records that exist already.
    Log claims_begin_at_the_earliest_record:
        answer claim_partitions: |_, found| for partition in &mut found.partitions {
            if partition.window == ClaimWindow::new(partition.bounds.earliest) {
                partition.window = ClaimWindow::new(partition.bounds.end);
                partition.is_new = false;
            }
        };
    /// The end of a partition is read once.
    Log new_records_are_claimed_when_they_come:
        call claim_partitions: |faulty, tx, consumer, topic| {
            let mut found = faulty.inner.claim_partitions(tx.inner(), consumer, topic).await?;
            for bounds in found.partitions.iter_mut().map(|partition| &mut partition.bounds) {
                bounds.end = *faulty.notes().offsets.entry(topic.clone()).or_insert(bounds.end);
            }
            Ok(found)
        };
    /// All consumers share their claims.
    Log consumers_claim_apart:
        arguments claim_partitions: |_, consumer, _| *consumer = everybody();
        arguments write_claim_window: |_, consumer, _, _, _| *consumer = everybody();
    /// Claimed records come without their key.
    Log claimed_records_are_whole:
        answer read_claimed: |_, records| records.iter_mut().for_each(|record| record.message.key = None);
    /// No failed message comes back to the workers that claim.
    Log requested_retry_is_claimed: call lease_failed: |_, _, _, _, _| Ok(None);
    /// Workers of one topic get the failed messages of another one.
    Log requested_retry_stays_in_its_topic:
        call lease_failed: |faulty, consumer, _, _, lease| {
            let leased = faulty.inner.lease(consumer, 1, lease).await?.into_iter().next();
            Ok(leased.map(|lease| LeasedMessage { lease, until: Timestamp::now() }))
        };
    /// Each attempt of a failed message is its first.
    Log requested_retry_is_lost_with_its_lease:
        answer lease_failed: |_, leased| leased.iter_mut().for_each(|leased| leased.lease.attempt = 1);
    /// A failed message that a worker has is not found.
    Log requested_retry_is_settled_as_a_record: answer leased_failed: |_, found| *found = None;
    /// A range of records is read to the end of the partition.
    Log claim_holds_no_more_than_it_asked_for:
        arguments read_claimed: |_, _, _, offsets, _| offsets.end = i64::MAX;
    /// Two transactions may change the claims of a consumer at the same time.
    Log concurrent_claims_share_no_record:
        call claim_partitions: |faulty, _, consumer, topic| {
            let mut other = faulty.inner.begin().await?;
            let found = faulty.inner.claim_partitions(&mut other, consumer, topic).await?;
            drop(other);
            tokio::task::yield_now().await;
            Ok(found)
        };
        call write_claim_window: |faulty, tx, consumer, topic, partition, window| {
            write_at_once(faulty, tx, (consumer, topic, partition), window).await
        };
    /// The delay of a record that was given back is not kept.
    Log ordered_records_follow_each_other:
        arguments write_claim_window: |_, _, _, _, window| *window = without_times(window, "due");
    /// The end of a lease is not kept.
    Log no_more_records_are_claimed_than_may_be_in_flight:
        arguments write_claim_window: |_, _, _, _, window| *window = without_times(window, "until");
    /// Each process keeps the claims for itself.
    Log claims_go_on_in_another_process:
        call claim_partitions: |faulty, tx, consumer, topic| {
            let fresh = |earliest, _| ClaimWindow::new(earliest);
            partitions_as_noted(faulty, tx, (consumer, topic, 0), fresh).await
        };
        call write_claim_window: |faulty, tx, consumer, topic, partition, window| {
            note(faulty, (consumer, topic, partition), window).await?;
            faulty.inner.write_claim_window(tx.inner(), consumer, topic, partition, window).await
        };
    /// Claims are written at once, outside the transaction.
    Log acknowledgement_shares_the_commit:
        call write_claim_window: |faulty, tx, consumer, topic, partition, window| {
            write_at_once(faulty, tx, (consumer, topic, partition), window).await
        };
    /// A partition is said to begin at its first record ever.
    Log deleted_records_are_reported:
        answer claim_partitions: |_, found| {
            found.partitions.iter_mut().for_each(|partition| partition.bounds.earliest = 0);
        };
    /// The settled prefix only grows.
    Log reset_ends_every_claim:
        call write_claim_window: |faulty, tx, consumer, topic, partition, window| {
            match note(faulty, (consumer, topic, partition), window).await? {
                Some(known) if known.next() > window.next() => Ok(()),
                _ => faulty.inner.write_claim_window(tx.inner(), consumer, topic, partition, window).await,
            }
        };
    /// A claim sees no keys.
    Log keys_keep_their_order_and_others_go_on: answer record_keys: |_, keys| keys.clear();
    /// A claim sees the keys of its first range alone.
    Log each_unsettled_record_holds_its_key: arguments record_keys: |_, _, _, offsets| offsets.truncate(1);
    /// A claim sees no key of the last record.
    Log record_given_back_takes_its_key_along: answer record_keys: |_, keys| drop(keys.pop());
    /// A claim sees no key of each tenth record.
    Log effects_of_a_key_follow_each_other:
        answer record_keys: |_, keys| keys.retain(|(offset, _)| offset % 10 != 9);
    /// No consumer is known to be new.
    Log consumer_begins_where_its_first_claim_says:
        answer claim_partitions: |_, found| {
            found.partitions.iter_mut().for_each(|partition| partition.is_new = false);
        };
    /// Claims that no process has are held by the one that wrote them.
    Log claims_for_others_outlive_their_process:
        call write_claim_window: |faulty, tx, consumer, topic, partition, window| {
            let holder = faulty.inner.claim_holder().await?;
            let window = held_by(window, &holder);
            faulty.inner.write_claim_window(tx.inner(), consumer, topic, partition, &window).await
        };
    /// A claim reads more bytes than it asked for.
    Log claim_has_no_more_bytes_than_it_asked_for:
        arguments read_claimed: |_, _, _, _, max_bytes| *max_bytes = usize::MAX;
    /// The start of a partition is read once.
    Log deletions_move_the_consumer_as_it_asks:
        call claim_partitions: |faulty, tx, consumer, topic| {
            let mut found = faulty.inner.claim_partitions(tx.inner(), consumer, topic).await?;
            for bounds in found.partitions.iter_mut().map(|partition| &mut partition.bounds) {
                bounds.earliest = *faulty.notes().offsets.entry(topic.clone()).or_insert(bounds.earliest);
            }
            Ok(found)
        };
    /// The clock of the database stands still.
    Log claims_end_with_their_lease:
        answer claim_partitions: |faulty, found| found.now = *faulty.notes().time.get_or_insert(found.now);
    /// A process trusts the claims as it wrote them last.
    Log late_claim_settles_nothing:
        call claim_partitions: |faulty, tx, consumer, topic| {
            partitions_as_noted(faulty, tx, (consumer, topic, 0), |_, found| found).await
        };
        call write_claim_window: |faulty, tx, consumer, topic, partition, window| {
            note(faulty, (consumer, topic, partition), window).await?;
            faulty.inner.write_claim_window(tx.inner(), consumer, topic, partition, window).await
        };
    /// No process is known to have ended.
    Log claims_of_an_ended_process_come_back_at_once: call ended_holders: |_, _| Ok(Vec::new());
    /// Every other process counts as ended.
    Log claims_of_a_living_process_stay: call ended_holders: |_, holders| Ok(holders.to_vec());
    /// The last of several ranges is not written.
    Log workers_finish_each_record_once:
        arguments write_claim_window: |_, _, _, _, window| {
            *window = changed(window, |ranges| ranges.truncate(1.max(ranges.len().saturating_sub(1))));
        };
};
