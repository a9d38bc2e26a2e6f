//! What an ordered reader does while nothing arrives: it stops waiting for idle partitions, and looks for new ones.

use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use super::reader::{OrderedReader, later};
use super::topic_reader::{Followed, Look, TopicReader};
use crate::chain;
use crate::log::Bounds;

impl OrderedReader {
    /// Returns when something is to be done although nothing arrives.
    pub(super) fn next_change(&self, now: Instant) -> Instant {
        let looks = (self.core.is_live() && self.look.is_none())
            .then(|| self.looked.map_or(now, |looked| later(looked, self.look_every)));
        let idle = self.core.idle_timeout().and_then(|timeout| {
            let left = self.awaited().map(|index| timeout.saturating_sub(self.followed[index].waited));
            left.min().map(|left| later(now, left))
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

    /// Counts a wait for those partitions that brought nothing in it.
    pub(super) fn note_wait(&mut self, begun: Instant) {
        let Some(timeout) = self.core.idle_timeout() else { return };
        for index in self.awaited().collect::<Vec<_>>() {
            let since = self.followed[index].fed.map_or(begun, |fed| fed.max(begun));
            self.followed[index].waited += since.elapsed();
            if self.followed[index].waited >= timeout {
                self.core.on_idle(index);
            }
        }
        self.steer();
    }

    /// Looks from time to time for partitions that were added to the topics of a live reader, and follows them from their first record on.
    /// Records go on meanwhile. A log that does not answer is asked again later.
    pub(super) fn poll_look(&mut self, cx: &mut Context<'_>) {
        if self.look.is_none() {
            let is_due = self.looked.is_none_or(|looked| looked.elapsed() >= self.look_every);
            if !self.core.is_live() || !is_due {
                return;
            }
            self.look = Some(self.look());
        }
        let Some(Poll::Ready(found)) = self.look.as_mut().map(|look| look.as_mut().poll(cx)) else { return };
        (self.look, self.looked) = (None, Some(Instant::now()));
        for (topic, added, reader) in found {
            self.topics[topic].add(&[(self.followed.len(), &added)], reader);
            self.core.add_partition();
            self.followed.push(added);
        }
    }

    fn look(&self) -> Look {
        let known = |topic: &TopicReader| (topic.log.clone(), topic.topic.clone(), topic.partitions());
        let topics: Vec<_> = self.topics.iter().map(known).enumerate().collect();
        Box::pin(async move {
            let mut found = Vec::new();
            for (index, (log, topic, known)) in topics {
                let added = match log.bounds(&topic).await {
                    Ok(bounds) => {
                        bounds.into_iter().filter(|bounds| !known.contains(&bounds.partition)).collect()
                    }
                    Err(error) => {
                        tracing::debug!(%topic, error = %chain(&error), "partitions are looked for later");
                        Vec::new()
                    }
                };
                for Bounds { partition, earliest, .. } in added {
                    let added = Followed {
                        topic: topic.clone(),
                        partition,
                        start: earliest,
                        end: earliest,
                        reached: earliest,
                        waited: Duration::ZERO,
                        fed: None,
                    };
                    match log.open(&topic, &[added.position()]).await {
                        Ok(reader) => found.push((index, added, reader)),
                        Err(error) => {
                            tracing::debug!(%topic, partition, error = %chain(&error), "partition is opened later");
                        }
                    }
                }
            }
            found
        })
    }
}
