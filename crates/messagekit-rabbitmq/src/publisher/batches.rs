//! The pending orders: their jobs in turn, and the answers so far. Pure: no client and no clock.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use bytes::Bytes;
use messagekit::adapter::{PublishError, PublishErrorKind, Published};
use messagekit::{Error, ErrorKind, Message};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// The request of one call of `publish`.
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
    /// It left the process before: it may be published.
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
    /// Per key: the current job, and the later ones.
    chains: HashMap<Bytes, VecDeque<Job>>,
    /// Jobs that may be sent now.
    ready: VecDeque<Job>,
    /// An upper bound of the jobs here that no caller waits for.
    given_up: usize,
    /// Whether the topic of a message is the name of a queue. As the routing key of an exchange it may be made of a payload, and
    /// errors are stored and shown.
    names_queues: bool,
}

impl Batches {
    /// Begins without orders, for an exchange; the one without a name leads to queues.
    pub(super) fn to(exchange: &str) -> Self {
        Self { names_queues: exchange.is_empty(), ..Self::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Adds an order.
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

    /// Returns the next job to send; skips jobs that no caller waits for.
    pub(super) fn take(&mut self) -> Option<Job> {
        loop {
            let job = self.ready.pop_front()?;
            if self.is_wanted(&job) {
                return Some(job);
            }
            self.advance(&job);
        }
    }

    /// Returns whether a caller waits for the answer; removes an order that no caller waits for.
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

    /// Records the answer, and makes the next job of the key ready.
    pub(super) fn answer(&mut self, job: &Job, answer: Result<(), (PublishErrorKind, Error)>) {
        if let Some(open) = self.open.get_mut(&job.order) {
            open.set(job.index, answer, self.names_queues);
            if open.left == 0
                && let Some(open) = self.open.remove(&job.order)
            {
                open.reply();
            }
        }
        self.advance(job);
    }

    /// Skips a job that no caller waits for.
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

    /// Returns the earliest deadline of an order.
    pub(super) fn deadline(&self) -> Option<Instant> {
        // All orders have the same time limit, so the oldest is the first to end.
        self.open.values().next().map(|open| open.order.deadline)
    }

    /// Answers overdue orders; `sent` are the jobs that may be published. Returns whether one of them was overdue.
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
                    (PublishErrorKind::Unknown, Error::new(ErrorKind::OutcomeUnknown, text))
                } else {
                    (PublishErrorKind::Unavailable, unsent.clone())
                };
                open.set(index, Err(refusal), self.names_queues);
            }
            self.given_up += open.answers.len();
            open.reply();
        }
        // An outage may last for days. At this frequency the cleanup costs each job a constant amount of time.
        if self.given_up > self.open.len() {
            self.forget_given_up();
        }
        any
    }

    /// Removes the jobs that no caller waits for. A sent job stays: the next one of its key waits for it.
    fn forget_given_up(&mut self) {
        self.given_up = 0;
        let open = &self.open;
        let is_wanted =
            |job: &Job| open.get(&job.order).is_some_and(|open| open.answers[job.index].is_none());
        for chain in self.chains.values_mut() {
            let mut is_first = true;
            chain.retain(|job| std::mem::take(&mut is_first) || is_wanted(job));
        }
        let (wanted, given_up): (VecDeque<Job>, VecDeque<Job>) =
            std::mem::take(&mut self.ready).into_iter().partition(is_wanted);
        self.ready = wanted;
        given_up.iter().for_each(|job| self.advance(job));
    }
}

impl Open {
    /// Records an answer; after a failure, the later messages of its key are not attempted.
    fn set(&mut self, index: usize, answer: Result<(), (PublishErrorKind, Error)>, names_queue: bool) {
        if self.answers[index].is_some() {
            return;
        }
        let message = &self.order.messages[index];
        let failed = answer.as_ref().err().map(|(_, error)| error.clone());
        let named = |error: Error, message: &Message| match names_queue {
            true => error.with("topic", &message.topic),
            false => error,
        };
        self.answers[index] =
            Some(answer.map_err(|(refusal, error)| PublishError { refusal, error: named(error, message) }));
        self.left -= 1;
        let (Some(error), Some(key)) = (failed, &message.key) else { return };
        for (later, message) in self.order.messages.iter().enumerate().skip(index + 1) {
            if message.key.as_ref() == Some(key) && self.answers[later].is_none() {
                let error = named(error.clone(), message);
                self.answers[later] =
                    Some(Err(PublishError { refusal: PublishErrorKind::KeyBlocked, error }));
                self.left -= 1;
            }
        }
    }

    fn reply(self) {
        // A caller that no longer waits has dropped the receiver.
        let _ = self.order.reply.send(self.answers.into_iter().flatten().collect());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    impl Batches {
        /// The number of stored jobs, each in the queue of its key and among the ready ones.
        fn jobs(&self) -> usize {
            self.ready.len() + self.chains.values().map(VecDeque::len).sum::<usize>()
        }

        fn expire_all(&mut self, sent: &[Job]) -> bool {
            let away = Error::new(ErrorKind::Unavailable, "away");
            self.expire(Instant::now() + Duration::from_secs(1), sent, &away)
        }

        fn add_keys(&mut self, keys: &[Option<&str>]) -> oneshot::Receiver<Vec<Published>> {
            let (reply, answers) = oneshot::channel();
            let message = |key: &Option<&str>| match key {
                Some(key) => Message::new("q", "m").with_key((*key).to_owned()),
                None => Message::new("q", "m"),
            };
            let messages = keys.iter().map(message).collect();
            self.add(Order { messages, deadline: Instant::now(), reply });
            answers
        }
    }

    #[test]
    fn an_outage_of_any_length_leaves_nothing_behind() {
        let mut batches = Batches::default();
        for round in 0..1_000 {
            let keys: Vec<String> = (0..5).map(|key| format!("{round}-{key}")).collect();
            let keys: Vec<Option<&str>> = keys.iter().map(|key| Some(key.as_str())).collect();
            let answers =
                [batches.add_keys(&[Some("a"), None, Some("b"), Some("a")]), batches.add_keys(&keys)];
            assert!(!batches.expire_all(&[]));
            for mut answers in answers {
                assert!(answers.try_recv().unwrap().iter().all(Result::is_err));
            }
            assert_eq!((batches.jobs(), batches.chains.len()), (0, 0), "after round {round}");
        }
        let _answers = batches.add_keys(&[Some("a"), None]);
        assert!(batches.take().is_some() && batches.take().is_some(), "it goes on afterwards");
    }

    /// Some jobs are given up while others still wait: the number of stored jobs stays proportional to the waiting
    /// ones.
    #[test]
    fn what_is_given_up_is_never_more_than_what_waits() {
        let mut batches = Batches::default();
        let mut waiting = VecDeque::new();
        for round in 0..2_000 {
            waiting.push_back(batches.add_keys(&[Some("a"), Some(["b", "c"][round % 2]), None]));
            if waiting.len() > 50 {
                let end = batches.open.values().next().unwrap().order.deadline;
                batches.expire(end, &[], &Error::new(ErrorKind::Unavailable, "away"));
                waiting.pop_front();
            }
            // The three messages of a round are stored in at most five entries; as many again may be given up.
            assert!(batches.jobs() <= 2 * 5 * 52, "{} jobs after round {round}", batches.jobs());
        }
    }

    #[test]
    fn only_later_messages_of_a_key_wait_for_its_one_in_flight() {
        let mut batches = Batches::default();
        let _first = batches.add_keys(&[Some("a"), Some("a")]);
        let on_its_way = batches.take().unwrap();
        assert!(batches.expire_all(std::slice::from_ref(&on_its_way)), "it may be there");
        let _second = batches.add_keys(&[Some("a")]);
        assert_eq!(batches.take(), None, "the first may still arrive, and later than this");
        batches.answer(&on_its_way, Ok(()));
        assert!(batches.take().is_some_and(|job| job.order == 1));
    }

    /// A template may make a routing key of a payload, and errors are stored and shown.
    #[test]
    fn an_error_of_an_exchange_names_no_routing_key() {
        for (is_queue, named) in [(true, Some("q")), (false, None)] {
            let mut batches = Batches::to(if is_queue { "" } else { "orders" });
            let mut answers = batches.add_keys(&[Some("a"), Some("a")]);
            let job = batches.take().unwrap();
            let error = Error::new(ErrorKind::NotFound, "no queue is bound");
            batches.answer(&job, Err((PublishErrorKind::Rejected, error)));
            for answer in answers.try_recv().unwrap() {
                assert_eq!(answer.unwrap_err().error.context("topic"), named);
            }
        }
    }
}
