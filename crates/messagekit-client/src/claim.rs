//! What a worker has to say of the records of a claim: a state machine without a server.

use std::collections::BTreeSet;

use messagekit_wire::{Acknowledge, Extend, GiveBack};

/// The records of one answer that are not settled, and those of them that were handled.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    topic: String,
    group: String,
    partition: i32,
    id: String,
    open: Vec<i64>,
    handled: BTreeSet<i64>,
}

impl Claim {
    pub(crate) fn new(topic: &str, group: &str, partition: i32, id: String, offsets: Vec<i64>) -> Self {
        let (topic, group) = (topic.to_owned(), group.to_owned());
        Self { topic, group, partition, id, open: offsets, handled: BTreeSet::new() }
    }

    /// Returns whether some of its records are not settled.
    pub(crate) fn has_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Notes that a record was handled.
    pub(crate) fn handled(&mut self, offset: i64) {
        self.handled.insert(offset);
    }

    /// Returns the next request that says what was handled, with its records: those up to the first open one together, and then the others.
    pub(crate) fn acknowledgement(&self) -> Option<(Acknowledge, Vec<i64>)> {
        let is_handled = |offset: &&i64| self.handled.contains(offset);
        let prefix: Vec<i64> = self.open.iter().take_while(is_handled).copied().collect();
        let mut request = Acknowledge {
            upto_offset: prefix.last().copied(),
            ..Acknowledge::all(&self.topic, &self.group, self.partition, &self.id)
        };
        if !prefix.is_empty() {
            return Some((request, prefix));
        }
        let others: Vec<i64> = self.handled.iter().copied().collect();
        request.offsets = Some(others.clone());
        (!others.is_empty()).then_some((request, others))
    }

    /// Returns the request that gives a failed record back.
    pub(crate) fn give_back(&self, offset: i64, delay_seconds: u64, error: String) -> GiveBack {
        GiveBack { delay_seconds, error: Some(error), tried: true, ..self.untried(vec![offset]) }
    }

    /// Returns the request that gives back what was not begun, if there is any, with its records.
    pub(crate) fn release(&self) -> Option<(GiveBack, Vec<i64>)> {
        self.has_open().then(|| (self.untried(self.open.clone()), self.open.clone()))
    }

    fn untried(&self, offsets: Vec<i64>) -> GiveBack {
        GiveBack {
            offsets: Some(offsets),
            ..GiveBack::untried(&self.topic, &self.group, self.partition, &self.id)
        }
    }

    /// Returns the request that extends its lease.
    pub(crate) fn extend(&self, lease_seconds: u64) -> Extend {
        Extend {
            topic_id: self.topic.clone(),
            group_id: self.group.clone(),
            partition_id: self.partition,
            claim_id: self.id.clone(),
            lease_seconds: Some(lease_seconds),
        }
    }

    /// Notes that the server knows of these records.
    pub(crate) fn settled(&mut self, offsets: &[i64]) {
        self.handled.retain(|offset| !offsets.contains(offset));
        self.open.retain(|offset| !offsets.contains(offset));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_said_by_its_end_and_the_rest_by_offsets() {
        let mut claim = Claim::new("shop.orders", "shipping", 0, "c".into(), (10..16).collect());
        assert!(claim.acknowledgement().is_none());
        [10, 11, 13, 15].into_iter().for_each(|offset| claim.handled(offset));
        let (request, offsets) = claim.acknowledgement().unwrap();
        assert_eq!((request.upto_offset, request.offsets, &*offsets), (Some(11), None, &[10, 11][..]));
        claim.settled(&offsets);
        let (request, offsets) = claim.acknowledgement().unwrap();
        assert_eq!((request.upto_offset, request.offsets), (None, Some(vec![13, 15])));
        claim.settled(&offsets);
        assert!(claim.acknowledgement().is_none());
        assert_eq!(claim.release().unwrap().1, [12, 14]);
    }

    #[test]
    fn a_record_that_is_given_back_ends_no_prefix() {
        let mut claim = Claim::new("shop.orders", "shipping", 0, "c".into(), (0..3).collect());
        claim.settled(&[1]);
        [0, 2].into_iter().for_each(|offset| claim.handled(offset));
        let (request, offsets) = claim.acknowledgement().unwrap();
        assert_eq!(request.upto_offset, Some(2));
        claim.settled(&offsets);
        assert!(!claim.has_open() && claim.release().is_none());
    }
}
