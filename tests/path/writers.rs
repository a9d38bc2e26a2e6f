//! Eight clients of the order service, each with its own customers, which repeat requests without an answer.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ureq::Agent;

use crate::book::Book;
use crate::orders::{Order, Planned};
use crate::pace::Pace;

/// The time limit of an order, repetitions included: a broken service is back long before.
const PATIENCE: Duration = Duration::from_secs(600);
/// The time after which the answer to a request counts as lost.
const ANSWER: Duration = Duration::from_secs(120);

/// The final answer of the order service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Placed,
    /// The id is in use.
    Taken,
    OverTheLimit,
}

/// Running writers. A drop stops them after the current order.
pub(crate) struct Writers {
    pub(crate) pace: Arc<Pace>,
    threads: Vec<JoinHandle<()>>,
}

impl Writers {
    /// Starts one writer for each share of the orders. They place nothing before [`Writers::pace`] permits it. Until the pace
    /// is open there is always more: a writer at the end of its share begins it again under other ids.
    pub(crate) fn start(address: &str, shares: Vec<Vec<Planned>>, book: &Book) -> Self {
        let pace = Arc::<Pace>::default();
        let start = |share: Vec<Planned>| {
            let client = Client::new(address, book);
            let pace = Arc::clone(&pace);
            std::thread::spawn(move || {
                for (round, planned) in again_and_again(&share) {
                    if !pace.take(round > 0) {
                        return;
                    }
                    client.carry_out(&planned);
                }
            })
        };
        let threads = shares.into_iter().map(start).collect();
        Self { pace, threads }
    }

    /// Permits all remaining orders, and waits until each has its answer.
    pub(crate) fn finish(mut self) {
        self.pace.open();
        for thread in self.threads.drain(..) {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

/// Returns every order of a share, and then each of them under another id, without an end.
fn again_and_again(share: &[Planned]) -> impl Iterator<Item = (usize, Planned)> {
    let rounds = if share.is_empty() { 0 } else { usize::MAX };
    (0..rounds).flat_map(|round| share.iter().map(move |planned| (round, planned.in_round(round))))
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.pace.end();
    }
}

struct Client {
    agent: Agent,
    url: String,
    book: Book,
}

impl Client {
    fn new(address: &str, book: &Book) -> Self {
        let config = Agent::config_builder().timeout_global(Some(ANSWER)).http_status_as_error(false).build();
        Self { agent: config.new_agent(), url: format!("{address}/orders"), book: book.clone() }
    }

    fn carry_out(&self, planned: &Planned) {
        let order = &planned.order;
        if planned.after_a_refused_one {
            let refused = order.over_the_limit();
            assert_eq!(self.place(&refused).0, Answer::OverTheLimit, "{}", refused.id);
            self.book.rolled_back(&refused);
        }
        match self.place(order) {
            // After a lost answer, "taken" means that the order had been placed.
            (Answer::Placed, _) | (Answer::Taken, true) => self.book.placed(order),
            (answer, _) => panic!("{} is answered {answer:?}", order.id),
        }
        if planned.twice {
            assert_eq!(self.place(order).0, Answer::Taken, "{}", order.id);
            self.book.repeated();
        }
    }

    /// Repeats an order under its id until it has an answer. Also returns whether an earlier answer was lost.
    fn place(&self, order: &Order) -> (Answer, bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut is_unknown = false;
        loop {
            if let Some(answer) = self.post(order) {
                if is_unknown && answer == Answer::Taken {
                    self.book.was_there();
                }
                return (answer, is_unknown);
            }
            self.book.unknown(order);
            is_unknown = true;
            assert!(Instant::now() < deadline, "{} has no answer within {PATIENCE:?}", order.id);
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Sends it once, and returns `None` when the outcome is unknown.
    fn post(&self, order: &Order) -> Option<Answer> {
        let mut response = self.agent.post(&self.url).send_json(order).ok()?;
        let status = response.status().as_u16();
        // Read to the end, to keep the connection usable.
        let text = response.body_mut().read_to_string().ok()?;
        match status {
            201 => Some(Answer::Placed),
            409 => Some(Answer::Taken),
            422 => Some(Answer::OverTheLimit),
            503 => None,
            _ => panic!("the order service answered {status} to {}: {text}", order.id),
        }
    }
}
