//! Faults of what operators read: history, audit, status, cleanup.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use messagekit::adapter::{EventLinks, UnhandledType};
use messagekit::operations::{ConsumerStatus, EventFailure, EventHistory, Replays, UnhandledMessages};

use super::methods::faults;
use super::store::{Fault, FaultyStore};
use super::{Row, Suite};

/// Returns all types that any consumer has noted.
fn all_unhandled(faulty: &FaultyStore) -> Vec<UnhandledMessages> {
    let at = Timestamp::now();
    let of = |noted: &UnhandledType| UnhandledMessages {
        topic: Arc::clone(&noted.topic),
        event_type: noted.event_type.clone(),
        similar: noted.similar.clone(),
        messages: noted.messages,
        first_at: at,
        last_at: at,
    };
    faulty.notes().unhandled.iter().map(of).collect()
}

fn show_last_note(faulty: &FaultyStore, status: &mut ConsumerStatus) {
    let noted = faulty.notes();
    for known in &mut status.unhandled {
        let is_it =
            |noted: &&UnhandledType| (&noted.topic, &noted.event_type) == (&known.topic, &known.event_type);
        known.messages = noted.unhandled.iter().rev().find(is_it).map_or(0, |noted| noted.messages);
    }
}

/// A fault of counted types that no handler takes: the notes are kept, and change the status.
macro_rules! unhandled_faults {
    ($($(#[doc = $doc:literal])+ $case:ident: $change:expr;)+) => {
        faults! {$(
            $(#[doc = $doc])+
            Store $case:
                arguments note_unhandled: |faulty, _, types| faulty.notes().unhandled.extend_from_slice(types);
                answer consumer_statuses: |faulty, statuses| {
                    let change: fn(&FaultyStore, &mut ConsumerStatus) = $change;
                    statuses.iter_mut().for_each(|status| change(faulty, status));
                };
        )+}
    };
}

pub(super) static UNHANDLED_ROWS: &[Row<Fault>] = unhandled_faults! {
    /// A note replaces what was counted before.
    unhandled_messages_are_counted_by_topic_and_type: show_last_note;
    /// All consumers share their counts of ignored messages.
    unhandled_messages_belong_to_their_consumer:
        |faulty, status| status.unhandled = all_unhandled(faulty);
    /// Every type that a producer invents is shown.
    unhandled_types_of_a_consumer_are_bounded: |faulty, status| {
        status.unhandled = all_unhandled(faulty);
        status.unhandled.sort_by_key(|known| std::cmp::Reverse(known.messages));
    };
};

pub(super) static ROWS: &[Row<Fault>] = faults! {
    /// Every consumer was seen just now.
    Store consumer_is_seen_when_it_notes_its_window:
        answer last_seen: |_, seen| *seen = Some(seen.unwrap_or(Duration::ZERO));
    /// A cleanup removes nothing.
    Store markers_leave_a_day_after_their_window: arguments remove_step: |_, request| request.is_trial = true;
    /// A trial run removes the rows that it counts.
    Store trial_removes_nothing_and_tells_of_nothing:
        arguments remove_step: |_, request| request.is_trial = false;
    /// The record of an event has no links.
    Store event_is_found_with_its_links:
        answer event_record: |_, record| {
            record.event.iter_mut().for_each(|event| event.links = EventLinks::default());
        };
    /// The record of an unknown event has a failure.
    Store record_of_an_unknown_event_is_empty:
        answer event_record: |_, record| record.failures.push(EventFailure {
            consumer: "queue:orders".to_owned(),
            reason: "rejected".to_owned(),
            at: Timestamp::UNIX_EPOCH,
        });
    /// The events that an event led to are not found.
    Store causes_and_effects_are_found: arguments linked_events: |_, _, causes, _| causes.clear();
    /// A correlation does not contain its first event.
    Store events_of_a_correlation_are_found:
        call correlated_events: |faulty, correlation, limit| {
            let mut events = faulty.inner.correlated_events(correlation, limit).await?;
            events.retain(|event| event.event_id != *correlation);
            Ok(events)
        };
    /// The record of an event has no marker.
    Store record_tells_what_each_consumer_did: answer event_record: |_, record| record.outcomes.clear();
    /// The record of an event has no action.
    Store record_tells_what_operators_did: answer event_record: |_, record| record.actions.clear();
    /// The record of an event has no replay.
    Store record_tells_of_replays_and_republications: answer event_record: |_, record| record.replays.clear();
    /// The record of an event has no republication.
    Store record_tells_of_replays_and_republications:
        answer event_record: |_, record| record.republications.clear();
    /// The record of an event has replays that did not choose it.
    Store record_tells_of_replays_and_republications:
        call event_record: |faulty, id| {
            let mut record = faulty.inner.event_record(id).await?;
            record.replays = faulty.inner.replays(None, 100).await?;
            Ok(record)
        };
    /// The audit of one operator has the actions of all.
    Store each_filter_narrows_the_audit: arguments audit_records: |_, filter, _| filter.operator = None;
    /// The audit of a failed message or a replay has the actions on all.
    Store each_filter_narrows_the_audit:
        arguments audit_records: |_, filter, _| (filter.failed_message, filter.replay) = (None, None);
    /// The time filter of the audit is ignored.
    Store each_filter_narrows_the_audit:
        arguments audit_records: |_, filter, _| (filter.since, filter.until) = (None, None);
    /// Every page of the audit is the first one.
    Store pages_of_the_audit_join_without_a_gap: arguments audit_records: |_, filter, _| filter.before = None;
    /// The audit begins with the oldest action.
    Store audit_is_read_newest_first: answer audit_records: |_, records| records.reverse();
    /// The state at a glance has consumers with failed messages only.
    Store status_has_each_consumer_with_a_marker:
        answer consumer_statuses: |_, statuses| {
            statuses.retain(|status| !status.failed_messages.is_empty());
        };
    /// The state at a glance keeps the time of the first marker that it has shown.
    Store newest_marker_is_found_behind_a_foreign_id:
        answer consumer_statuses: |faulty, statuses| for status in statuses {
            let frozen = &mut faulty.notes().times;
            let first = frozen.entry(status.consumer.clone()).or_insert(status.newest_marker_at);
            status.newest_marker_at = *first;
        };
    /// The state at a glance has one state of each consumer's failed messages.
    Store status_counts_failed_messages:
        answer consumer_statuses: |_, statuses| {
            statuses.iter_mut().for_each(|status| status.failed_messages.truncate(1));
        };
    /// The state at a glance has no dedup window.
    Store status_has_the_window_of_a_consumer:
        answer consumer_statuses: |_, statuses| {
            statuses.iter_mut().for_each(|status| status.dedup_window = None);
        };
    /// The state at a glance has no running replay.
    Store status_counts_running_replays: answer outbox_status: |_, status| status.running_replays = 0;
    /// The state at a glance counts what a claim has settled as behind.
    Log status_has_the_positions_of_claims:
        answer consumer_statuses: |_, statuses| {
            for position in statuses.iter_mut().flat_map(|status| &mut status.positions) {
                let settled = u64::try_from(position.next).unwrap_or(0);
                position.behind = position.behind.map(|behind| behind + settled);
            }
        };
};
