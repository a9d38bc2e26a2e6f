//! Faults of messages that are set aside, and of broker dead letters.

use std::time::Duration;

use messagekit::adapter::{Bookkeeping, BrokerDeadLetter, FailedMessageRows, Markers, Next, SetAsideOutcome};
use messagekit::operations::Origin;
use messagekit::{MessageId, ParkingLimits, Store};
use messagekit_testkit::store::request;

use super::methods::{at_once, faults};
use super::store::Fault;
use super::{Row, Suite, everybody};

pub(super) static ROWS: &[Row<Fault>] = faults! {
    /// Setting a message aside a second time reports that it was done.
    Store set_aside_twice_is_already_settled:
        answer set_aside: |_, outcome| *outcome = SetAsideOutcome::SetAside;
    /// A message that was applied can be set aside.
    Store set_aside_of_an_applied_message_is_already_settled:
        answer set_aside: |_, outcome| *outcome = SetAsideOutcome::SetAside;
    /// A claim of the same transaction is ignored.
    Store set_aside_behind_its_own_claim_is_already_settled:
        call set_aside: |faulty, tx, consumer, received, failure| {
            faulty.inner.unclaim(tx.inner(), consumer, &[request(received)]).await?;
            faulty.inner.set_aside(tx.inner(), consumer, received, failure).await
        };
    /// Failed messages keep 1,000 bytes of payload.
    Store set_aside_keeps_exact_bytes:
        arguments set_aside: |_, _, received, _| received.message.payload.truncate(1_000);
    /// Failed messages store bytes as text.
    Store set_aside_keeps_exact_bytes:
        arguments set_aside: |_, _, received, _| {
            let text = String::from_utf8_lossy(&received.message.payload).into_owned();
            received.message.payload = text.into();
        };
    /// A message without an id gets a new one.
    Store set_aside_keeps_a_message_without_an_id:
        arguments set_aside: |_, _, received, _| if received.id.is_position() {
            received.id = MessageId::new();
        };
    /// Failed message and marker are written at once, outside the transaction.
    Store rolled_back_set_aside_leaves_nothing:
        call set_aside: |faulty, _, consumer, received, failure| {
            at_once!(faulty.set_aside(consumer, received, failure))
        };
    /// Setting aside ignores the generation.
    Store culprit_of_a_range_is_set_aside_once_for_its_generation:
        arguments set_aside: |_, _, _, failure| failure.generation = 0;
    /// Dead messages are retried without an action.
    Store failed_message_is_not_leased:
        arguments set_aside: |_, _, _, failure| failure.next = Next::Retry(Duration::ZERO);
    /// The delay of a failure is ignored.
    Store failed_message_is_not_leased_before_it_is_due:
        arguments set_aside: |_, _, _, failure| failure.next = Next::Retry(Duration::ZERO);
    /// The error is not stored.
    Store failed_message_tells_its_failure: arguments set_aside: |_, _, _, failure| failure.error.clear();
    /// A message that is set aside without parking blocks its key.
    Store message_set_aside_alone_holds_no_key:
        call set_aside: |faulty, tx, consumer, received, failure| {
            faulty.inner.park(tx.inner(), consumer, received, failure, ParkingLimits::default()).await
        };
    /// A dead letter that was found twice is recorded twice.
    Store found_message_is_one_failed_message: answer keep: |_, outcome| *outcome = SetAsideOutcome::SetAside;
    /// A recorded dead letter is retried without an action.
    Store found_message_is_one_failed_message:
        call keep: |faulty, tx, found| {
            let BrokerDeadLetter { scope, received, failure, .. } = found;
            faulty.inner.set_aside(tx.inner(), scope, received, failure).await
        };
    /// A message is recorded once for all scopes.
    Store dead_letters_of_two_scopes_are_two_failed_messages:
        arguments keep: |_, found| found.scope = everybody();
    /// A dead letter that died again after a redelivery is the same failed message.
    Store second_death_after_a_return_is_a_new_failed_message:
        arguments keep: |_, found| {
            let first = found.received.id.as_str().split('+').next().unwrap_or_default().to_owned();
            found.received.id = MessageId::from_stored(&first);
        };
    /// A dead letter is recorded at once, outside the transaction.
    Store rolled_back_keep_leaves_nothing: call keep: |faulty, _, found| at_once!(faulty.keep(found));
    /// Redelivery to a topic leases failed messages of queues too.
    Store returns_are_leased_by_origin:
        call lease_returns: |faulty, origin, max, lease| {
            let mut returning = faulty.inner.lease_returns(origin, max, lease).await?;
            if origin == Origin::Queue {
                returning.extend(faulty.inner.lease_returns(Origin::Topic, max, lease).await?);
            }
            Ok(returning)
        };
    /// The oldest open redelivery is not reported.
    Store oldest_redelivery_is_the_oldest_open_one_of_its_target:
        answer oldest_return: |_, oldest| *oldest = None;
    /// Redeliveries do not know the scope of their dead letter.
    Store returns_are_answered_under_their_scope:
        answer lease_returns: |_, returning| {
            returning.iter_mut().for_each(|returning| returning.scope = "somewhere".to_owned());
        };
    /// Failures are recorded at once, outside the transaction.
    Store failure_of_an_own_event_is_noted_once:
        call note_failure: |faulty, _, event_id, scope, reason| {
            at_once!(faulty.note_failure(event_id, scope, reason))
        };
    /// Every event counts as an event of this database.
    Store failure_of_a_strangers_event_is_not_noted: answer note_failure: |_, is_ours| *is_ours = true;
};
