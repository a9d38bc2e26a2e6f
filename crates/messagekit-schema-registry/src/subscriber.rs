//! Holds messages until their schema is known.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use messagekit::adapter::{Delivery, Incoming, LagProbe, Lane, Receipt, Subscriber};
use messagekit::{Error, ErrorKind};

use crate::SchemaId;
use crate::frame;
use crate::lookup::Lookup;

/// The waits between attempts to look a schema up: the first, and the longest.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The most searches up to which later messages of held lanes have theirs, and the most messages of a lane that do. The oldest message
/// of each lane always has one.
const AT_ONCE: usize = 16;

/// A subscriber behind a schema registry.
///
/// A message whose schema was not looked up yet is held, with the later ones of its lane, while other lanes go on. The source pauses
/// a lane that is held, so that few messages pile up here.
pub struct SchemaSubscriber<Sub> {
    lookup: Arc<Lookup>,
    inner: Sub,
    held: BTreeMap<Lane, VecDeque<Delivery>>,
    /// The lanes that the caller has paused.
    paused: BTreeSet<Lane>,
    /// The lanes that move to another process.
    leaving: BTreeSet<Lane>,
    searches: Vec<Search>,
    /// The inner subscriber yields nothing more.
    has_ended: bool,
    /// What waits for the next event, if it does: a lane that is resumed may have one.
    waker: Option<Waker>,
}

/// A schema that is being looked up.
struct Search {
    id: SchemaId,
    wait: Duration,
    attempt: Attempt,
}

type Attempt = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

impl Search {
    /// Looks the schema up, after a wait.
    fn after(wait: Duration, lookup: &Arc<Lookup>, id: SchemaId) -> Self {
        let lookup = Arc::clone(lookup);
        let attempt = async move {
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            lookup.look_up(id).await
        };
        Self { id, wait, attempt: Box::pin(attempt) }
    }
}

impl<Sub: Subscriber> SchemaSubscriber<Sub> {
    pub(crate) fn new(lookup: Arc<Lookup>, inner: Sub) -> Self {
        let (held, searches) = (BTreeMap::new(), Vec::new());
        Self {
            lookup,
            inner,
            held,
            paused: BTreeSet::new(),
            leaving: BTreeSet::new(),
            searches,
            has_ended: false,
            waker: None,
        }
    }

    /// Goes on with the searches. Returns the error of an attempt that failed; the next one is under way. Whatever is wrong with the
    /// registry, messages wait for it.
    fn search(&mut self, cx: &mut Context<'_>) -> Option<Error> {
        let mut number = 0;
        while let Some(search) = self.searches.get_mut(number) {
            match search.attempt.as_mut().poll(cx) {
                Poll::Pending => number += 1,
                Poll::Ready(Ok(())) => {
                    self.searches.swap_remove(number);
                }
                Poll::Ready(Err(error)) => {
                    let wait = (search.wait * 2).clamp(FIRST_WAIT, LONGEST_WAIT);
                    let id = search.id;
                    *search = Search::after(wait, &self.lookup, id);
                    let text = "schema of a message cannot be looked up: its lane waits";
                    return Some(
                        Error::new(ErrorKind::Unavailable, text).with("schema", id).caused_by(error),
                    );
                }
            }
        }
        None
    }

    /// Returns the oldest held message of a lane that is not paused, once its schema is known.
    fn ready(&mut self) -> Option<Delivery> {
        let lanes: Vec<Lane> = self.held.keys().filter(|lane| !self.paused.contains(lane)).copied().collect();
        for lane in lanes {
            let held = self.held.get_mut(&lane)?;
            if !held.front_mut().is_some_and(|delivery| decode(&self.lookup, delivery)) {
                continue;
            }
            let delivery = held.pop_front();
            if held.is_empty() {
                self.held.remove(&lane);
                self.inner.resume(lane);
            }
            return delivery;
        }
        None
    }

    /// Returns a delivery that can be passed on. Holds it otherwise, or gives it back if its lane is about to leave.
    fn passed(&mut self, mut delivery: Delivery) -> Option<Delivery> {
        let lane = delivery.receipt.lane();
        if let Some(held) = self.held.get_mut(&lane) {
            held.push_back(delivery);
        } else if self.paused.contains(&lane) && !self.leaving.contains(&lane) {
            // It is read when it is wanted: JSON is larger.
            self.held.insert(lane, VecDeque::from([delivery]));
        } else if decode(&self.lookup, &mut delivery) {
            return Some(delivery);
        } else if self.leaving.contains(&lane) {
            self.inner.release(&mut vec![delivery.receipt]);
        } else {
            self.inner.pause(lane);
            self.held.insert(lane, VecDeque::from([delivery]));
        }
        None
    }

    /// Starts searches for schemas that held messages need, and ends those that no message needs any more. Returns whether there is a new
    /// one.
    fn search_for_held(&mut self) -> bool {
        let unknown = |delivery: &Delivery| schema_of(delivery).filter(|id| self.lookup.known(*id).is_none());
        let (mut first, mut later) = (BTreeSet::new(), Vec::new());
        for held in self.held.values() {
            // A lane that is only paused waits for no schema.
            let Some(id) = held.front().and_then(unknown) else { continue };
            first.insert(id);
            later.extend(held.iter().take(AT_ONCE).skip(1).filter_map(unknown));
        }
        self.searches.retain(|search| first.contains(&search.id) || later.contains(&search.id));
        let before = self.searches.len();
        for id in first {
            self.search_for(id, usize::MAX);
        }
        for id in later {
            self.search_for(id, AT_ONCE);
        }
        self.searches.len() > before
    }

    /// Starts a search unless there is one, or as many as `most`.
    fn search_for(&mut self, id: SchemaId, most: usize) {
        if self.searches.len() < most && self.searches.iter().all(|search| search.id != id) {
            self.searches.push(Search::after(Duration::ZERO, &self.lookup, id));
        }
    }

    /// Follows an assignment or its end.
    fn follow(&mut self, incoming: &Incoming) {
        match incoming {
            Incoming::Assigned { lane, .. } => {
                self.leaving.retain(|left| left.slot != lane.slot);
                self.paused.retain(|paused| paused.slot != lane.slot);
            }
            Incoming::Revoking { lane, .. } | Incoming::Lost { lane } => {
                self.drop_held(*lane);
                self.leaving.insert(*lane);
            }
            Incoming::Message(_) => {}
        }
    }

    /// Gives back what is held of a lane.
    fn drop_held(&mut self, lane: Lane) {
        self.paused.remove(&lane);
        if let Some(held) = self.held.remove(&lane) {
            let mut back = held.into_iter().map(|delivery| delivery.receipt).collect();
            self.inner.release(&mut back);
        }
    }
}

/// Returns the schema that a delivery names, if it is framed.
fn schema_of(delivery: &Delivery) -> Option<SchemaId> {
    frame::split(&delivery.message).map(|(id, _)| id)
}

/// Turns the data of a delivery into JSON; returns false if its schema is not known yet.
fn decode(lookup: &Arc<Lookup>, delivery: &mut Delivery) -> bool {
    let Some((id, data)) = frame::split(&delivery.message) else { return true };
    let Some(reading) = lookup.known(id) else { return false };
    reading.decode(id, data, &mut delivery.message);
    true
}

impl<Sub: Subscriber> Subscriber for SchemaSubscriber<Sub> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Incoming, Error>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        loop {
            if let Some(error) = self.search(cx) {
                return Poll::Ready(Some(Err(error)));
            }
            if let Some(delivery) = self.ready() {
                return Poll::Ready(Some(Ok(Incoming::Message(delivery))));
            }
            if self.search_for_held() {
                continue;
            }
            match self.inner.poll_next(cx) {
                Poll::Ready(Some(Ok(Incoming::Message(delivery)))) => {
                    if let Some(delivery) = self.passed(delivery) {
                        return Poll::Ready(Some(Ok(Incoming::Message(delivery))));
                    }
                }
                Poll::Ready(Some(Ok(incoming))) => {
                    self.follow(&incoming);
                    return Poll::Ready(Some(Ok(incoming)));
                }
                Poll::Pending => {
                    self.waker = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                ended => {
                    self.has_ended = match &ended {
                        Poll::Ready(Some(Err(error))) => !error.is_transient(),
                        _ => true,
                    };
                    return ended;
                }
            }
        }
    }

    fn pause(&mut self, lane: Lane) {
        self.paused.insert(lane);
        if !self.held.contains_key(&lane) {
            self.inner.pause(lane);
        }
    }

    fn resume(&mut self, lane: Lane) {
        self.paused.remove(&lane);
        if !self.held.contains_key(&lane) {
            self.inner.resume(lane);
        } else if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn settle(&mut self, done: &mut Vec<Receipt>) {
        self.inner.settle(done);
    }

    fn release(&mut self, back: &mut Vec<Receipt>) {
        // What is held of a lane would arrive before the released messages, which are older.
        let lanes: BTreeSet<Lane> = back.iter().map(Receipt::lane).collect();
        for lane in lanes {
            if let Some(held) = self.held.remove(&lane) {
                back.extend(held.into_iter().map(|delivery| delivery.receipt));
                if !self.paused.contains(&lane) {
                    self.inner.resume(lane);
                }
            }
        }
        self.inner.release(back);
    }

    fn lag(&self) -> Option<Arc<dyn LagProbe>> {
        self.inner.lag()
    }

    fn held_lanes(&self) -> Vec<Lane> {
        let failed = |held: &VecDeque<Delivery>| {
            let id = held.front().and_then(schema_of);
            self.searches.iter().any(|search| Some(search.id) == id && !search.wait.is_zero())
        };
        self.held.iter().filter(|(_, held)| failed(held)).map(|(lane, _)| *lane).collect()
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.held.clear();
        self.searches.clear();
        self.inner.poll_close(cx)
    }
}

impl<Sub> fmt::Debug for SchemaSubscriber<Sub> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SchemaSubscriber").field("held", &self.held.len()).finish_non_exhaustive()
    }
}
