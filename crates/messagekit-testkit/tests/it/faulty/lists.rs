//! Faults of the lists of failed messages.

use messagekit::operations::{
    Action, FailedMessage, FailedMessageFilter, FailedMessageHead, FailedMessageState, FailedMessages,
    FailedRun, StateReason,
};
use messagekit::{Error, ErrorKind};

use super::methods::faults;
use super::store::Fault;
use super::{Row, Suite};

/// Shows the reason from before a requested run failed.
fn forget_why(head: &mut FailedMessageHead) {
    if head.reason == StateReason::RequestedRunFailed {
        head.reason = StateReason::RetryRequested;
    }
}

/// Adds a run that was none.
fn invent_run(shown: &mut FailedMessage) {
    let run = FailedRun { at: shown.set_aside_at, attempt: 1, error: "no".to_owned(), instance: None };
    shown.failed_runs.insert(0, run);
}

fn change_filter(filter: &mut FailedMessageFilter, change: fn(&mut FailedMessageFilter)) {
    change(filter);
}

/// A fault that changes the filter of every list.
macro_rules! filter_faults {
    ($($(#[doc = $doc:literal])+ $case:ident: $change:expr;)+) => {
        faults! {$(
            $(#[doc = $doc])+
            Store $case:
                arguments list: |_, filter, _| change_filter(filter, $change);
                arguments versions: |_, filter, _| change_filter(filter, $change);
                arguments totals: |_, filter| change_filter(filter, $change);
                arguments groups: |_, filter, _| change_filter(filter, $change);
        )+}
    };
}

pub(super) static FILTER_ROWS: &[Row<Fault>] = filter_faults! {
    /// The filter by state is ignored.
    failed_messages_are_listed_newest_first_and_filtered: |filter| filter.state = None;
    /// Every page is the first one.
    pages_join_without_a_gap: |filter| filter.before = None;
    /// The lower bound of a selection is ignored.
    ids_ascend_and_keep_the_filter: |filter| filter.after = None;
    /// The filter by kind is ignored.
    each_filter_narrows: |filter| filter.kind = None;
    /// The filter by fingerprint is ignored.
    each_filter_narrows: |filter| filter.fingerprint = None;
    /// The filter by key is ignored.
    each_filter_narrows: |filter| filter.key = None;
    /// The filter by time is ignored.
    each_filter_narrows: |filter| (filter.since, filter.until) = (None, None);
    /// The filter for open messages is ignored.
    open_messages_are_those_still_to_be_applied: |filter| filter.is_open = false;
    /// The filter by origin is ignored.
    each_filter_narrows: |filter| filter.origin = None;
};

pub(super) static ROWS: &[Row<Fault>] = faults! {
    /// The oldest failed message is listed first.
    Store failed_messages_are_listed_newest_first_and_filtered: answer list: |_, heads| heads.reverse();
    /// An unknown failed message is reported as a conflict.
    Store show_of_an_unknown_failed_message_is_not_found:
        call show: |faulty, id| {
            let unknown = |_| Error::new(ErrorKind::Conflict, "no such failed message");
            faulty.inner.show(id).await.map_err(unknown)
        };
    /// Lists do not contain the size of a message.
    Store lists_tell_what_failed_messages_tell:
        answer list: |_, heads| heads.iter_mut().for_each(|head| head.payload_bytes = 0);
    /// Lists do not contain the number of messages behind a failed message.
    Store lists_tell_what_a_head_holds_back:
        answer list: |_, heads| heads.iter_mut().for_each(|head| head.holds_back = 0);
    /// Selections are in descending order.
    Store ids_ascend_and_keep_the_filter: answer versions: |_, versions| versions.reverse();
    /// Totals count open failed messages only.
    Store totals_count_by_consumer_and_state:
        answer totals: |_, totals| totals.retain(|total| total.state.is_open());
    /// The smallest group is listed first.
    Store groups_gather_what_failed_alike: answer groups: |_, groups| groups.reverse();
    /// A group shows its oldest failed message.
    Store groups_gather_what_failed_alike:
        call groups: |faulty, filter, limit| {
            let mut groups = faulty.inner.groups(filter, limit).await?;
            for group in &mut groups {
                let fingerprint = Some(group.fingerprint.clone());
                let alike = FailedMessageFilter { fingerprint, ..filter.clone() };
                group.newest = faulty.inner.ids(&alike, 1).await?[0];
                group.error = faulty.inner.show(group.newest).await?.head.error;
            }
            Ok(groups)
        };
    /// A failed message keeps the reason of its state when the run that an operator requested fails.
    Store failed_replay_is_dead_at_once:
        answer list: |_, heads| heads.iter_mut().for_each(forget_why);
        answer show: |_, shown| forget_why(&mut shown.head);
    /// A message that never ran is dead after an undo.
    Store undone_failed_message_that_never_ran_takes_its_turn:
        answer list: |faulty, heads| {
            let undone = heads.iter_mut().filter(|head| faulty.has(Action::Undo, head.id));
            undone.for_each(|head| head.state = FailedMessageState::Dead);
        };
    /// An undone message is scheduled although an earlier one of its key is open.
    Store message_behind_that_is_brought_back_keeps_its_turn:
        answer list: |faulty, heads| {
            let undone = heads.iter_mut().filter(|head| faulty.has(Action::Undo, head.id));
            let waiting = undone.filter(|head| head.state == FailedMessageState::Blocked);
            waiting.for_each(|head| head.state = FailedMessageState::RetryScheduled);
        };
    /// Only the first failed run is kept.
    Store failed_runs_are_kept: answer show: |_, shown| shown.failed_runs.truncate(1);
    /// More than the last twenty failed runs are kept.
    Store last_twenty_failed_runs_are_kept:
        answer show: |_, shown| if shown.failed_runs.len() == FailedRun::KEPT {
            invent_run(shown);
        };
    /// A run that ended without a result leaves no trace.
    Store run_without_a_result_is_kept:
        answer show: |_, shown| shown.failed_runs.retain(|run| run.error != FailedRun::WITHOUT_RESULT);
    /// A message that waits for its key has a failed run.
    Store only_failed_runs_are_kept:
        answer show: |_, shown| if shown.failed_runs.is_empty() {
            invent_run(shown);
        };
    /// A message that fails again has failed runs from before.
    Store message_that_fails_anew_has_its_new_runs: answer show: |_, shown| invent_run(shown);
};
