//! The orders at hand: whose turn it is, and the answers so far. Pure: no client and no clock.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use bytes::Bytes;
use messagekit::{Error, ErrorKind, Message, PublishError, Published, Refusal};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// What one call of `publish` asks for.
pub(super) struct Order {
    pub(super) messages: Vec<Message>,
    pub(super) deadline: Instant,
    pub(super) reply: oneshot::Sender<Vec<Published>>,
}

/// One message of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Job {
    order: u64,
    index: usize,
    key: Option<Bytes>,
    /// It left the process once: it may be there.
    pub(super) sent: bool,
}

struct Open {
    order: Order,
    answers: Vec<Option<Published>>,
    left: usize,
}

#[derive(Default)]
pub(super) struct Batches {
    open: BTreeMap<u64, Open>,
    next: u64,
    /// Per key: the job whose turn it is, and those behind it.
    chains: HashMap<Bytes, VecDeque<Job>>,
    /// Jobs whose turn it is.
    ready: VecDeque<Job>,
}

impl Batches {
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Takes an order in.
    pub(super) fn add(&mut self, order: Order) {
        let number = self.next;
        self.next += 1;
        for (index, message) in order.messages.iter().enumerate() {
            let job = Job { order: number, index, key: message.key.clone(), sent: false };
            match &job.key {
                None => self.ready.push_back(job),
                Some(key) => {
                    let chain = self.chains.entry(key.clone()).or_default();
                    if chain.is_empty() {
                        self.ready.push_back(job.clone());
                    }
                    chain.push_back(job);
                }
            }
        }
        let count = order.messages.len();
        self.open.insert(number, Open { answers: (0..count).map(|_| None).collect(), left: count, order });
    }

    /// Returns the next job whose turn it is. Nobody waits for what was given up.
    pub(super) fn take(&mut self) -> Option<Job> {
        loop {
            let job = self.ready.pop_front()?;
            if self.is_wanted(&job) {
                return Some(job);
            }
            self.advance(&job);
        }
    }

    /// Says whether somebody waits for the answer; an order that nobody waits for is forgotten.
    pub(super) fn is_wanted(&mut self, job: &Job) -> bool {
        let Some(open) = self.open.get(&job.order) else { return false };
        if open.order.reply.is_closed() {
            self.open.remove(&job.order);
            return false;
        }
        open.answers[job.index].is_none()
    }

    /// Returns the message of a wanted job.
    pub(super) fn message(&self, job: &Job) -> Option<&Message> {
        self.open.get(&job.order).map(|open| &open.order.messages[job.index])
    }

    /// Notes the answer, and lets the next job of the key have its turn.
    pub(super) fn answer(&mut self, job: &Job, answer: Result<(), (Refusal, Error)>) {
        if let Some(open) = self.open.get_mut(&job.order) {
            open.set(job.index, answer);
            if open.left == 0
                && let Some(open) = self.open.remove(&job.order)
            {
                open.reply();
            }
        }
        self.advance(job);
    }

    /// Passes over a job for which nobody waits.
    pub(super) fn give_up(&mut self, job: &Job) {
        self.advance(job);
    }

    fn advance(&mut self, job: &Job) {
        let Some(key) = &job.key else { return };
        let Some(chain) = self.chains.get_mut(key) else { return };
        chain.pop_front();
        while let Some(next) = chain.front() {
            let open = self.open.get(&next.order);
            if open.is_some_and(|open| open.answers[next.index].is_none()) {
                self.ready.push_back(next.clone());
                return;
            }
            chain.pop_front();
        }
        self.chains.remove(key);
    }

    /// Returns when the first order must be answered.
    pub(super) fn deadline(&self) -> Option<Instant> {
        // All have the same time, so the first that came is the first to end.
        self.open.values().next().map(|open| open.order.deadline)
    }

    /// Answers what is overdue: `sent` are the jobs that may be there. Returns whether one of them was among it.
    pub(super) fn expire(&mut self, now: Instant, sent: &[Job], unsent: &Error) -> bool {
        let sent: HashSet<(u64, usize)> = sent.iter().map(|job| (job.order, job.index)).collect();
        let mut any = false;
        while let Some(entry) = self.open.first_entry()
            && entry.get().order.deadline <= now
        {
            let (number, mut open) = entry.remove_entry();
            for index in 0..open.answers.len() {
                if open.answers[index].is_some() {
                    continue;
                }
                let refusal = if sent.contains(&(number, index)) {
                    any = true;
                    let text = "rabbitmq did not confirm in time: the message may be published or not";
                    (Refusal::Unknown, Error::new(ErrorKind::OutcomeUnknown, text))
                } else {
                    (Refusal::Unavailable, unsent.clone())
                };
                open.set(index, Err(refusal));
            }
            open.reply();
        }
        any
    }
}

impl Open {
    /// Notes an answer; what stands behind a failure in its key is not attempted.
    fn set(&mut self, index: usize, answer: Result<(), (Refusal, Error)>) {
        if self.answers[index].is_some() {
            return;
        }
        let message = &self.order.messages[index];
        let failed = answer.as_ref().err().map(|(_, error)| error.clone());
        let named = |error: Error| error.with("topic", &message.topic);
        self.answers[index] =
            Some(answer.map_err(|(refusal, error)| PublishError { refusal, error: named(error) }));
        self.left -= 1;
        let (Some(error), Some(key)) = (failed, &message.key) else { return };
        for (later, message) in self.order.messages.iter().enumerate().skip(index + 1) {
            if message.key.as_ref() == Some(key) && self.answers[later].is_none() {
                let error = error.clone().with("topic", &message.topic);
                self.answers[later] = Some(Err(PublishError { refusal: Refusal::Behind, error }));
                self.left -= 1;
            }
        }
    }

    fn reply(self) {
        // Whoever does not wait any more has no use for it.
        let _ = self.order.reply.send(self.answers.into_iter().flatten().collect());
    }
}
