//! Taking and giving up partitions.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::commit::{COMMIT_DEADLINE, commit_for_sure};
use super::lane::{Lane, NextOf, Stage};
use super::start::Start;
use super::step::{OffsetsQuery, Step};
use super::{End, Member, offsets};
use crate::background::{Answer, ask};
use crate::context::{Rebalance, answer, is_cooperative};
use crate::link::Event;

const ASK_AGAIN: Duration = Duration::from_millis(200);

impl Member {
    /// Continues the current request of the group; the group sends no other one before it has an answer.
    pub(super) fn rebalance(&mut self) -> Result<bool, End> {
        let Some(step) = self.step.take().or_else(|| self.next_step()) else { return Ok(false) };
        match step {
            Step::Assigning { partitions, asked, ask_at } => self.assign(partitions, asked, ask_at),
            Step::Revoking { partitions, busy, deadline } => {
                if busy.is_empty() || Instant::now() >= deadline || self.consumer.assignment_lost() {
                    self.revoke(&partitions, &busy);
                    return Ok(true);
                }
                self.step = Some(Step::Revoking { partitions, busy, deadline });
                Ok(false)
            }
        }
    }

    /// Records that a revoked lane has finished its work.
    pub(super) fn done(&mut self, lane: messagekit::adapter::Lane) {
        if let Some(Step::Revoking { busy, .. }) = &mut self.step {
            busy.remove(&lane);
        }
    }

    fn next_step(&mut self) -> Option<Step> {
        match self.consumer.context().next_rebalance()? {
            Rebalance::Assign(partitions) => {
                Some(Step::Assigning { partitions, asked: None, ask_at: Instant::now() })
            }
            Rebalance::Revoke { partitions, lost } => {
                self.unplaced.forget(&partitions);
                let mut busy = BTreeSet::new();
                for slot in self.slots_of(&partitions) {
                    let Some(lane) = self.lanes.get_mut(&slot) else { continue };
                    let told = lane.stage != Stage::Opening;
                    lane.stage = Stage::Leaving;
                    if told && !lost {
                        busy.insert(lane.id);
                        self.events.send(Event::Revoking(lane.id));
                    } else if told {
                        self.events.send(Event::Lost(lane.id));
                        self.lanes.remove(&slot);
                    }
                }
                Some(Step::Revoking { partitions, busy, deadline: Instant::now() + self.drain })
            }
        }
    }

    fn assign(
        &mut self,
        partitions: TopicPartitionList,
        asked: Option<OffsetsQuery>,
        ask_at: Instant,
    ) -> Result<bool, End> {
        let asked =
            asked.or_else(|| (Instant::now() >= ask_at).then(|| self.ask_committed(partitions.clone())));
        let answer = match asked.as_ref().map_or(Poll::Pending, Answer::poll) {
            Poll::Pending => {
                self.step = Some(Step::Assigning { partitions, asked, ask_at });
                return Ok(false);
            }
            // No thread could be created for the query.
            Poll::Ready(None) => Err(KafkaError::OffsetFetch(RDKafkaErrorCode::OperationTimedOut)),
            Poll::Ready(Some(answer)) => answer,
        };
        // The group gets its answer before the start positions are known: finding them must not delay other members.
        let answered = answer.and_then(|committed| self.take(Vec::new()).map(|()| committed));
        match answered {
            Ok(committed) => {
                self.unplaced.add(committed, Instant::now());
                Ok(true)
            }
            // Without an answer the group would wait for this member without a limit.
            Err(error) => {
                let ask_at = Instant::now() + ASK_AGAIN;
                self.step = Some(Step::Assigning { partitions, asked: None, ask_at });
                self.failed(error)?;
                Ok(false)
            }
        }
    }

    fn ask_committed(&self, partitions: TopicPartitionList) -> OffsetsQuery {
        // The client leaves the group with its last reference.
        let consumer = Arc::downgrade(&self.consumer);
        let ask_group = move || {
            consumer.upgrade().map_or(Ok(Vec::new()), |consumer| offsets::committed(&consumer, partitions))
        };
        ask("offsets", ask_group)
    }

    /// Assigns partitions whose start is known. The first call answers the group while none is known yet.
    ///
    /// # Errors
    /// The error of librdkafka; then nothing is assigned.
    pub(super) fn take(&mut self, starts: Vec<Start>) -> KafkaResult<()> {
        // Split the queues before anything is fetched: back-pressure does not cover records in the main queue.
        let slots: Vec<u32> = starts.into_iter().filter_map(|start| self.add_lane(start)).collect();
        // The classic strategies replace the whole assignment.
        let adds = is_cooperative(&self.consumer);
        let mut places = TopicPartitionList::with_capacity(self.lanes.len());
        for (_, lane) in self.lanes.iter().filter(|(slot, _)| !adds || slots.contains(slot)) {
            let wanted = Offset::Offset(lane.wanted());
            // The names come from librdkafka, and the offset is valid.
            let added = places.add_partition_offset(&lane.topic, lane.partition, wanted);
            added.unwrap_or_else(|error| tracing::error!(%error, "partition without a place"));
        }
        if let Err(error) = answer(&self.consumer, &Rebalance::Assign(places)) {
            slots.iter().for_each(|slot| drop(self.lanes.remove(slot)));
            return Err(error);
        }
        for slot in slots {
            let Some(lane) = self.lanes.get_mut(&slot) else { continue };
            if lane.stage == Stage::Open {
                self.events.send(Event::Assigned(lane.id, lane.name()));
            }
        }
        self.next_opening = Instant::now();
        Ok(())
    }

    fn add_lane(&mut self, start: Start) -> Option<u32> {
        let (topic, partition) = &start.partition;
        let mut queue = self.consumer.split_partition_queue(topic, *partition)?;
        let thread = std::thread::current();
        queue.set_nonempty_callback(move || thread.unpark());
        let slot = self.slot(topic, *partition);
        self.epoch += 1;
        let id = messagekit::adapter::Lane { slot, epoch: self.epoch };
        self.lanes.insert(slot, Lane::new(id, start, queue));
        self.recreated.compared = None;
        Some(slot)
    }

    /// Gives lanes up: commits what they handled, unless other members own them already.
    fn revoke(&mut self, partitions: &TopicPartitionList, late: &BTreeSet<messagekit::adapter::Lane>) {
        self.commits_end();
        let lost = self.consumer.assignment_lost();
        let gone: Vec<Lane> =
            self.slots_of(partitions).into_iter().filter_map(|slot| self.lanes.remove(&slot)).collect();
        for lane in gone.iter().filter(|lane| lost || late.contains(&lane.id)) {
            self.events.send(Event::Lost(lane.id));
        }
        if !lost {
            let next: Vec<NextOf> =
                gone.iter().filter_map(|lane| Some(lane.next_at(lane.moved()?))).collect();
            if let Err(error) = commit_for_sure(&self.consumer, next, Instant::now() + COMMIT_DEADLINE) {
                tracing::warn!(consumer = &*self.name, %error, "places of revoked partitions were not written: their messages come again");
            }
        }
        drop(gone);
        let answered = answer(&self.consumer, &Rebalance::Revoke { partitions: partitions.clone(), lost });
        if let Err(error) = answered {
            tracing::warn!(consumer = &*self.name, %error, "partitions could not be given up");
        }
    }

    fn slots_of(&self, partitions: &TopicPartitionList) -> Vec<u32> {
        let listed = partitions.elements();
        let is_listed = |lane: &Lane| {
            listed.iter().any(|found| found.topic() == &*lane.topic && found.partition() == lane.partition)
        };
        self.lanes.iter().filter(|(_, lane)| is_listed(lane)).map(|(slot, _)| *slot).collect()
    }

    fn slot(&mut self, topic: &Arc<str>, partition: i32) -> u32 {
        let known = self.slots.iter().position(|(name, number)| name == topic && *number == partition);
        let slot = known.unwrap_or_else(|| {
            self.slots.push((topic.clone(), partition));
            self.slots.len() - 1
        });
        u32::try_from(slot).expect("fewer partitions than 2^32")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc;

    use super::*;
    use crate::client::GroupClient;
    use crate::link::Events;
    use crate::member::commit_in_flight::CommitInFlight;
    use crate::memory::Memory;
    use crate::{Kafka, OnRecreatedTopic};

    pub(in crate::member) fn member() -> Member {
        let config = Kafka::new("127.0.0.1:1").consumer("billing", None);
        let client = GroupClient::new(config, vec!["orders".into()], None, OnRecreatedTopic::Stop);
        let events = Events::new(tokio::sync::mpsc::unbounded_channel().0, Arc::default());
        let (memory, drain) = (Memory::new(&[], None), Duration::from_secs(1));
        Member::new(client, "billing".into(), memory, drain, mpsc::channel().1, events).unwrap()
    }

    /// The next owner may have committed more by then.
    #[test]
    fn a_start_offset_is_committed_before_its_lane_is_revoked() {
        let (mut member, is_written) = (member(), Arc::new(AtomicBool::new(false)));
        let written = Arc::clone(&is_written);
        let answer = ask("commit", move || {
            written.store(true, Ordering::SeqCst);
            Ok(())
        });
        member.opening = Some(CommitInFlight { lanes: Vec::new(), answer });
        member.revoke(&TopicPartitionList::new(), &BTreeSet::new());
        assert!(member.opening.is_none() && is_written.load(Ordering::SeqCst));
        member.consumer.context().close();
    }
}
