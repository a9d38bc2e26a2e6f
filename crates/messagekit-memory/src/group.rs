//! Members of one consumer and their shared queues. Pure: no lock and no clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::task::Waker;

use messagekit::adapter::{Lane, Receipt, Watermark};

/// A consumer: one queue per partition of its members' topics.
#[derive(Default)]
pub(super) struct Group {
    queues: Vec<Queue>,
    members: BTreeMap<u64, Member>,
    epoch: u64,
}

/// A partition of one consumer; its index in the group is the slot of its lanes.
pub(super) struct Queue {
    pub(super) topic: Arc<str>,
    pub(super) partition: usize,
    /// The offset after the contiguous settled prefix.
    committed: u64,
    owner: Option<Owner>,
    /// The next owner; differs from the owner while the owner releases the queue.
    heir: Option<u64>,
}

impl Queue {
    /// Returns the name of the queue's lane.
    pub(super) fn name(&self) -> Arc<str> {
        Arc::from(format!("{}/{}", self.topic, self.partition))
    }
}

/// The owner of a queue for one assignment.
struct Owner {
    member: u64,
    epoch: u64,
    leaving: bool,
    paused: bool,
    /// The offset of the next record that was not delivered in this epoch.
    next: u64,
    /// Number of deliveries, which keeps positions increasing when a released record is delivered again.
    deliveries: u64,
    /// Delivered records, neither settled nor released: position to offset.
    out: BTreeMap<u64, u64>,
    /// Offsets of released records, which are delivered again before later ones.
    back: BTreeSet<u64>,
    watermark: Watermark,
}

struct Member {
    topics: Vec<Arc<str>>,
    news: VecDeque<News>,
    waker: Option<Waker>,
    /// The last served slot, so a full queue does not starve the others.
    turn: usize,
}

/// An event for a member.
pub(super) enum News {
    Assigned(Lane),
    Revoking(Lane),
    Lost(Lane),
}

/// The next record of a member.
pub(super) struct Picked {
    pub(super) slot: usize,
    pub(super) offset: u64,
    pub(super) receipt: Receipt,
}

impl Group {
    pub(super) fn join(&mut self, member: u64, topics: Vec<Arc<str>>) {
        self.members.insert(member, Member { topics, news: VecDeque::new(), waker: None, turn: 0 });
    }

    pub(super) fn leave(&mut self, member: u64) {
        self.members.remove(&member);
        for queue in &mut self.queues {
            if queue.owner.as_ref().is_some_and(|owner| owner.member == member) {
                queue.owner = None;
            }
        }
        self.rebalance();
    }

    /// Adds the queues of a topic when a member subscribes to it, each from the offset that `first` returns.
    pub(super) fn see_topic(&mut self, topic: &Arc<str>, partitions: usize, first: impl Fn(usize) -> u64) {
        let wanted = self.members.values().any(|member| member.topics.contains(topic));
        if !wanted || self.queues.iter().any(|queue| queue.topic == *topic) {
            return;
        }
        self.queues.extend((0..partitions).map(|partition| Queue {
            topic: topic.clone(),
            partition,
            committed: first(partition),
            owner: None,
            heir: None,
        }));
    }

    /// Divides the queues evenly with the fewest moves. Free queues go to the member with the fewest. A member with two
    /// more than another must release one.
    pub(super) fn rebalance(&mut self) {
        for slot in 0..self.queues.len() {
            let heir = self.queues[slot].heir.filter(|heir| self.members.contains_key(heir));
            self.queues[slot].heir = heir.or_else(|| self.idlest_for(slot));
        }
        while let Some((slot, heir)) = self.unfair() {
            self.queues[slot].heir = Some(heir);
        }
        for slot in 0..self.queues.len() {
            let queue = &mut self.queues[slot];
            match (&mut queue.owner, queue.heir) {
                (None, Some(heir)) => {
                    self.epoch += 1;
                    queue.owner = Some(Owner::new(heir, self.epoch, queue.committed));
                    self.notify(heir, News::Assigned(Lane { slot: slot_number(slot), epoch: self.epoch }));
                }
                (Some(owner), heir) if heir != Some(owner.member) && !owner.leaving => {
                    owner.leaving = true;
                    let (member, epoch) = (owner.member, owner.epoch);
                    self.notify(member, News::Revoking(Lane { slot: slot_number(slot), epoch }));
                }
                _ => {}
            }
        }
    }

    /// Takes a queue back after its owner has released it.
    pub(super) fn free(&mut self, lane: Lane) {
        if let Some(queue) = self.queues.get_mut(lane.slot as usize)
            && queue.owner.as_ref().is_some_and(|owner| owner.leaving && owner.epoch == lane.epoch)
        {
            queue.owner = None;
            self.rebalance();
        }
    }

    /// Ends every assignment without a release, as a broker does after a session timeout.
    pub(super) fn lose(&mut self) {
        for slot in 0..self.queues.len() {
            if let Some(owner) = self.queues[slot].owner.take() {
                self.notify(owner.member, News::Lost(Lane { slot: slot_number(slot), epoch: owner.epoch }));
            }
        }
        self.rebalance();
    }

    /// Resets the committed offsets; current assignments continue until they are lost.
    pub(super) fn rewind(&mut self) {
        self.queues.iter_mut().for_each(|queue| queue.committed = 0);
    }

    pub(super) fn committed(&self, topic: &str, partition: usize) -> u64 {
        let found = self.queues.iter().find(|queue| &*queue.topic == topic && queue.partition == partition);
        found.map_or(0, |queue| queue.committed)
    }

    pub(super) fn next_news(&mut self, member: u64) -> Option<News> {
        self.members.get_mut(&member)?.news.pop_front()
    }

    /// Returns the queues that a member owns, each with the offset after its contiguous settled prefix.
    pub(super) fn owned(&self, member: u64) -> impl Iterator<Item = (&Queue, u64)> {
        let owns = move |queue: &&Queue| queue.owner.as_ref().is_some_and(|owner| owner.member == member);
        self.queues.iter().filter(owns).map(|queue| (queue, queue.committed))
    }

    /// Picks the next record for a member; `kept` returns the kept offsets of a partition.
    pub(super) fn pick(
        &mut self,
        member: u64,
        kept: impl Fn(&str, usize) -> std::ops::Range<u64>,
    ) -> Option<Picked> {
        let turn = self.members.get(&member)?.turn;
        let slots = self.queues.len();
        let picked = (1..=slots).map(|step| (turn + step) % slots).find_map(|slot| {
            let queue = &mut self.queues[slot];
            let owner = queue.owner.as_mut().filter(|owner| owner.member == member)?;
            let (sequence, offset) = owner.pick(kept(&queue.topic, queue.partition))?;
            let lane = Lane { slot: slot_number(slot), epoch: owner.epoch };
            Some(Picked { slot, offset, receipt: Receipt::new(lane, sequence) })
        })?;
        self.members.get_mut(&member)?.turn = picked.slot;
        Some(picked)
    }

    pub(super) fn queue(&self, slot: usize) -> &Queue {
        &self.queues[slot]
    }

    /// Settles one delivery; does nothing after its assignment ended.
    pub(super) fn settle(&mut self, member: u64, receipt: &Receipt) {
        let Some(queue) = self.queues.get_mut(receipt.lane().slot as usize) else { return };
        let Some(owner) = queue.owner.as_mut().filter(|owner| owner.is(member, receipt.lane())) else {
            return;
        };
        let Some(offset) = owner.out.remove(&receipt.position()) else { return };
        owner.watermark.settled(offset);
        if let Some(finished) = owner.watermark.finished() {
            queue.committed = finished + 1;
        }
    }

    /// Takes one delivery back; does nothing after its assignment ended.
    pub(super) fn release(&mut self, member: u64, receipt: &Receipt) {
        if let Some(owner) = self.owner(member, receipt.lane())
            && let Some(offset) = owner.out.remove(&receipt.position())
        {
            owner.back.insert(offset);
        }
    }

    pub(super) fn set_paused(&mut self, member: u64, lane: Lane, paused: bool) {
        if let Some(owner) = self.owner(member, lane) {
            owner.paused = paused;
        }
    }

    pub(super) fn wait(&mut self, member: u64, waker: &Waker) {
        if let Some(member) = self.members.get_mut(&member) {
            member.waker = Some(waker.clone());
        }
    }

    pub(super) fn wakers(&mut self) -> impl Iterator<Item = Waker> {
        self.members.values_mut().filter_map(|member| member.waker.take())
    }

    fn owner(&mut self, member: u64, lane: Lane) -> Option<&mut Owner> {
        self.queues.get_mut(lane.slot as usize)?.owner.as_mut().filter(|owner| owner.is(member, lane))
    }

    fn notify(&mut self, member: u64, news: News) {
        if let Some(member) = self.members.get_mut(&member) {
            member.news.push_back(news);
        }
    }

    fn load(&self, member: u64) -> usize {
        self.queues.iter().filter(|queue| queue.heir == Some(member)).count()
    }

    fn idlest_for(&self, slot: usize) -> Option<u64> {
        let topic = &self.queues[slot].topic;
        let able = self.members.iter().filter(|(_, member)| member.topics.contains(topic));
        able.map(|(id, _)| *id).min_by_key(|id| self.load(*id))
    }

    fn unfair(&self) -> Option<(usize, u64)> {
        (0..self.queues.len()).find_map(|slot| {
            let heir = self.queues[slot].heir?;
            let idlest = self.idlest_for(slot)?;
            (self.load(heir) >= self.load(idlest) + 2).then_some((slot, idlest))
        })
    }
}

impl Owner {
    fn new(member: u64, epoch: u64, next: u64) -> Self {
        Self {
            member,
            epoch,
            leaving: false,
            paused: false,
            next,
            deliveries: 0,
            out: BTreeMap::new(),
            back: BTreeSet::new(),
            watermark: Watermark::new(),
        }
    }

    fn is(&self, member: u64, lane: Lane) -> bool {
        self.member == member && self.epoch == lane.epoch
    }

    fn pick(&mut self, kept: std::ops::Range<u64>) -> Option<(u64, u64)> {
        if self.paused || self.leaving {
            return None;
        }
        // Skip deleted records: they cannot be delivered.
        while let Some(gone) = self.back.first().copied().filter(|offset| *offset < kept.start) {
            self.back.remove(&gone);
            self.watermark.settled(gone);
        }
        let offset = match self.back.pop_first() {
            Some(offset) => offset,
            None => {
                let offset = self.next.max(kept.start);
                if offset >= kept.end {
                    return None;
                }
                self.next = offset + 1;
                self.watermark.delivered(offset);
                offset
            }
        };
        self.deliveries += 1;
        self.out.insert(self.deliveries, offset);
        Some((self.deliveries, offset))
    }
}

fn slot_number(slot: usize) -> u32 {
    u32::try_from(slot).expect("fewer partitions than 2^32")
}
