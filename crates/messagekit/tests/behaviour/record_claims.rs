//! What workers see that claim the records of a topic: attempts, delays, dead records, acknowledgements of parts.

use std::time::Duration;

use messagekit::adapter::Publisher;
use messagekit::log::PartitionStart;
use messagekit::operations::{
    Action, FailedMessage, FailedMessageFilter, FailedMessageState, FailedMessages, Operator,
};
use messagekit::{ErrorKind, Message, headers};
use messagekit_memory::{MemoryLog, MemoryStore};
use messagekit_topic_store::{Claimed, RecordClaim, RecordClaimer, Which};

const TOPIC: &str = "orders.order";

async fn store_with(records: usize) -> MemoryStore {
    let log = MemoryLog::new(1);
    let message = |number: usize| {
        Message::new(TOPIC, number.to_string()).with_header(headers::ID, format!("m-{number}"))
    };
    log.publish(&(0..records).map(message).collect::<Vec<_>>()).await;
    MemoryStore::with_log(&log)
}

fn worker(store: &MemoryStore) -> RecordClaimer<MemoryStore> {
    RecordClaimer::new(store.clone(), "billing", TOPIC).max_attempts(3)
}

async fn claim(worker: &RecordClaimer<MemoryStore>, max: u32) -> RecordClaim {
    match worker.claim(max).await.expect("claims") {
        Claimed::Records(claim) => claim,
        other => panic!("records wait to be claimed: {other:?}"),
    }
}

/// Returns (offset, attempt) of what may be claimed now.
async fn claim_now(worker: &RecordClaimer<MemoryStore>) -> Vec<(i64, u32)> {
    match worker.claim(100).await.expect("claims") {
        Claimed::Records(claim) => {
            claim.records.iter().map(|record| (record.record.position.offset, record.attempt)).collect()
        }
        _ => Vec::new(),
    }
}

async fn failed_messages(store: &MemoryStore) -> Vec<FailedMessage> {
    let mut found = Vec::new();
    for id in store.ids(&FailedMessageFilter::default(), 100).await.expect("lists") {
        found.push(store.show(id).await.expect("shows"));
    }
    found
}

#[tokio::test(start_paused = true)]
async fn a_failed_record_waits_for_its_delay_and_counts_its_attempts() {
    let store = store_with(3).await;
    let worker = worker(&store);
    let claimed = claim(&worker, 2).await;
    worker.retry(&claimed, Which::Offsets(&[0]), Duration::from_secs(5), "no stock").await.unwrap();
    assert_eq!(claim_now(&worker).await, [(2, 1)], "only what was never claimed");
    let Claimed::Nothing { due: Some(due) } = worker.claim(1).await.unwrap() else {
        panic!("a record waits")
    };
    assert!(due < claimed.until, "{due}");
    tokio::time::advance(Duration::from_secs(6)).await;
    assert_eq!(claim_now(&worker).await, [(0, 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_record_of_another_claim_cannot_be_given_back() {
    let store = store_with(3).await;
    let worker = worker(&store);
    let (first, second) = (claim(&worker, 2).await, claim(&worker, 1).await);
    for offsets in [&[2][..], &[0, 2], &[7]] {
        let refused = worker.retry(&first, Which::Offsets(offsets), Duration::ZERO, "no stock").await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::ClaimLost, "{offsets:?}");
    }
    assert_eq!(claim_now(&worker).await, [], "a refused call gives nothing back");
    assert_eq!(worker.acknowledge(&first, Which::All).await.unwrap(), 2);
    assert_eq!(worker.acknowledge(&second, Which::All).await.unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_released_record_comes_back_at_once_and_counts_no_attempt() {
    let store = store_with(2).await;
    let worker = worker(&store);
    for _ in 0..9 {
        let claimed = claim(&worker, 2).await;
        assert_eq!(claimed.records[0].attempt, 1);
        worker.release(&claimed, Which::All).await.unwrap();
    }
    assert_eq!(claim_now(&worker).await, [(0, 1), (1, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_fails_every_attempt_is_a_dead_failed_message() {
    let store = store_with(2).await;
    let worker = worker(&store);
    for attempt in 1..=3 {
        let claimed = claim(&worker, 2).await;
        assert_eq!(claimed.records[0].attempt, attempt);
        worker.retry(&claimed, Which::Offsets(&[0]), Duration::ZERO, "no stock for order 7").await.unwrap();
        if claimed.records.len() > 1 {
            worker.acknowledge(&claimed, Which::Offsets(&[1])).await.unwrap();
        }
    }
    let failed = failed_messages(&store).await;
    assert_eq!(failed.len(), 1);
    let head = &failed[0].head;
    assert_eq!((&*head.consumer, head.state, head.attempts), ("billing", FailedMessageState::Dead, 3));
    assert_eq!((head.message_id.as_str(), &*head.error), ("m-0", "no stock for order 7"));
    assert_eq!(
        worker.claim(9).await.unwrap(),
        Claimed::Nothing { due: None },
        "it is finished for the consumer"
    );
}

#[tokio::test(start_paused = true)]
async fn a_dead_record_frees_its_key() {
    let log = MemoryLog::new(1);
    let message = |number: usize| Message::new(TOPIC, number.to_string()).with_key("ann");
    log.publish(&(0..3).map(message).collect::<Vec<_>>()).await;
    let worker = worker(&MemoryStore::with_log(&log)).ordered_by_key();
    for attempt in 1..=2 {
        let claimed = claim(&worker, 1).await;
        assert_eq!(claimed.records[0].attempt, attempt);
        worker.retry(&claimed, Which::All, Duration::from_secs(5), "no stock").await.unwrap();
        assert_eq!(claim_now(&worker).await, [], "its key waits");
        tokio::time::advance(Duration::from_secs(6)).await;
    }
    let claimed = claim(&worker, 2).await;
    worker.retry(&claimed, Which::Offsets(&[0]), Duration::from_secs(5), "no stock").await.unwrap();
    assert_eq!(claim_now(&worker).await, [], "the claim still has the next one of its key");
    assert_eq!(worker.acknowledge(&claimed, Which::Offsets(&[1])).await.unwrap(), 2);
    assert_eq!(claim_now(&worker).await, [(2, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_ends_its_process_dies_alone() {
    let store = store_with(3).await;
    let mut handled = Vec::new();
    for _ in 0..20 {
        let process = worker(&store.of_another_process());
        while let Claimed::Records(claimed) = process.claim(10).await.unwrap() {
            let offsets: Vec<i64> =
                claimed.records.iter().map(|record| record.record.position.offset).collect();
            if offsets.contains(&1) {
                break;
            }
            handled.extend(offsets);
            process.acknowledge(&claimed, Which::All).await.unwrap();
        }
    }
    assert_eq!(handled, [0, 2], "its neighbours lose nothing");
    let failed = failed_messages(&store).await;
    let dead: Vec<_> =
        failed.iter().map(|dead| (dead.head.message_id.as_str(), dead.head.attempts)).collect();
    assert_eq!(dead, [("m-1", 3)]);
    assert_eq!(failed[0].head.kind, "poison_message");
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_up_to_an_offset_touches_no_other_claim() {
    let store = store_with(6).await;
    let (first, second) = (worker(&store), worker(&store));
    let (early, late) = (claim(&first, 3).await, claim(&second, 3).await);
    assert_eq!(second.acknowledge(&late, Which::UpTo(4)).await.unwrap(), 0, "the first claim is open");
    assert_eq!(first.acknowledge(&early, Which::UpTo(1)).await.unwrap(), 2);
    first.release(&early, Which::All).await.unwrap();
    second.release(&late, Which::All).await.unwrap();
    assert_eq!(claim_now(&first).await, [(2, 1), (5, 1)]);
}

#[tokio::test(start_paused = true)]
async fn an_extended_claim_outlives_its_lease() {
    let store = store_with(1).await;
    let (slow, other) = (worker(&store).lease(Duration::from_secs(10)), worker(&store.of_another_process()));
    let claimed = claim(&slow, 1).await;
    for _ in 0..5 {
        tokio::time::advance(Duration::from_secs(8)).await;
        assert_eq!(claim_now(&other).await, []);
        assert!(slow.extend(&claimed).await.unwrap() > claimed.until);
    }
    assert_eq!(slow.acknowledge(&claimed, Which::All).await.unwrap(), 1);
    assert_eq!(slow.extend(&claimed).await.unwrap_err().kind(), ErrorKind::ClaimLost);
}

#[tokio::test(start_paused = true)]
async fn a_claim_whose_lease_ended_is_good_until_another_worker_asks() {
    let store = store_with(1).await;
    let worker = worker(&store).lease(Duration::from_secs(10));
    let claimed = claim(&worker, 1).await;
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(worker.acknowledge(&claimed, Which::All).await.unwrap(), 1);
}

#[tokio::test]
async fn a_topic_that_is_missing_has_no_records_to_claim() {
    let missing = RecordClaimer::new(store_with(1).await, "billing", "no.such.topic");
    assert_eq!(missing.claim(1).await.unwrap_err().kind(), ErrorKind::NotFound);
    let without_log = RecordClaimer::new(MemoryStore::new(), "billing", TOPIC);
    assert_eq!(without_log.claim(1).await.unwrap_err().kind(), ErrorKind::NotFound);
}

/// Every second record is given back for an hour, in a partition with more of them than a window may have pieces.
#[tokio::test(start_paused = true)]
async fn records_that_wait_hold_back_none_that_was_never_claimed() {
    const RECORDS: usize = 4_000;
    const HOUR: Duration = Duration::from_secs(3_600);
    let store = store_with(RECORDS).await;
    let worker = worker(&store).lease(HOUR * 2);
    let mut claimed = Vec::new();
    while let Claimed::Records(claim) = worker.claim(100).await.unwrap() {
        let offsets: Vec<i64> = claim.records.iter().map(|record| record.record.position.offset).collect();
        let (kept, failed): (Vec<i64>, Vec<i64>) = offsets.iter().partition(|offset| **offset % 2 == 0);
        worker.acknowledge(&claim, Which::Offsets(&kept)).await.unwrap();
        worker.retry(&claim, Which::Offsets(&failed), HOUR, "no stock").await.unwrap();
        claimed.extend(offsets);
    }
    assert!(claimed.into_iter().eq(0..RECORDS as i64), "each once");
    let waiting =
        FailedMessageFilter { state: Some(FailedMessageState::RetryScheduled), ..Default::default() };
    let rows = store.ids(&waiting, 10_000).await.unwrap().len();
    assert!((1..RECORDS / 2 - 400).contains(&rows), "the others wait in the window: {rows}");

    tokio::time::advance(HOUR).await;
    let mut again = Vec::new();
    while let Claimed::Records(claim) = worker.claim(100).await.unwrap() {
        again.extend(claim.records.iter().map(|record| (record.record.position.offset, record.attempt)));
        worker.acknowledge(&claim, Which::All).await.unwrap();
    }
    again.sort_unstable();
    assert!(
        again.into_iter().eq((0..RECORDS as i64).filter(|offset| offset % 2 == 1).map(|offset| (offset, 2)))
    );
    assert_eq!(store.ids(&waiting, 10).await.unwrap(), [0_i64; 0]);
    assert_eq!(worker.acknowledge_up_to(0, 0).await.unwrap(), RECORDS as i64, "all are settled");
}

/// Two records with one identity: the second one does not vanish behind the failed message of the first.
#[tokio::test(start_paused = true)]
async fn records_with_one_identity_wait_apart() {
    let log = MemoryLog::new(1);
    let message = |_| Message::new(TOPIC, "twice").with_header(headers::ID, "m-1");
    log.publish(&(0..2_400).map(message).collect::<Vec<_>>()).await;
    let store = MemoryStore::with_log(&log);
    let worker = worker(&store);
    let claim = claim(&worker, 2_400).await;
    let (kept, failed): (Vec<i64>, Vec<i64>) = (0..2_400).partition(|offset| offset % 2 == 0);
    worker.acknowledge(&claim, Which::Offsets(&kept)).await.unwrap();
    let delay = Duration::from_secs(5);
    worker.retry(&claim, Which::Offsets(&failed), delay, "no stock").await.unwrap();
    assert_eq!(failed_messages(&store).await.len(), 1);
    tokio::time::advance(delay).await;
    let mut again = Vec::new();
    while let Claimed::Records(claim) = worker.claim(2_400).await.unwrap() {
        again.extend(claim.records.iter().map(|record| record.record.position.offset));
        worker.acknowledge(&claim, Which::All).await.unwrap();
    }
    again.sort_unstable();
    assert_eq!(again, failed);
}

/// A retry that was applied leaves a marker; the record of a consumer that is reset to it still fails as any other.
#[tokio::test(start_paused = true)]
async fn a_record_fails_again_as_any_other_after_a_reset() {
    let store = store_with(1).await;
    let worker = worker(&store).max_attempts(1);
    let by = Operator::new("ann", "test");
    for round in 0..3 {
        let first = claim(&worker, 1).await;
        worker.retry(&first, Which::All, Duration::ZERO, "no stock").await.unwrap();
        let open = async || {
            let all = failed_messages(&store).await.into_iter();
            all.filter(|one| one.state.is_open()).map(|one| (one.id, one.state)).collect::<Vec<_>>()
        };
        let [(failed, FailedMessageState::Dead)] = open().await[..] else {
            panic!("it is dead, round {round}")
        };
        store.act(Action::Retry, &[failed], &by).await.unwrap();
        let again = claim(&worker, 1).await;
        worker.acknowledge(&again, Which::All).await.unwrap();
        assert_eq!(open().await, [], "round {round}");
        worker.reset(0, PartitionStart::Earliest).await.unwrap();
        tokio::time::advance(Duration::from_secs(2)).await;
    }
}

/// Thousands of failed messages that are due, and fail again, hold back no record that was never claimed.
#[tokio::test(start_paused = true)]
async fn failed_messages_that_are_due_and_records_have_their_turns() {
    let store = store_with(4_400).await;
    let worker = worker(&store);
    let first = claim(&worker, 2_400).await;
    let (kept, failed): (Vec<i64>, Vec<i64>) = (0..2_400).partition(|offset| offset % 2 == 0);
    worker.acknowledge(&first, Which::Offsets(&kept)).await.unwrap();
    worker.retry(&first, Which::Offsets(&failed), Duration::ZERO, "no stock").await.unwrap();
    let mut seen = (0, 0);
    while seen.0 < 20 || seen.1 < 20 {
        let next = claim(&worker, 1).await;
        let is_new = next.records[0].record.position.offset >= 2_400;
        seen = if is_new { (seen.0 + 1, seen.1) } else { (seen.0, seen.1 + 1) };
        assert!(seen.0 + seen.1 < 400, "{seen:?}");
        match is_new {
            true => drop(worker.acknowledge(&next, Which::All).await.unwrap()),
            false => worker.retry(&next, Which::All, Duration::ZERO, "no stock").await.unwrap(),
        }
    }
}
