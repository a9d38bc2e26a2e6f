//! Claims by key beside a model that keeps every record by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use bytes::Bytes;

use super::giving_back::behind;
use super::key_order::KeyedClaim;
use super::window_tests::{at, records};
use super::{ClaimHolder, ClaimWindow, NewClaim, RecordClaimId, Settlement};

const END: i64 = 60;
const MAX_ATTEMPTS: u32 = 3;

/// A claim as its worker knows it.
struct Held {
    id: RecordClaimId,
    holder: ClaimHolder,
    until: i64,
    offsets: Vec<i64>,
    is_alone: bool,
}

/// Every record by itself, and the window beside it.
struct Run {
    random: fastrand::Rng,
    keys: Vec<Option<Bytes>>,
    window: ClaimWindow,
    now: i64,
    start: i64,
    settled: BTreeSet<i64>,
    /// The attempts that count.
    attempts: BTreeMap<i64, u32>,
    due: BTreeMap<i64, i64>,
    /// What is claimed without others.
    alone: BTreeSet<i64>,
    claims: Vec<Held>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let key = |number: u8| (number > 0).then(|| Bytes::from(vec![number]));
        let keys = (0..END).map(|_| key(random.u8(..5))).collect();
        Self {
            random,
            keys,
            window: ClaimWindow::new(0),
            now: 0,
            start: 0,
            settled: BTreeSet::new(),
            attempts: BTreeMap::new(),
            due: BTreeMap::new(),
            alone: BTreeSet::new(),
            claims: Vec::new(),
        }
    }

    fn key(&self, offset: i64) -> Option<&Bytes> {
        self.keys[offset as usize].as_ref()
    }

    fn is_open(&self, offset: i64) -> bool {
        offset >= self.start && !self.settled.contains(&offset)
    }

    fn has_claim(&self, offset: i64) -> bool {
        self.claims.iter().any(|claim| claim.offsets.contains(&offset))
    }

    /// Whether a record of its key in front of it is open and in none of `with`.
    fn is_behind(&self, offset: i64, with: &[i64]) -> bool {
        let key = self.key(offset);
        let in_front =
            (self.start..offset).filter(|earlier| self.is_open(*earlier) && !with.contains(earlier));
        key.is_some() && in_front.into_iter().any(|earlier| self.key(earlier) == key)
    }

    fn lose(&mut self, ended: &[ClaimHolder]) {
        let now = self.now;
        let lost = self.claims.extract_if(.., |claim| claim.until <= now || ended.contains(&claim.holder));
        for Held { offsets, is_alone, .. } in lost.collect::<Vec<_>>() {
            for offset in offsets {
                *self.attempts.entry(offset).or_default() += u32::from(is_alone);
                self.alone.insert(offset);
                self.due.insert(offset, now);
            }
        }
    }

    /// Claims as a worker does, and checks what it gets.
    fn claim(&mut self) {
        let (id, holders) = (RecordClaimId::new(), ["a", "b"].map(ClaimHolder::new));
        let ended = if self.random.u8(..8) == 0 { vec![holders[1].clone()] } else { vec![] };
        let holder = holders[if ended.is_empty() { self.random.usize(..2) } else { 0 }].clone();
        let (max, until) = (self.random.u32(1..9), self.now + self.random.i64(1..30));
        let new = NewClaim {
            id: &id,
            holder: &holder,
            ended: &ended,
            now: at(self.now),
            until: at(until),
            max,
            max_attempts: MAX_ATTEMPTS,
            is_ordered: false,
        };
        self.lose(&ended);
        let (claimed, exhausted) = records(&claim_by_key(&mut self.window, &new, END, &self.keys));
        let offsets: Vec<i64> = claimed.iter().chain(&exhausted).map(|(offset, _)| *offset).collect();
        for (index, offset) in offsets.iter().enumerate() {
            assert!(self.is_open(*offset) && !self.has_claim(*offset), "{offset} may not be claimed");
            assert!(self.due.get(offset).is_none_or(|due| *due <= self.now), "{offset} is not due");
            assert!(!self.is_behind(*offset, &offsets[..index]), "{offset} overtakes its key");
            assert!(!self.alone.contains(offset) || offsets.len() == 1, "{offset} is claimed with others");
        }
        for (offset, attempt) in claimed {
            let counted = self.attempts.get(&offset).copied().unwrap_or(0);
            assert_eq!(attempt, counted + 1, "the attempt of {offset}");
        }
        self.check_rest(&offsets, max);
        let is_alone = offsets.len() == 1;
        if let [(offset, attempt)] = exhausted[..] {
            assert_eq!(attempt, MAX_ATTEMPTS);
            let own = [Range { start: offset, end: offset + 1 }];
            self.window.settle(&id, &own, Settlement::Acknowledge, at(self.now)).unwrap();
            self.settled.insert(offset);
        } else if !offsets.is_empty() {
            self.claims.push(Held { id, holder, until, offsets, is_alone });
        }
    }

    /// A claim that is not full leaves nothing that it could have.
    fn check_rest(&self, claimed: &[i64], max: u32) {
        let is_alone = matches!(claimed, [only] if self.alone.contains(only));
        if is_alone || claimed.len() == max as usize {
            return;
        }
        let rest = (self.start..END).filter(|offset| self.is_open(*offset) && !claimed.contains(offset));
        for offset in rest.filter(|offset| !self.has_claim(*offset)) {
            let is_due = self.due.get(&offset).is_none_or(|due| *due <= self.now);
            let may_be =
                is_due && !self.is_behind(offset, if self.alone.contains(&offset) { &[] } else { claimed });
            assert!(!may_be, "{offset} is left");
        }
    }

    /// Settles some records of a claim as [`RecordClaimer`](super::RecordClaimer) does.
    fn settle(&mut self) {
        if self.claims.is_empty() {
            return;
        }
        let index = self.random.usize(..self.claims.len());
        let (id, held) = (self.claims[index].id.clone(), self.claims[index].offsets.clone());
        let (mut given, kind) = (held.clone(), self.random.u8(..5));
        given.retain(|_| self.random.u8(..3) > 0);
        let single = |offset: &i64| *offset..*offset + 1;
        let due = self.now + self.random.i64(0..12);
        let counted = |offset: &i64| self.attempts.get(offset).copied().unwrap_or(0) + 1;
        let (how, dead): (_, Vec<i64>) = match kind {
            0 => (Settlement::Release, vec![]),
            1 => (
                Settlement::Retry(at(due)),
                given.extract_if(.., |offset| counted(offset) >= MAX_ATTEMPTS).collect(),
            ),
            _ => (Settlement::Acknowledge, vec![]),
        };
        let dead: Vec<Range<i64>> = dead.iter().map(single).collect();
        self.window.settle(&id, &dead, Settlement::Acknowledge, at(self.now)).unwrap();
        self.settled.extend(dead.iter().map(|offsets| offsets.start));
        let ranges: Vec<Range<i64>> = given.iter().map(single).collect();
        self.window.settle(&id, &ranges, how, at(self.now)).unwrap();
        let mut gone: Vec<i64> =
            given.iter().copied().chain(dead.into_iter().map(|dead| dead.start)).collect();
        match how {
            Settlement::Acknowledge => self.settled.extend(&given),
            // A single record comes back as it was.
            Settlement::Release if self.claims[index].is_alone => self.alone.extend(&given),
            Settlement::Release => {}
            Settlement::Retry(_) => {
                for offset in &given {
                    *self.attempts.entry(*offset).or_default() += 1;
                    self.due.insert(*offset, due);
                    self.alone.remove(offset);
                }
            }
        }
        if how != Settlement::Acknowledge {
            let keyed = held.iter().filter_map(|offset| Some((*offset, self.key(*offset)?.clone())));
            let mut behind = behind(&keyed.collect::<Vec<_>>(), &ranges);
            behind.retain(|offsets| !gone.contains(&offsets.start));
            self.window.settle(&id, &behind, Settlement::Release, at(self.now)).unwrap();
            gone.extend(behind.iter().map(|offsets| offsets.start));
        }
        self.claims[index].offsets.retain(|offset| !gone.contains(offset));
        self.claims.retain(|claim| !claim.offsets.is_empty());
    }

    fn step(&mut self) {
        self.now += self.random.i64(0..5);
        match self.random.u8(..60) {
            0..22 => self.claim(),
            22..56 => self.settle(),
            56 => self.reset(),
            57 => {
                let start = (self.start + self.random.i64(0..3)).min(END);
                self.window.pass_deleted(start);
                self.pass(start);
            }
            _ => self.window = ClaimWindow::decode(self.window.next(), &self.window.encode()).unwrap(),
        }
        self.check_claims();
    }

    fn reset(&mut self) {
        let next = self.random.i64(self.start..=END.min(self.start + 20));
        self.window.reset(next);
        (self.attempts, self.due) = (BTreeMap::new(), BTreeMap::new());
        (self.alone, self.claims) = (BTreeSet::new(), Vec::new());
        self.settled = (0..next).collect();
    }

    fn pass(&mut self, start: i64) {
        self.start = self.start.max(start);
        self.claims.iter_mut().for_each(|claim| claim.offsets.retain(|offset| *offset >= start));
        self.claims.retain(|claim| !claim.offsets.is_empty());
    }

    /// A key is in one claim.
    fn check_claims(&self) {
        let mut keys = BTreeMap::new();
        for (index, claim) in self.claims.iter().enumerate() {
            for key in claim.offsets.iter().filter_map(|offset| self.key(*offset)) {
                assert_eq!(*keys.entry(key).or_insert(index), index, "two claims have {key:?}");
            }
        }
    }
}

/// Claims with the keys of records, by offset.
pub(super) fn claim_by_key(
    window: &mut ClaimWindow,
    new: &NewClaim<'_>,
    end: i64,
    keys: &[Option<Bytes>],
) -> super::ClaimedRanges {
    let mut claim = KeyedClaim::new(window, new, end);
    loop {
        let unread = claim.unread();
        if unread.is_empty() {
            return claim.claim();
        }
        claim.look(
            unread.into_iter().flatten().filter_map(|offset| Some((offset, keys[offset as usize].clone()?))),
        );
    }
}

#[test]
fn keys_keep_their_order_whatever_becomes_of_claims() {
    for seed in 0..300 {
        let mut run = Run::new(seed);
        for step in 0..400 {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run.step()));
            assert!(result.is_ok(), "seed {seed}, step {step}: {:?}", run.window);
        }
        let mut left = 2_000;
        while run.window.next() < END && left > 0 {
            left -= 1;
            run.now += 3;
            run.claim();
            run.settle();
            run.check_claims();
        }
        assert_eq!(run.window.next(), END, "seed {seed}: all is handled, {:?}", run.window);
    }
}
