//! Faults of claims and markers.

use jiff::Timestamp;
use messagekit::adapter::{ClaimRequest, Markers};
use messagekit::operations::Action;
use messagekit::{Claim, Error, ErrorKind, MessageId, Store};

use super::methods::{at_once, faults};
use super::store::{Fault, FaultyStore, FaultyTx};
use super::{Row, Suite, everybody};

fn replace(answers: &mut [Claim], from: Claim, to: Claim) {
    answers.iter_mut().filter(|answer| **answer == from).for_each(|answer| *answer = to);
}

/// Claims, and changes each answer.
pub(super) async fn claim(
    faulty: &FaultyStore,
    tx: &mut FaultyTx,
    consumer: &str,
    requests: &[ClaimRequest],
    change: impl Fn(&FaultyTx, &ClaimRequest, Claim) -> Claim + Send,
) -> Result<Vec<Claim>, Error> {
    let answers = faulty.inner.claim(tx.inner(), consumer, requests).await?;
    Ok(requests.iter().zip(answers).map(|(request, answer)| change(tx, request, answer)).collect())
}

fn note_ids(faulty: &FaultyStore, requests: &[ClaimRequest]) {
    faulty.notes().ids.extend(requests.iter().map(|request| request.id.clone()));
}

pub(super) static ROWS: &[Row<Fault>] = faults! {
    /// Every claim is fresh.
    Store claim_is_fresh_once_per_consumer: answer claim: |_, answers| answers.fill(Claim::Fresh);
    /// All consumers share their markers.
    Store same_id_is_fresh_for_another_consumer: arguments claim: |_, consumer, _| *consumer = everybody();
    /// A claim that meets an open claim returns `Done`.
    Store a_rival_is_fresh_after_a_rollback:
        call claim: |faulty, tx, consumer, requests| {
            // Probe in another transaction: a refusal ends the transaction that receives it.
            let mut probe = faulty.inner.begin().await?;
            match faulty.inner.claim(&mut probe, consumer, requests).await {
                Err(error) if error.kind() == ErrorKind::Conflict => Ok(vec![Claim::Done; requests.len()]),
                _ => {
                    drop(probe);
                    faulty.inner.claim(tx.inner(), consumer, requests).await
                }
            }
        };
    /// A claim is written at once, outside the transaction.
    Store rolled_back_claim_is_fresh_again:
        call claim: |faulty, _, consumer, requests| at_once!(faulty.claim(consumer, requests));
    /// Every copy of a message in a batch is fresh.
    Store second_copy_in_one_batch_is_not_fresh:
        call claim: |faulty, tx, consumer, requests| {
            let answers = faulty.inner.claim(tx.inner(), consumer, requests).await?;
            let first = |id: &MessageId| requests.iter().position(|request| request.id == *id).unwrap_or(0);
            Ok(requests.iter().map(|request| answers[first(&request.id)]).collect())
        };
    /// The first copy of a message in a batch decides for all copies, whatever their generations.
    Store copy_in_a_range_is_fresh_beside_one_outside:
        arguments claim: |_, _, requests| {
            let first = requests.first().map_or(0, |request| request.generation);
            requests.iter_mut().for_each(|request| request.generation = first);
        };
    /// A claim does not see the earlier claims of its transaction.
    Store second_claim_in_one_transaction_is_not_fresh:
        call claim: |faulty, tx, consumer, requests| {
            let answers = claim(faulty, tx, consumer, requests, |tx, request, answer| {
                let is_own = tx.claims.iter().any(|(_, own)| own.id == request.id);
                if is_own && answer == Claim::Done { Claim::Fresh } else { answer }
            }).await?;
            tx.claims.extend(requests.iter().map(|request| (consumer.to_owned(), request.clone())));
            Ok(answers)
        };
    /// Unclaiming does nothing.
    Store unclaimed_is_fresh_again: call unclaim: |_, _, _, _| Ok(());
    /// Unclaiming one message unclaims every message of the transaction.
    Store unclaim_keeps_the_other_claims:
        call claim: |faulty, tx, consumer, requests| {
            tx.claims.extend(requests.iter().map(|request| (consumer.to_owned(), request.clone())));
            faulty.inner.claim(tx.inner(), consumer, requests).await
        };
        call unclaim: |faulty, tx, consumer, _| {
            let all: Vec<ClaimRequest> = tx.claims.iter().map(|(_, claim)| claim.clone()).collect();
            faulty.inner.unclaim(tx.inner(), consumer, &all).await
        };
    /// Unclaiming removes the marker of every consumer.
    Store unclaim_touches_no_earlier_claim:
        arguments unclaim: |faulty, _, requests| note_ids(faulty, requests);
        call claim: |faulty, tx, consumer, requests| {
            claim(faulty, tx, consumer, requests, |_, request, answer| {
                if faulty.notes().ids.contains(&request.id) { Claim::Fresh } else { answer }
            }).await
        };
    /// Unclaiming in a range forgets that the message was applied before.
    Store unclaimed_range_is_done_as_it_was:
        arguments unclaim: |faulty, _, requests| note_ids(faulty, requests);
        call claim: |faulty, tx, consumer, requests| {
            claim(faulty, tx, consumer, requests, |_, request, answer| {
                let is_forgotten = answer == Claim::Done && faulty.notes().ids.contains(&request.id);
                if is_forgotten { Claim::Fresh } else { answer }
            }).await
        };
    /// Answers to claims are in the order of their ids.
    Store claims_answer_in_input_order:
        call claim: |faulty, tx, consumer, requests| {
            let answers = faulty.inner.claim(tx.inner(), consumer, requests).await?;
            let mut by_id: Vec<_> = requests.iter().map(|request| &request.id).zip(answers).collect();
            by_id.sort_by_key(|(id, _)| *id);
            Ok(by_id.into_iter().map(|(_, answer)| answer).collect())
        };
    /// More than five hundred claims in a call are an error.
    Store claims_come_in_large_batches:
        call claim: |faulty, tx, consumer, requests| match requests.len() {
            ..=500 => faulty.inner.claim(tx.inner(), consumer, requests).await,
            _ => Err(Error::new(ErrorKind::Other, "too many parameters")),
        };
    /// Ids are compared without case and surrounding spaces.
    Store ids_differ_by_every_byte:
        arguments claim: |_, _, requests| for request in requests {
            request.id = MessageId::from_stored(&request.id.as_str().trim().to_lowercase());
        };
    /// The marker is committed although its transaction is rolled back.
    Store effects_and_marker_share_the_commit:
        call claim: |faulty, _, consumer, requests| at_once!(faulty.claim(consumer, requests));
    /// A failed message is written without its marker.
    Store set_aside_holds_the_message: answer claim: |_, answers| replace(answers, Claim::Held, Claim::Fresh);
    /// A message is held for every consumer.
    Store set_aside_is_for_one_consumer:
        arguments set_aside: |faulty, _, received, _| faulty.notes().ids.extend([received.id.clone()]);
        call claim: |faulty, tx, consumer, requests| {
            claim(faulty, tx, consumer, requests, |_, request, answer| {
                if faulty.notes().ids.contains(&request.id) { Claim::Held } else { answer }
            }).await
        };
    /// The message of a resolved failed message stays held.
    Store resolve_marks_done:
        arguments resolve: |faulty, _, leased, _| faulty.notes().ids.extend([leased.received.id.clone()]);
        call claim: |faulty, tx, consumer, requests| {
            claim(faulty, tx, consumer, requests, |_, request, answer| {
                let is_resolved = answer == Claim::Done && faulty.notes().ids.contains(&request.id);
                if is_resolved { Claim::Held } else { answer }
            }).await
        };
    /// A discarded message stays held.
    Store late_copy_of_a_discarded_message_is_discarded:
        answer claim: |_, answers| replace(answers, Claim::Discarded, Claim::Held);
    /// An undone failed message keeps the marker of a discarded one.
    Store undone_and_retried_failed_message_is_applied_once:
        answer claim: |faulty, answers| if faulty.has_any(Action::Undo) {
            replace(answers, Claim::Held, Claim::Discarded);
        };
    /// Consumers do not learn that their markers were removed.
    Store consumer_learns_since_when_its_markers_are_complete: answer note_window: |_, since| *since = None;
    /// Each consumer learns about removed markers of other consumers.
    Store removed_markers_are_reported_to_their_consumer_only:
        answer note_window: |faulty, since| {
            let mut notes = faulty.notes();
            notes.time = notes.time.max(*since);
            *since = notes.time;
        };
    /// A marker that is removed later moves the reported time back.
    Store time_since_when_markers_are_complete_never_goes_back:
        answer note_window: |faulty, since| {
            let told_before = since.and_then(|since| faulty.notes().time.replace(since));
            *since = told_before.map(|_| Timestamp::MIN).or(*since);
        };
};
