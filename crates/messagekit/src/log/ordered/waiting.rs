//! What an ordered reader does while nothing arrives: it stops waiting for idle partitions, and looks for new ones.

use std::time::Duration;

use tokio::time::Instant;

use super::reader::OrderedReader;
use super::topic_reader::Followed;

impl OrderedReader {
    /// Returns when something is to be done although nothing arrives.
    pub(super) fn next_change(&self, now: Instant) -> Instant {
        let looks = self.core.is_live().then(|| self.looked.map_or(now, |looked| looked + self.look_every));
        let idle = self.core.idle_timeout().and_then(|timeout| {
            let left = self.awaited().map(|index| timeout.saturating_sub(self.followed[index].waited));
            left.min().map(|left| now + left)
        });
        [looks, idle].into_iter().flatten().min().unwrap_or(now + Duration::from_secs(86_400))
    }

    /// Returns the partitions that are read and have brought nothing lately.
    fn awaited(&self) -> impl Iterator<Item = usize> {
        let partitions = self.core.partitions().iter().enumerate();
        let awaited =
            partitions.filter(|(_, known)| !known.has_ended() && !known.is_idle() && !known.is_paused());
        awaited.map(|(index, _)| index)
    }

    pub(super) fn note_wait(&mut self, waited: Duration) {
        let Some(timeout) = self.core.idle_timeout() else { return };
        for index in self.awaited().collect::<Vec<_>>() {
            self.followed[index].waited += waited;
            if self.followed[index].waited >= timeout {
                self.core.on_idle(index);
            }
        }
        self.steer();
    }

    /// Follows partitions that were added to the topics of a live reader, from their first record on. A log that does not answer is asked
    /// again later.
    pub(super) async fn look_for_partitions(&mut self) {
        let is_due = self.looked.is_none_or(|looked| looked.elapsed() >= self.look_every);
        if !self.core.is_live() || !is_due {
            return;
        }
        self.looked = Some(Instant::now());
        for topic in &mut self.topics {
            let Ok(bounds) = topic.log.bounds(&topic.topic).await else { continue };
            for bounds in bounds.into_iter().filter(|bounds| !topic.has(bounds.partition)).collect::<Vec<_>>()
            {
                let added = Followed {
                    topic: topic.topic.clone(),
                    partition: bounds.partition,
                    start: bounds.earliest,
                    end: bounds.earliest,
                    waited: Duration::ZERO,
                };
                if topic.follow(&[(self.followed.len(), &added)]).await.is_ok() {
                    self.core.add_partition();
                    self.followed.push(added);
                }
            }
        }
    }
}
