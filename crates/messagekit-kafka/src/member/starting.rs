//! Starting partitions whose start has become known.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;

use super::known::{Committed, Known, Question};
use super::lost::log_lost_commits;
use super::{End, Member};
use crate::background::{Answer, ask_each};

/// How long partitions without a known start wait until they are queried again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

impl Member {
    /// Assigns the partitions whose start is known by now. The others, such as those without a leader, delay nothing.
    pub(super) fn start_unplaced(&mut self) -> Result<bool, End> {
        // Revoked partitions must not be assigned: the group's request is answered first.
        if self.unplaced.is_empty() || self.step.is_some() || self.consumer.assignment_lost() {
            return Ok(false);
        }
        let now = Instant::now();
        let due = self.unplaced.due(now);
        if !due.is_empty() {
            let asked = self.ask_known(due);
            self.unplaced.ask(asked);
        }
        let (mut starts, mut taken) = (Vec::new(), Committed::new());
        let heard = self.unplaced.heard();
        if !heard.is_empty() {
            // The brokers have named the ids of the topics before they answered.
            self.poll_main_queue()?;
        }
        for known in heard {
            match known {
                Known::Start(start) => {
                    let Some(partition) = self.unplaced.take(&start.partition) else { continue };
                    if self.is_of_deleted_topic(&start, false) {
                        self.start_again(partition.0)?;
                        continue;
                    }
                    log_lost_commits(&self.name, &start);
                    taken.push(partition);
                    starts.push(start);
                }
                Known::Lost(start, error) => {
                    let Some((partition, _)) = self.unplaced.take(&start.partition) else { continue };
                    if !self.is_of_deleted_topic(&start, true) {
                        return Err(End::Permanent(error));
                    }
                    self.start_again(partition)?;
                }
                Known::Later(partitions, error) => {
                    let later: Committed =
                        partitions.iter().filter_map(|partition| self.unplaced.take(partition)).collect();
                    self.unplaced.add(later, now + ASK_AGAIN);
                    self.tell_again(error);
                }
            }
        }
        if starts.is_empty() {
            return Ok(false);
        }
        if let Err(error) = self.take(starts) {
            self.unplaced.add(taken, now + ASK_AGAIN);
            self.failed(error)?;
        }
        Ok(true)
    }

    fn ask_known(&self, committed: Committed) -> Answer<Known> {
        let question = Question {
            client: self.client.clone(),
            consumer: Arc::downgrade(&self.consumer),
            name: self.name.clone(),
            memory: self.memory.clone(),
            from_start: self.recreated.from_start.clone(),
        };
        ask_each("known", move |known| question.ask(committed, known))
    }
}
