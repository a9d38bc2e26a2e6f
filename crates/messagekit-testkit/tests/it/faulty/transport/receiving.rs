//! Faults of what a member is bound to and receives.

use std::sync::Arc;
use std::task::Waker;

use messagekit::adapter::{Done, Incoming, Lane, Receipt, Subscriber};
use messagekit::{Headers, headers};
use messagekit_testkit::unique;

use super::super::methods::faults;
use super::super::{Row, Suite, everybody};
use super::Fault;
use super::subscriber::FaultySubscriber;

/// Swaps each message with the one before it in its lane.
fn swap_neighbours(member: &mut FaultySubscriber, incoming: Incoming) -> Option<Incoming> {
    let Incoming::Message(mut delivery) = incoming else { return Some(incoming) };
    let mut first = member.notes.waiting.pop_front();
    if let Some(first) = &mut first
        && first.receipt.lane() == delivery.receipt.lane()
    {
        // The second message carries the receipt of the first: only the contents are swapped.
        std::mem::swap(&mut first.message, &mut delivery.message);
        std::mem::swap(&mut first.position, &mut delivery.position);
    }
    member.notes.waiting.push_back(delivery);
    first.map(Incoming::Message)
}

/// Settles the messages that a new consumer skips.
fn skip(member: &mut FaultySubscriber, incoming: Incoming) -> Option<Incoming> {
    if let Incoming::Message(delivery) = &incoming
        && let Some(position) = &delivery.position
        && let Some(last) = member.binding.skipped.get(&(position.topic.clone(), position.partition))
        && position.offset <= *last
    {
        member.settle_one(delivery.receipt.lane(), delivery.receipt.position());
        return None;
    }
    Some(incoming)
}

/// Shows every lane with epoch 0.
fn hide_epochs(mut incoming: Incoming) -> Incoming {
    let first = |lane: Lane| Lane { epoch: 0, ..lane };
    match &mut incoming {
        Incoming::Assigned { lane, .. } | Incoming::Lost { lane } => *lane = first(*lane),
        Incoming::Message(delivery) => {
            let receipt = &delivery.receipt;
            delivery.receipt = Receipt::new(first(receipt.lane()), receipt.position());
        }
        Incoming::Revoking { .. } => {}
    }
    incoming
}

fn as_text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(super) static ROWS: &[Row<Fault>] = faults! {
    /// Two neighbours of a partition are swapped.
    Transport keeps_order_per_key: set incoming: |member, incoming| swap_neighbours(member, incoming);
    /// A new consumer skips the messages that exist already.
    Transport new_consumer_starts_at_the_earliest:
        set bind: |transport, binding| if transport.is_new(&binding.consumer) {
            let records = binding.topics.iter().flat_map(|topic| transport.log.records(topic));
            let positions = records.map(|record| record.position);
            binding.skipped.extend(positions.map(|at| ((at.topic, at.partition), at.offset)));
        };
        set incoming: |member, incoming| skip(member, incoming);
    /// All consumers share one position.
    Transport two_consumers_each_get_all: set bind: |_, binding| binding.consumer = everybody();
    /// A waiting subscriber is not woken.
    Transport waits_for_what_is_published_later: set waker: |_| Waker::noop();
    /// Only the first topic of a source is read.
    Transport reads_every_topic_of_its_source: set bind: |_, binding| binding.topics.truncate(1);
    /// All records of a partition have offset 0.
    Transport position_identifies_one_record:
        set incoming: |_, mut incoming| {
            if let Incoming::Message(delivery) = &mut incoming {
                delivery.position.iter_mut().for_each(|position| position.offset = 0);
            }
            Some(incoming)
        };
    /// Messages arrive without their key.
    Transport carries_headers_and_key_unchanged: set message: |message| message.key = None;
    /// Messages arrive with their id as the only header.
    Transport carries_headers_and_key_unchanged:
        set message: |message| {
            let all = std::mem::replace(&mut message.headers, Headers::new());
            message.headers.set(headers::ID, all.get(headers::ID).cloned().unwrap_or_default());
        };
    /// Bytes are converted to text and back.
    Transport carries_bytes_that_are_not_text:
        set message: |message| {
            message.key = message.key.take().map(|key| as_text(&key).into());
            message.payload = as_text(&message.payload).into();
            let headers = std::mem::replace(&mut message.headers, Headers::new());
            headers.iter().for_each(|(name, value)| message.headers.set(name, as_text(value)));
        };
    /// An empty key becomes an absent key.
    Transport absent_and_empty_keys_stay_different:
        set message: |message| message.key = message.key.take().filter(|key| !key.is_empty());
    /// Payloads are cut after 65,536 bytes.
    Transport empty_and_large_payloads: set message: |message| message.payload.truncate(65_536);
    /// A lane has a different name in each assignment.
    Transport lanes_have_the_same_names_in_each_process:
        set incoming: |_, mut incoming| {
            if let Incoming::Assigned { name, .. } = &mut incoming {
                *name = unique("lane").into();
            }
            Some(incoming)
        };
    /// The subscriber does not report lost lanes.
    Transport lost_lanes_come_back_with_greater_epochs:
        set incoming: |_, incoming| Some(incoming).filter(|one| !matches!(one, Incoming::Lost { .. }));
    /// Every assignment has epoch 0.
    Transport lost_lanes_come_back_with_greater_epochs:
        set incoming: |_, incoming| Some(hide_epochs(incoming));
        set receipt: |member, lane, sequence| (member.present(lane), sequence);
        set pause: |member, lane| {
            let present = member.present(lane);
            member.inner().pause(present);
        };
    /// A redelivered message has the position of its first delivery.
    Transport positions_grow_within_a_lane:
        set incoming: |member, mut incoming| {
            if let Incoming::Message(delivery) = &mut incoming
                && let Some(position) = &delivery.position
            {
                let (lane, shown) = (delivery.receipt.lane(), position.offset as u64);
                member.notes.truth.insert((lane, shown), delivery.receipt.position());
                delivery.receipt = Receipt::new(lane, shown);
            }
            Some(incoming)
        };
        set receipt: |member, lane, sequence| {
            (lane, member.notes.truth.get(&(lane, sequence)).copied().unwrap_or(sequence))
        };
    /// Each member receives every message.
    Transport members_share_the_work: set bind: |_, binding| binding.consumer = unique(&binding.consumer);
    /// A revoked lane is assigned to its next owner at once.
    Transport revoked_lane_is_not_reassigned_before_it_is_done:
        set incoming: |_, mut incoming| {
            if let Incoming::Revoking { done, .. } = &mut incoming {
                *done = Done::new(|| ());
            }
            Some(incoming)
        };
    /// Hostile topic names are cleaned instead of refused.
    Transport refuses_a_topic_that_breaks_the_grammar:
        set bind: |_, binding| for topic in &mut binding.topics {
            let clean: String = topic.chars().filter(char::is_ascii_alphanumeric).collect();
            *topic = Arc::from(format!("t{clean}"));
        };
};
