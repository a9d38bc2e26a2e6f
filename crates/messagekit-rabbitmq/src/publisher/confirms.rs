//! Derives the result of each message from the client's confirmations. Pure: no client and no clock.
//!
//! The broker returns an unroutable message and acknowledges it afterwards. The client attaches a returned message to
//! the next completed acknowledgement, whichever message that belongs to, and completes those of one frame in any
//! order. So an acknowledgement without an attachment may belong to a returned message, and the reverse. This module
//! corrects the attachments:
//!
//! - Returned messages are attached in the order of their arrival, one to each completed acknowledgement, as long as
//!   there are any. So when an acknowledgement has no attachment, every earlier returned message was attached to an
//!   earlier one.
//! - When an acknowledgement has another message attached, its own may be attached to a later one. That is known as
//!   soon as every returned message that was seen has had its own acknowledgement: then there are as many carriers as
//!   messages.
//!
//! Both rules hold only if the examined acknowledgements are a prefix of the completed ones. So nothing is decided
//! before an examination has found nothing new.

use std::collections::HashSet;

/// The result of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Confirmed {
    /// The broker has accepted the message.
    Taken,
    /// No queue is bound for its routing key.
    Unroutable,
    /// A queue rejected it, usually because the queue is full.
    Refused,
}

#[derive(Debug, Default)]
pub(super) struct Confirms {
    /// Completed and undecided.
    waiting: Vec<Completed>,
    /// Known to be returned and undecided.
    returned: HashSet<u64>,
    /// Known to be returned and not completed.
    owed: HashSet<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Completed {
    number: u64,
    acked: bool,
    /// It had the message of another acknowledgement attached.
    unsure: bool,
}

impl Confirms {
    /// Records a completed acknowledgement; `owner` is the message that its attachment belongs to.
    pub(super) fn completed(&mut self, number: u64, acked: bool, owner: Option<u64>) {
        self.owed.remove(&number);
        let unsure = owner.is_some_and(|owner| owner != number);
        self.waiting.push(Completed { number, acked, unsure });
        if let Some(owner) = owner {
            self.returned.insert(owner);
            if !self.waiting.iter().any(|completed| completed.number == owner) {
                self.owed.insert(owner);
            }
        }
    }

    /// Returns whether a message is known to be returned.
    pub(super) fn is_returned(&self, number: u64) -> bool {
        self.returned.contains(&number)
    }

    /// Returns the certain results; called when an examination has found nothing new.
    pub(super) fn decide(&mut self) -> Vec<(u64, Confirmed)> {
        let sure = self.owed.is_empty();
        let mut decided = Vec::with_capacity(self.waiting.len());
        self.waiting.retain(|completed| {
            if completed.unsure && !sure {
                return true;
            }
            let confirmed = match (self.returned.remove(&completed.number), completed.acked) {
                (true, _) => Confirmed::Unroutable,
                (false, true) => Confirmed::Taken,
                (false, false) => Confirmed::Refused,
            };
            decided.push((completed.number, confirmed));
            false
        });
        decided
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, VecDeque};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        /// Simulates broker and client: frames acknowledge some messages, in any order inside a frame, with
        /// examinations in between.
        #[test]
        fn returned_and_confirmed_messages_are_never_mixed_up(
            unroutable in prop::collection::vec(any::<bool>(), 1..24),
            order in prop::collection::vec(any::<prop::sample::Index>(), 24),
            frames in prop::collection::vec(1_usize..6, 1..24),
            looks in prop::collection::vec(any::<bool>(), 48),
        ) {
            // The broker returns in order of publication, and acknowledges a returned message no later than later
            // returned ones.
            let mut open: Vec<u64> = (0..unroutable.len() as u64).collect();
            let bad = |number: u64| unroutable[number as usize];
            let mut returned: VecDeque<u64> = open.iter().copied().filter(|number| bad(*number)).collect();
            let (mut confirms, mut decided) = (Confirms::default(), Vec::new());
            let (mut order, mut looks) = (order.into_iter(), looks.into_iter());
            let mut frames = frames.into_iter();
            while !open.is_empty() {
                let size = frames.next().unwrap_or(open.len()).min(open.len());
                let mut frame: Vec<u64> = open.drain(..size).collect();
                while !frame.is_empty() {
                    let index = order.next().map_or(0, |index| index.index(frame.len()));
                    let number = frame.swap_remove(index);
                    confirms.completed(number, true, returned.pop_front());
                    if looks.next().unwrap_or(true) {
                        decided.extend(confirms.decide());
                    }
                }
            }
            decided.extend(confirms.decide());
            let numbers: BTreeSet<u64> = decided.iter().map(|(number, _)| *number).collect();
            prop_assert_eq!(numbers.len(), unroutable.len());
            prop_assert_eq!(decided.len(), unroutable.len());
            for (number, confirmed) in decided {
                let expected = if bad(number) { Confirmed::Unroutable } else { Confirmed::Taken };
                prop_assert_eq!(confirmed, expected, "message {}", number);
            }
        }
    }

    #[test]
    fn a_nack_is_a_refusal() {
        let mut confirms = Confirms::default();
        confirms.completed(7, false, None);
        assert_eq!(confirms.decide(), [(7, Confirmed::Refused)]);
    }

    #[test]
    fn what_carried_anothers_message_waits_for_it() {
        let mut confirms = Confirms::default();
        confirms.completed(7, true, Some(5));
        assert_eq!(confirms.decide(), []);
        confirms.completed(5, true, Some(7));
        assert_eq!(confirms.decide(), [(7, Confirmed::Unroutable), (5, Confirmed::Unroutable)]);
    }
}
