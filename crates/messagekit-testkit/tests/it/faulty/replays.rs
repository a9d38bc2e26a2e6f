//! Faults of replays.

use messagekit::headers::{EVENT_TYPE, ID};
use messagekit::operations::{Operator, ReplayIds, ReplayState, Replays, StoredEvent};
use messagekit::{Error, ErrorKind};

use super::methods::faults;
use super::store::Fault;
use super::{Row, Suite};

pub(super) static ROWS: &[Row<Fault>] = faults! {
    /// The newest event is listed first.
    Store events_are_listed_oldest_first_and_filtered: answer events: |_, events| events.reverse();
    /// The type filter of events is ignored.
    Store events_are_listed_oldest_first_and_filtered:
        arguments events: |_, filter, _, _| filter.event_type = None;
    /// The key filter of events is ignored.
    Store events_are_listed_oldest_first_and_filtered: arguments events: |_, filter, _, _| filter.key = None;
    /// The time filter of events is ignored.
    Store events_are_listed_oldest_first_and_filtered:
        arguments events: |_, filter, _, _| (filter.from, filter.to) = (None, None);
    /// Every page of events is the first one.
    Store pages_of_events_join_without_a_gap: arguments events: |_, _, after, _| *after = None;
    /// Republications are listed beside their event.
    Store copies_are_not_listed:
        answer events: |_, events| {
            let listed = std::mem::take(events).into_iter();
            *events = listed.flat_map(|event| vec![event.clone(); 1 + event.copies as usize]).collect();
        };
    /// A count ignores markers.
    Store count_tells_what_would_be_published: answer replay_count: |_, count| count.skipped_by.clear();
    /// A count ignores dedup windows.
    Store count_tells_what_is_too_old: answer replay_count: |_, count| count.too_old_for.clear();
    /// A count ignores removed markers.
    Store count_tells_what_no_marker_remembers: answer replay_count: |_, count| count.too_old_for.clear();
    /// The events of a replay are chosen when a worker leases it.
    Store replay_publishes_what_was_chosen_when_it_was_ordered:
        call lease_replay: |faulty, lease| {
            let Some((_, job)) = faulty.inner.lease_replay(lease).await? else { return Ok(None) };
            let by = Operator::new("fault", "test");
            faulty.inner.cancel_replay(job.id, &by).await?;
            faulty.inner.order_replay(&job.order, &by).await?;
            faulty.inner.lease_replay(lease).await
        };
    /// A step publishes every event.
    Store replay_goes_step_by_step: arguments replay_step: |_, _, max, _, _| *max = u32::MAX;
    /// A leased replay is leased again to other workers.
    Store replay_is_leased_to_one_worker:
        answer lease_replay: |faulty, leased| {
            let known = &mut faulty.notes().replay;
            *known = leased.take().or(known.take());
            leased.clone_from(known);
        };
    /// Any earlier lease of a replay is accepted.
    Store later_lease_fences_the_earlier:
        answer lease_replay: |faulty, leased| faulty.notes().replay.clone_from(leased);
        arguments replay_step: |faulty, lease, _, _, _| if let Some((newest, _)) = faulty.notes().replay.as_ref() {
            *lease = *newest;
        };
    /// Cancelling a replay does nothing.
    Store cancelled_replay_publishes_no_more: call cancel_replay: |_, _, _| Ok(());
    /// Republications lose their type.
    Store replay_under_the_same_ids_repeats_the_bytes:
        set events: |events| for at in 0..events.len() {
            let (known, rest) = events.split_at_mut(at);
            if known.iter().any(|known| known.headers.get(ID) == rest[0].headers.get(ID)) {
                rest[0].headers.remove(EVENT_TYPE);
            }
        };
    /// A replay under new ids keeps the old ones.
    Store replay_under_new_ids_makes_events_of_their_own:
        arguments order_replay: |_, order, _| order.ids = ReplayIds::Same;
    /// A message that cannot get a new id is published under its old one.
    Store failed_renaming_fails_the_replay:
        call replay_step: |faulty, lease, max, extend, renamed| {
            let kept = |event: &StoredEvent| match renamed(event) {
                Err(_) => Ok((event.event_id.clone(), event.message.clone())),
                answer => answer,
            };
            faulty.inner.replay_step(lease, max, extend, &kept).await
        };
    /// A range may begin before the oldest stored event.
    Store range_before_the_oldest_event_is_refused:
        arguments replay_count: |_, filter| filter.from = None;
        arguments order_replay: |_, order, _| order.filter.from = None;
    /// The count that the operator confirmed is ignored.
    Store replay_of_another_count_is_refused: arguments order_replay: |_, order, _| order.count = None;
    /// A replay without events never ends.
    Store replay_of_nothing_is_done_at_once: answer order_replay: |_, job| job.state = ReplayState::Running;
    /// The oldest replay is listed first.
    Store replays_are_listed_newest_first: answer replays: |_, replays| replays.reverse();
    /// An unknown replay is reported as a conflict.
    Store unknown_replay_is_not_found:
        call replay: |faulty, id| {
            let unknown = |_| Error::new(ErrorKind::Conflict, "no such replay");
            faulty.inner.replay(id).await.map_err(unknown)
        };
    /// The operator of a cancelled replay may have a name of any length.
    Store operators_with_long_names_are_refused:
        call cancel_replay: |faulty, id, by| match by.check() {
            Ok(_) => faulty.inner.cancel_replay(id, by).await,
            Err(_) => Ok(()),
        };
    /// Replays are not in the audit.
    Store orders_and_cancels_are_in_the_audit:
        set audit: |rows| rows.retain(|row| !row.action.contains("replay"));
};
