//! The records of a schedule, how their handlers behave, and what an owner says of them to a store.

use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::{ClaimRequest, Failure, FailureKind, Next, NextOffset, ReceivedMessage};
use messagekit::{Claim, Message, MessageId, ParkingLimits, Position};

/// The topic of every record.
pub const TOPIC: &str = "orders";
/// Longer than any schedule takes.
pub const LONG: Duration = Duration::from_secs(3_600);
/// A message with this many failed runs is dead.
const ATTEMPTS: u32 = 3;

/// How a handler treats a record until every handler is repaired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nature {
    Sound,
    Flaky,
    Poison,
    Hopeless,
}

/// One record of a partition.
#[derive(Debug)]
pub struct Record {
    /// What a consumer receives.
    pub received: ReceivedMessage,
    nature: Nature,
}

/// Records of a partition that are to be processed again, under a generation.
#[derive(Clone, Copy, Debug)]
pub struct Reprocess {
    /// The number of the partition.
    pub partition: usize,
    /// The offset of the first of them.
    pub from: usize,
    /// The offset behind the last of them.
    pub until: usize,
    /// The generation of their claims.
    pub generation: i32,
}

impl Record {
    /// Returns its id. The second copy of a record has the same.
    pub fn id(&self) -> &MessageId {
        &self.received.id
    }

    /// Returns whether it has a key.
    pub fn has_key(&self) -> bool {
        self.received.message.key.is_some()
    }

    /// Returns whether a run of its handler fails; `flaky` decides for a handler that sometimes does.
    pub fn fails(&self, flaky: impl FnOnce() -> bool) -> bool {
        match self.nature {
            Nature::Sound => false,
            Nature::Flaky => flaky(),
            Nature::Poison | Nature::Hopeless => true,
        }
    }

    /// Returns the failure of the run with this number, whose retry comes after `delay`.
    pub fn failure(&self, attempt: u32, generation: i32, delay: Duration) -> Failure {
        let again = self.nature != Nature::Hopeless && attempt < ATTEMPTS;
        let next = if again { Next::Retry(delay) } else { Next::Dead };
        let failure = Failure::permanent(FailureKind::Failed, "no");
        Failure { attempts: attempt, next, generation, ..failure }
    }

    /// Returns its claim under a generation.
    pub fn request(&self, generation: i32) -> ClaimRequest {
        ClaimRequest {
            id: self.id().clone(),
            topic: self.received.message.topic.clone(),
            key: self.received.message.key.clone(),
            generation,
        }
    }
}

impl Reprocess {
    /// Returns whether it contains a record of this partition.
    pub fn contains(&self, partition: usize, record: &Record) -> bool {
        let offset = record.received.position.as_ref().map_or(0, |position| position.offset as usize);
        self.partition == partition && (self.from..self.until).contains(&offset)
    }
}

/// Returns the position behind the records of a partition before `next`.
pub fn next_offset(partition: usize, next: usize) -> NextOffset {
    NextOffset { topic: Arc::from(TOPIC), partition: partition as i32, key_lane: 0, next: next as i64 }
}

/// Returns the claims from the `through`th on that are held by the claimer, whose handlers did not run.
pub fn unused(requests: &[ClaimRequest], claims: &[Claim], through: usize) -> Vec<ClaimRequest> {
    let is_own = |claim: &Claim| matches!(claim, Claim::Fresh | Claim::KeyBlocked);
    let held = std::iter::zip(requests, claims).skip(through).filter(|(_, claim)| is_own(claim));
    held.map(|(request, _)| request.clone()).collect()
}

/// Returns the records of one to three partitions with at most `keys` keys each; some have no key, and some are second copies.
pub fn log(random: &mut fastrand::Rng, keys: u8) -> Vec<Vec<Arc<Record>>> {
    let keys = random.u8(1..=keys);
    (0..random.usize(1..4)).map(|partition| partition_log(random, partition, keys)).collect()
}

/// Returns limits that some schedules reach and others do not.
pub fn limits(random: &mut fastrand::Rng) -> ParkingLimits {
    let per_key = *random.choice(&[3, 6, 1_000]).unwrap_or(&3);
    let in_all = *random.choice(&[8, 100_000, 100_000]).unwrap_or(&8);
    ParkingLimits { per_key, in_all }
}

fn partition_log(random: &mut fastrand::Rng, partition: usize, keys: u8) -> Vec<Arc<Record>> {
    let mut records: Vec<Arc<Record>> = Vec::new();
    for offset in 0..random.usize(15..40) {
        let copied = if random.u8(0..100) < 8 { random.choice(&records).cloned() } else { None };
        let at = Position { topic: Arc::from(TOPIC), partition: partition as i32, offset: offset as i64 };
        let record = match copied {
            Some(first) => Record {
                received: ReceivedMessage { position: Some(at), ..first.received.clone() },
                nature: first.nature,
            },
            None => fresh(random, keys, at),
        };
        records.push(Arc::new(record));
    }
    records
}

fn fresh(random: &mut fastrand::Rng, keys: u8, at: Position) -> Record {
    let Position { partition, offset, .. } = at;
    let id = MessageId::from_stored(&format!("p{partition}-{offset}"));
    let mut message = Message::new(TOPIC, "payload");
    if random.u8(0..10) > 0 {
        message = message.with_key(format!("p{partition}-k{}", random.u8(0..keys)));
    }
    let nature = match random.u8(0..20) {
        0 => Nature::Poison,
        1 => Nature::Hopeless,
        2..8 => Nature::Flaky,
        _ => Nature::Sound,
    };
    Record { received: ReceivedMessage { id, message, position: Some(at) }, nature }
}
