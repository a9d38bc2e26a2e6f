//! The subscriber's state of one lane: fetched, delivered and released messages. Pure: no client and no clock.

use std::collections::{BTreeMap, VecDeque};

use messagekit::Message;
use messagekit::adapter::{Delivery, Lane, Receipt};
use tokio::time::Instant;

#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) lane: Lane,
    pub(crate) paused: bool,
    /// Received from the broker and not delivered yet, in order.
    fetched: VecDeque<(u64, Message)>,
    /// Released, by tag: delivered again before fetched messages.
    back: BTreeMap<u64, Message>,
    /// Delivered and neither settled nor released, by position.
    out: BTreeMap<u64, (u64, Message)>,
    /// Every tag that the broker has not received an acknowledgement for, and when it arrived.
    unsettled: BTreeMap<u64, Instant>,
    next: u64,
}

/// What a lane holds that is not settled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unsettled {
    pub(crate) messages: u64,
    pub(crate) since: Option<Instant>,
}

/// Messages that were settled together.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) messages: usize,
    /// The tags to acknowledge for them; `true` means every tag up to this one.
    pub(crate) tags: Vec<(u64, bool)>,
}

impl Held {
    pub(crate) fn new(lane: Lane) -> Self {
        Self {
            lane,
            paused: false,
            fetched: VecDeque::new(),
            back: BTreeMap::new(),
            out: BTreeMap::new(),
            unsettled: BTreeMap::new(),
            next: 0,
        }
    }

    pub(crate) fn fetched(&mut self, tag: u64, message: Message, at: Instant) {
        self.unsettled.insert(tag, at);
        self.fetched.push_back((tag, message));
    }

    /// Delivers the next message. A repeated delivery keeps its tag and gets a new position.
    pub(crate) fn deliver(&mut self) -> Option<Delivery> {
        if self.paused {
            return None;
        }
        let (tag, message) = self.back.pop_first().or_else(|| self.fetched.pop_front())?;
        let sequence = self.next;
        self.next += 1;
        // This shares the payload without a copy.
        self.out.insert(sequence, (tag, message.clone()));
        Some(Delivery { message, position: None, receipt: Receipt::new(self.lane, sequence) })
    }

    /// Takes back a message that was not handled.
    pub(crate) fn release(&mut self, sequence: u64) {
        if let Some((tag, message)) = self.out.remove(&sequence) {
            self.back.insert(tag, message);
        }
    }

    /// Returns how many messages are not settled, and when the oldest arrived.
    pub(crate) fn unsettled(&self) -> Unsettled {
        Unsettled { messages: self.unsettled.len() as u64, since: self.unsettled.values().next().copied() }
    }

    /// Returns the acknowledgements for settled positions: one tag with everything up to it, and single tags above a
    /// gap.
    pub(crate) fn settle(&mut self, positions: impl IntoIterator<Item = u64>) -> Settled {
        let mut tags: Vec<u64> = positions
            .into_iter()
            .filter_map(|sequence| self.out.remove(&sequence))
            .map(|(tag, _)| tag)
            .collect();
        tags.sort_unstable();
        for tag in &tags {
            self.unsettled.remove(tag);
        }
        let gap = self.unsettled.first_key_value().map_or(u64::MAX, |(tag, _)| *tag);
        let prefix = tags.partition_point(|tag| *tag < gap);
        // The tag for all before it must itself be unacknowledged: it is the last of those settled now.
        let whole = prefix.checked_sub(1).map(|last| (tags[last], last > 0));
        let above = tags[prefix..].iter().map(|tag| (*tag, false));
        Settled { messages: tags.len(), tags: whole.into_iter().chain(above).collect() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn held(tags: impl IntoIterator<Item = u64>) -> Held {
        let mut held = Held::new(Lane { slot: 0, epoch: 1 });
        for tag in tags {
            held.fetched(tag, Message::new("q", tag.to_string()), Instant::now());
        }
        held
    }

    fn take(held: &mut Held) -> Vec<(u64, String)> {
        std::iter::from_fn(|| held.deliver())
            .map(|delivery| {
                (delivery.receipt.position(), String::from_utf8(delivery.message.payload.to_vec()).unwrap())
            })
            .collect()
    }

    #[test]
    fn one_acknowledgement_stands_for_the_prefix() {
        let mut held = held(1..=6);
        take(&mut held);
        let first = held.settle([2, 1, 0, 4]);
        assert_eq!((first.messages, &first.tags[..]), (4, &[(3, true), (5, false)][..]));
        assert_eq!(held.settle([3]).tags, [(4, false)]);
        assert_eq!(held.settle([5]).tags, [(6, false)]);
        assert_eq!(held.settle([5]), Settled { messages: 0, tags: vec![] });
    }

    #[test]
    fn released_comes_before_what_was_fetched_and_in_order() {
        let mut held = held(1..=3);
        take(&mut held);
        held.fetched(4, Message::new("q", "4"), Instant::now());
        held.release(2);
        held.release(0);
        let again = take(&mut held);
        assert_eq!(again, [(3, "1".to_owned()), (4, "3".to_owned()), (5, "4".to_owned())]);
    }

    proptest! {
        /// The broker's view: it has acknowledgements for exactly the settled messages.
        #[test]
        fn exactly_the_settled_is_acknowledged(
            steps in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<prop::sample::Index>(), 1..6)), 1..40)
        ) {
            let mut held = held(1..=60);
            let mut broker: BTreeSet<u64> = (1..=60).collect();
            let mut out: Vec<(u64, u64)> = take(&mut held).into_iter().map(|(sequence, tag)| (sequence, tag.parse().unwrap())).collect();
            let mut settled = BTreeSet::new();
            for (settle, indices) in steps {
                let mut chosen = Vec::new();
                for index in indices {
                    if !out.is_empty() {
                        chosen.push(out.swap_remove(index.index(out.len())));
                    }
                }
                if settle {
                    settled.extend(chosen.iter().map(|(_, tag)| *tag));
                    for (tag, multiple) in held.settle(chosen.iter().map(|(sequence, _)| *sequence)).tags {
                        prop_assert!(broker.contains(&tag), "tag {} is not outstanding", tag);
                        broker.retain(|known| if multiple { *known > tag } else { *known != tag });
                    }
                } else {
                    chosen.iter().for_each(|(sequence, _)| held.release(*sequence));
                    out.extend(take(&mut held).into_iter().map(|(sequence, tag)| (sequence, tag.parse::<u64>().unwrap())));
                }
                let expected: BTreeSet<u64> = (1..=60).filter(|tag| !settled.contains(tag)).collect();
                prop_assert_eq!(&broker, &expected);
            }
        }
    }
}
