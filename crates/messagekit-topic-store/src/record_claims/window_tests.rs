//! The window beside a model that keeps every record by itself.

use std::ops::Range;

use jiff::Timestamp;
use messagekit::ErrorKind;

use super::{ClaimHolder, ClaimWindow, ClaimedRanges, NewClaim, RecordClaimId, Settlement};

/// Offsets with their attempts: to handle, and exhausted.
pub(super) type Answer = (Vec<(i64, u32)>, Vec<(i64, u32)>);

/// A record of the model.
#[derive(Clone, Debug, PartialEq)]
enum Record {
    New,
    Claimed { claim: RecordClaimId, holder: ClaimHolder, until: i64, is_alone: bool, attempts: u32 },
    Waiting { due: i64, is_alone: bool, attempts: u32 },
    Settled,
}

/// The records of a partition, by offset.
#[derive(Default)]
struct Model {
    records: Vec<Record>,
    start: i64,
}

impl Model {
    fn next(&self) -> i64 {
        let settled =
            self.records.iter().skip(self.start as usize).take_while(|record| **record == Record::Settled);
        self.start + settled.count() as i64
    }

    fn claim(&mut self, new: &NewClaim<'_>, end: i64) -> Answer {
        let now = new.now.as_microsecond();
        self.records.resize(end as usize, Record::New);
        for record in &mut self.records {
            if let Record::Claimed { holder, until, is_alone, attempts, .. } = record
                && (*until <= now || new.ended.contains(holder))
            {
                let attempts = *attempts - u32::from(!*is_alone);
                *record = Record::Waiting { due: now, is_alone: true, attempts };
            }
        }
        let is_due = |record: &Record, alone: bool| matches!(record, Record::Waiting { due, is_alone, .. } if *due <= now && *is_alone == alone);
        if let Some(offset) = self.records.iter().position(|record| is_due(record, true)) {
            let Record::Waiting { attempts, .. } = self.records[offset] else { unreachable!() };
            let is_exhausted = attempts >= new.max_attempts;
            let attempts = attempts + u32::from(!is_exhausted);
            self.records[offset] = claimed(new, true, attempts);
            let only = vec![(offset as i64, attempts)];
            return if is_exhausted { (vec![], only) } else { (only, vec![]) };
        }
        let due = (0..self.records.len()).filter(|offset| is_due(&self.records[*offset], false));
        let fresh = (0..self.records.len()).filter(|offset| self.records[*offset] == Record::New);
        let chosen: Vec<usize> = due.chain(fresh).take(new.max as usize).collect();
        let mut answer = Vec::new();
        for offset in &chosen {
            let attempts = match self.records[*offset] {
                Record::Waiting { attempts, .. } => attempts + 1,
                _ => 1,
            };
            self.records[*offset] = claimed(new, chosen.len() == 1, attempts);
            answer.push((*offset as i64, attempts));
        }
        (answer, vec![])
    }

    fn holds(&self, id: &RecordClaimId, offset: i64) -> bool {
        matches!(self.records.get(offset as usize), Some(Record::Claimed { claim, .. }) if claim == id)
    }

    fn settle(&mut self, id: &RecordClaimId, offsets: &[Range<i64>], how: Settlement, now: i64) -> bool {
        let all: Vec<i64> = offsets.iter().cloned().flatten().collect();
        if !all.iter().all(|offset| self.holds(id, *offset)) {
            return false;
        }
        for offset in all {
            let record = &mut self.records[offset as usize];
            let Record::Claimed { attempts, is_alone, .. } = *record else { continue };
            *record = match how {
                Settlement::Acknowledge => Record::Settled,
                Settlement::Release => {
                    Record::Waiting { due: now, is_alone, attempts: attempts.saturating_sub(1) }
                }
                Settlement::Retry(due) => {
                    Record::Waiting { due: due.as_microsecond(), is_alone: false, attempts }
                }
            };
        }
        true
    }
}

fn claimed(new: &NewClaim<'_>, is_alone: bool, attempts: u32) -> Record {
    let (claim, holder, until) = (new.id.clone(), new.holder.clone(), new.until.as_microsecond());
    Record::Claimed { claim, holder, until, is_alone, attempts }
}

pub(super) fn at(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap()
}

pub(super) fn records(claimed: &ClaimedRanges) -> Answer {
    let each = |ranges: &[super::ClaimedRange]| {
        ranges.iter().flat_map(|range| range.offsets.clone().map(|offset| (offset, range.attempt))).collect()
    };
    (each(&claimed.ranges), each(&claimed.exhausted))
}

struct Run {
    random: fastrand::Rng,
    window: ClaimWindow,
    model: Model,
    claims: Vec<RecordClaimId>,
    now: i64,
    end: i64,
}

impl Run {
    fn new(seed: u64) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        Self {
            random,
            window: ClaimWindow::new(0),
            model: Model::default(),
            claims: Vec::new(),
            now: 0,
            end: 0,
        }
    }

    fn step(&mut self) {
        self.now += self.random.i64(0..5);
        match self.random.u8(..20) {
            0..4 => self.end += self.random.i64(0..6),
            4..9 => self.claim(),
            9..16 => self.settle(),
            16 => self.extend(),
            17 => {
                let start = self.random.i64(0..=self.end);
                let lost = start > self.window.next() && {
                    let behind = self.model.next()..start;
                    behind
                        .into_iter()
                        .any(|offset| self.model.records.get(offset as usize) != Some(&Record::Settled))
                };
                assert_eq!(self.window.pass_deleted(start).is_some(), lost, "deleted before {start}");
                self.model.start = self.model.start.max(start);
                self.model.records.resize(self.end as usize, Record::New);
                self.model.records[..start as usize].fill(Record::Settled);
            }
            18 => {
                let next = self.random.i64(0..=self.end);
                self.window.reset(next);
                self.model.records = vec![Record::Settled; next as usize];
                self.model.start = 0;
            }
            _ => self.window = ClaimWindow::decode(self.window.next(), &self.window.encode()).unwrap(),
        }
        assert_eq!(self.window.next(), self.model.next(), "settled prefix");
        let unsettled = (self.window.next()..self.end)
            .filter(|offset| self.model.records.get(*offset as usize) != Some(&Record::Settled));
        assert_eq!(self.window.unsettled(self.end), unsettled.count() as u64);
    }

    fn claim(&mut self) {
        let id = RecordClaimId::new();
        let holders = ["a", "b"].map(ClaimHolder::new);
        let ended: Vec<ClaimHolder> =
            if self.random.u8(..10) == 0 { vec![holders[1].clone()] } else { vec![] };
        let new = NewClaim {
            id: &id,
            holder: &holders[if ended.is_empty() { self.random.usize(..2) } else { 0 }],
            ended: &ended,
            now: at(self.now),
            until: at(self.now + self.random.i64(1..30)),
            max: self.random.u32(1..7),
            max_attempts: 3,
            is_ordered: false,
        };
        let claimed = records(&self.window.claim(&new, self.end));
        assert_eq!(claimed, self.model.claim(&new, self.end), "at {}", self.now);
        self.claims.push(id);
    }

    fn settle(&mut self) {
        let Some(id) = self.random.choice(&self.claims).cloned() else { return };
        let mut offsets: Vec<Range<i64>> =
            self.window.held_by(&id).into_iter().map(|range| range.offsets).collect();
        match self.random.u8(..4) {
            0 => offsets.retain(|_| self.random.bool()),
            1 => offsets.iter_mut().for_each(|range| range.end = range.start + 1),
            2 => offsets.push(self.random.i64(-2..self.end + 3)..self.end + 3),
            _ => {}
        }
        let how = match self.random.u8(..4) {
            0 => Settlement::Release,
            1 => Settlement::Retry(at(self.now + self.random.i64(0..9))),
            _ => Settlement::Acknowledge,
        };
        let before = self.window.clone();
        let settled = self.window.settle(&id, &offsets, how, at(self.now));
        let expected = self.model.settle(&id, &offsets, how, self.now);
        match settled {
            Ok(()) => assert!(expected, "{offsets:?} of {id}"),
            Err(error) => {
                assert_eq!((error.kind(), expected), (ErrorKind::ClaimLost, false), "{offsets:?} of {id}");
                assert_eq!(self.window, before, "a refused call changes nothing");
            }
        }
    }

    fn extend(&mut self) {
        let Some(id) = self.random.choice(&self.claims).cloned() else { return };
        let later = self.now + 40;
        let mut is_held = false;
        for record in &mut self.model.records {
            if let Record::Claimed { claim, until, .. } = record
                && *claim == id
            {
                *until = later;
                is_held = true;
            }
        }
        assert_eq!(self.window.extend(&id, at(later)).is_ok(), is_held);
    }
}

#[test]
fn the_window_agrees_with_a_model_of_single_records() {
    for seed in 0..1_500 {
        let mut run = Run::new(seed);
        for step in 0..80 {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run.step()));
            assert!(result.is_ok(), "seed {seed}, step {step}: {:?}", run.window);
        }
    }
}

#[test]
fn a_claim_of_neighbours_is_one_range() {
    let (id, holder) = (RecordClaimId::new(), ClaimHolder::new("a"));
    let new = NewClaim {
        id: &id,
        holder: &holder,
        ended: &[],
        now: at(0),
        until: at(9),
        max: 128,
        max_attempts: 3,
        is_ordered: false,
    };
    let mut window = ClaimWindow::new(0);
    for _ in 0..50 {
        window.claim(&new, 1_000_000);
    }
    assert!(window.encode().len() < 12_000, "{} bytes", window.encode().len());
    let (early, late) = (0..3_000, 3_000..6_400);
    window.settle(&id, &[late, early], Settlement::Acknowledge, at(1)).unwrap();
    assert_eq!((window.next(), window.encode().as_str()), (6_400, "[]"));
}

#[test]
fn a_window_with_too_many_ranges_claims_nothing_new() {
    let (id, holder) = (RecordClaimId::new(), ClaimHolder::new("a"));
    let new = NewClaim {
        id: &id,
        holder: &holder,
        ended: &[],
        now: at(0),
        until: at(9),
        max: 12_000,
        max_attempts: 3,
        is_ordered: false,
    };
    let mut window = ClaimWindow::new(0);
    window.claim(&new, 30_000);
    let odd: Vec<Range<i64>> = (0..6_000).map(|number| 2 * number + 1..2 * number + 2).collect();
    window.settle(&id, &odd, Settlement::Acknowledge, at(1)).unwrap();
    assert_eq!(window.claim(&new, 30_000), ClaimedRanges::default());
    window.settle(&id, &[0..1, 2..3], Settlement::Retry(at(1)), at(1)).unwrap();
    assert_eq!(records(&window.claim(&NewClaim { now: at(2), ..new }, 30_000)).0, [(0, 2), (2, 2)]);
}

/// The order of a window is that of its offsets, whatever is acknowledged, given back, or lost.
#[test]
fn claims_in_order_follow_each_other() {
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut window, mut now, mut claims) = (ClaimWindow::new(0), 0, Vec::new());
        let (mut finished, mut settled) = (0, std::collections::BTreeSet::new());
        for _ in 0..200 {
            now += random.i64(0..6);
            let id = RecordClaimId::new();
            let new = NewClaim {
                id: &id,
                holder: &ClaimHolder::new("a"),
                ended: &[],
                now: at(now),
                until: at(now + random.i64(1..30)),
                max: random.u32(1..6),
                max_attempts: 100,
                is_ordered: true,
            };
            let (claimed, _) = records(&window.claim(&new, 60));
            let claimed: Vec<i64> = claimed.into_iter().map(|(offset, _)| offset).collect();
            if let (Some(first), Some(last)) = (claimed.first(), claimed.last()) {
                assert_eq!(*first, window.next(), "seed {seed}: something stands in front");
                let passed: Vec<i64> = (*first..=*last).filter(|offset| !claimed.contains(offset)).collect();
                assert!(passed.iter().all(|offset| settled.contains(offset)), "seed {seed}: {passed:?}");
                claims.push((id, claimed));
            }
            if let Some((id, offsets)) = claims.last() {
                let some: Vec<Range<i64>> =
                    offsets.iter().filter(|_| random.bool()).map(|offset| *offset..offset + 1).collect();
                let how = match random.u8(..4) {
                    0 => Settlement::Release,
                    1 => Settlement::Retry(at(now + random.i64(0..9))),
                    _ => Settlement::Acknowledge,
                };
                // Refused if the claim was lost meanwhile, or has settled them.
                if window.settle(id, &some, how, at(now)).is_ok() && how == Settlement::Acknowledge {
                    settled.extend(some.into_iter().map(|range| range.start));
                }
            }
            finished = window.next();
        }
        assert!(finished > 5, "seed {seed}: {finished}");
    }
}

#[test]
fn a_text_that_is_no_window_is_corrupt() {
    let range = |from: i64, to: i64| format!(r#"{{"from":{from},"to":{to},"attempts":1,"state":"settled"}}"#);
    let gap = format!("[{},{}]", range(5, 6), range(7, 8));
    let backwards = format!("[{}]", range(5, 5));
    for text in ["", "{}", "[1]", &*gap, &*backwards, &*format!("[{}]", range(6, 7))] {
        assert_eq!(ClaimWindow::decode(5, text).unwrap_err().kind(), ErrorKind::Corrupt, "{text}");
    }
}
