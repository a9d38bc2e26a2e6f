//! Eight clients of the order service, each with its own customers, who repeat what they have no answer for.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ureq::Agent;

use crate::book::Book;
use crate::orders::{Order, Planned};
use crate::pace::Pace;

/// How long an order may take, repetitions included: a broken service is back long before.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long one request may take until its answer counts as lost.
const ANSWER: Duration = Duration::from_secs(120);

/// How the order service answered in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Placed,
    /// The id is taken.
    Taken,
    OverTheLimit,
}

/// Writers at work. When dropped they end after the order in hand.
pub(crate) struct Writers {
    pub(crate) pace: Arc<Pace>,
    threads: Vec<JoinHandle<()>>,
}

impl Writers {
    /// Starts one for each share of the orders; they place nothing before [`Writers::pace`] allows it. As long as the pace
    /// is not open there is always more: who has placed his share begins it anew under other ids.
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

    /// Lets them place everything that is left, and waits until each order has its answer.
    pub(crate) fn finish(mut self) {
        self.pace.open();
        for thread in self.threads.drain(..) {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

/// Every order of a share, and then each of them under another id, without an end.
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
            // After an answer that was lost, "taken" says that the order had been placed.
            (Answer::Placed, _) | (Answer::Taken, true) => self.book.placed(order),
            (answer, _) => panic!("{} is answered {answer:?}", order.id),
        }
        if planned.twice {
            assert_eq!(self.place(order).0, Answer::Taken, "{}", order.id);
            self.book.repeated();
        }
    }

    /// Repeats an order under its id until it has an answer; says too whether an answer before that one was lost.
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

    /// Sends it once; `None` when nobody knows what became of it.
    fn post(&self, order: &Order) -> Option<Answer> {
        let mut response = self.agent.post(&self.url).send_json(order).ok()?;
        let status = response.status().as_u16();
        // Read to the end, so that the connection can be used again.
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
