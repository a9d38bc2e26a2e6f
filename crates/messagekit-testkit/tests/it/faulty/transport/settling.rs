//! Faults of pauses, receipts, lag and closing.

use std::sync::PoisonError;
use std::task::{Context, Poll, Waker};

use messagekit::adapter::{Incoming, Publisher, Subscriber};

use super::super::methods::faults;
use super::super::{Row, Suite};
use super::Fault;

pub(super) static ROWS: &[Row<Fault>] = faults! {
    /// Settling does nothing.
    Transport settled_is_not_redelivered: set settle: |_, _, _| ();
    /// Releasing does nothing.
    Transport released_is_redelivered: set release: |_, _, _, _| ();
    /// Released messages go to the end of the lane.
    Transport released_comes_before_later_ones:
        set release: |member, lane, sequence, message| {
            member.settle_one(lane, sequence);
            let batch: Vec<_> = message.into_iter().collect();
            // An in-memory log answers at the first poll.
            let mut publish = member.transport.log.publish(&batch);
            assert!(publish.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
        };
    /// Messages that are released while their lane is paused count as settled.
    Transport released_in_a_paused_lane_goes_to_the_next_member:
        set release: |member, lane, sequence, message| match member.notes.paused.contains(&lane) {
            true => member.settle_one(lane, sequence),
            false => (Fault::NONE.release)(member, lane, sequence, message),
        };
    /// A message is settled when it is delivered.
    Transport redelivers_when_subscriber_dies_unsettled:
        set incoming: |member, incoming| {
            if let Incoming::Message(delivery) = &incoming {
                member.settle_one(delivery.receipt.lane(), delivery.receipt.position());
            }
            Some(incoming)
        };
        set settle: |_, _, _| ();
    /// A settled message settles everything before it.
    Transport settling_out_of_order_loses_nothing:
        set settle: |member, lane, sequence| {
            let before = member.notes.out.range((lane, 0)..=(lane, sequence));
            let before: Vec<u64> = before.map(|((_, sequence), _)| *sequence).collect();
            before.into_iter().chain([sequence]).for_each(|sequence| member.settle_one(lane, sequence));
        };
    /// A receipt of an earlier assignment settles in the current one.
    Transport stale_receipts_change_nothing:
        set receipt: |member, lane, sequence| (member.present(lane), sequence);
    /// Pausing does nothing.
    Transport paused_lane_delivers_nothing_more_than_was_in_flight: set pause: |_, _| ();
    /// Resuming does nothing.
    Transport resume_goes_on: set resume: |_, _| ();
    /// A pause with any epoch pauses the current one.
    Transport a_lane_of_another_epoch_is_not_paused:
        set pause: |member, lane| {
            let present = member.present(lane);
            member.inner().pause(present);
        };
    /// The lag counts every record, settled or not.
    Transport lag_counts_what_is_not_settled:
        set lag: |probe, mut lag| {
            for one in &mut lag {
                let records = probe.log.records(&one.topic);
                let own = records.iter().filter(|record| Some(record.position.partition) == one.partition);
                one.messages = own.count() as u64;
            }
            lag
        };
    /// A member with a paused lane reports no lag.
    Transport lag_of_a_paused_lane_grows:
        set lag: |probe, lag| if probe.was_paused() { Vec::new() } else { lag };
    /// A member that has closed repeats its last lag.
    Transport lag_moves_with_the_lanes:
        set lag: |probe, lag| {
            let mut last = probe.last.lock().unwrap_or_else(PoisonError::into_inner);
            if !lag.is_empty() {
                *last = lag;
            }
            last.clone()
        };
    /// A member that closes keeps its lanes.
    Transport a_leaving_member_hands_its_lanes_over:
        set close: |_, _| Poll::Ready(Ok(()));
        set drop: |member| {
            let mut shared = member.transport.shared.lock().unwrap_or_else(PoisonError::into_inner);
            shared.undead.extend(member.inner.take());
        };
    /// Receipts that are settled in a revoked lane are forgotten.
    Transport what_is_settled_while_revoking_counts:
        set settle: |member, lane, sequence| if !member.notes.revoking.contains(&lane) {
            member.settle_one(lane, sequence);
        };
    /// A close settles the messages in flight.
    Transport closes_cleanly_with_messages_in_flight:
        set close: |member, cx| {
            let out: Vec<_> = member.notes.out.keys().copied().collect();
            out.into_iter().for_each(|(lane, sequence)| member.settle_one(lane, sequence));
            member.inner().poll_close(cx)
        };
    /// A close undoes every settle since the start.
    Transport what_was_settled_before_the_close_stays_settled:
        set close: |member, cx| {
            let closed = member.inner().poll_close(cx);
            member.transport.log.redeliver(&member.binding.consumer);
            closed
        };
    /// The stream does not end after a close.
    Transport yields_nothing_after_a_close: set is_silent: |is_closed| is_closed;
};
