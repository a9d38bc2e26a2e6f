//! Topics that were deleted and made again while this member or an earlier one had a position in them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use super::offsets::Partition;
use super::start::Start;
use super::{End, Member};
use crate::on_recreated_topic::{OnRecreatedTopic, recreated};

impl Member {
    /// Compares the ids of topics with the ids that the lanes know, when either has changed. If a topic with a position was made again, the member ends,
    /// or joins again to read it from its start; neither commits the position. Returns whether it joins again.
    ///
    /// It runs between taking records from librdkafka and their delivery: the line that names an id comes before the records.
    pub(super) fn notice_recreated(&mut self) -> Result<bool, End> {
        let changes = self.client.ids.changes();
        if self.recreated.compared == Some(changes) {
            return Ok(false);
        }
        self.recreated.compared = Some(changes);
        let (mut again, mut has_position) = (BTreeSet::new(), false);
        for lane in self.lanes.values_mut() {
            let Some(id) = self.client.ids.of(&lane.topic) else { continue };
            let is_of_another = match (&lane.topic_id, self.recreated.read.get(&lane.topic)) {
                // The start of a topic is the start of every topic.
                (Some(before), _) => *before != id && lane.delivered() > 0,
                // This member has read the deleted topic, and lost its lane when the group noticed.
                (None, Some(before)) => *before != id,
                (None, None) => false,
            };
            if is_of_another {
                again.insert(lane.topic.clone());
                has_position |= lane.delivered() > 0;
            } else {
                lane.topic_id = Some(id);
            }
        }
        let slots: Vec<u32> = self.lanes.keys().copied().collect();
        slots.into_iter().for_each(|slot| self.note_read(slot));
        for topic in &again {
            if let Err(end) = self.begin_topic_again(topic) {
                self.lanes.retain(|_, lane| !again.contains(&lane.topic));
                return Err(end);
            }
        }
        if has_position {
            self.begin_again(self.client.unsubscribed().map_err(End::Permanent)?)?;
        } else if !again.is_empty() {
            // The lanes at the start of the topic take its id.
            self.recreated.compared = None;
        }
        Ok(has_position)
    }

    /// Notes that a lane has a position in its topic, for the time when the group takes the lane away because the topic is deleted.
    pub(super) fn note_read(&mut self, slot: u32) {
        let lane = self.lanes.get(&slot).filter(|lane| lane.delivered() > 0);
        let Some((lane, id)) = lane.and_then(|lane| Some((lane, lane.topic_id.clone()?))) else { return };
        if !self.recreated.read.contains_key(&lane.topic) {
            self.recreated.read.insert(lane.topic.clone(), id);
        }
    }

    /// Returns whether a start is a position in a topic that was deleted, as far as the ids say it.
    pub(super) fn is_of_deleted_topic(&self, start: &Start, is_lost: bool) -> bool {
        let (topic, _) = &start.partition;
        let Some(id) = self.client.ids.of(topic) else { return false };
        match &start.topic_id {
            Some(before) => *before != id,
            None if is_lost => {
                let read = self.recreated.read.get(topic);
                self.recreated.from_start.contains(topic) || read.is_some_and(|read| *read != id)
            }
            None => false,
        }
    }

    /// Makes a partition start again at the start of its topic.
    ///
    /// # Errors
    /// The end of the member, unless its setting is to read the topic.
    pub(super) fn start_again(&mut self, partition: Partition) -> Result<(), End> {
        self.begin_topic_again(&partition.0.clone())?;
        self.unplaced.add(vec![(partition, None)], Instant::now());
        Ok(())
    }

    fn begin_topic_again(&mut self, topic: &Arc<str>) -> Result<(), End> {
        if self.client.on_recreated_topic == OnRecreatedTopic::Stop {
            return Err(End::Permanent(recreated(&self.name, topic)));
        }
        if self.recreated.from_start.insert(topic.clone()) {
            tracing::warn!(consumer = &*self.name, %topic, "topic was deleted and made again: it is read from its start");
        }
        self.recreated.read.extend(self.client.ids.of(topic).map(|id| (topic.clone(), id)));
        Ok(())
    }
}
