//! State that the subscriber and its reader thread share.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::Thread;

use messagekit::adapter::Lane;
use messagekit::{Error, Message, Position};

use crate::SqliteStore;
use crate::binding::{Binding, Move};
use crate::name_lock::NameLock;

/// How far the thread reads ahead of the handlers.
const MAX_MESSAGES: usize = 512;
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// The subscriber's next result.
#[derive(Debug)]
pub(super) enum Happening {
    Assigned(Lane),
    Lost(Lane),
    Arrived(Lane, Arrival),
}

/// A record on its way to a handler.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) position: Position,
    pub(super) message: Message,
}

/// The subscriber's requests to its thread.
#[derive(Debug, Default)]
pub(super) struct Orders {
    pub(super) close: bool,
    /// The lane was released: begin again at the cursor.
    pub(super) rewind: bool,
    pub(super) moves: Vec<Move>,
}

/// The remaining read-ahead capacity.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) store: SqliteStore,
    pub(super) consumer: Arc<str>,
    binding: Arc<Binding>,
    thread: OnceLock<Thread>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Comes before any message: a lane is assigned first, and a lost lane has no messages any more.
    first: VecDeque<Result<Happening, Error>>,
    arrived: VecDeque<Arrival>,
    bytes: usize,
    lane: Option<Lane>,
    paused: bool,
    orders: Orders,
    /// The thread waits for capacity.
    full: bool,
    /// The thread has ended; the result of closing.
    ended: Option<Result<(), Error>>,
    name: Option<NameLock>,
    waker: Option<Waker>,
}

impl Link {
    pub(super) fn new(store: SqliteStore, consumer: Arc<str>) -> Self {
        Self { store, consumer, binding: Arc::default(), thread: OnceLock::new(), state: Mutex::default() }
    }

    pub(super) fn binding(&self) -> &Arc<Binding> {
        &self.binding
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unpark(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

/// The subscriber's side.
impl Link {
    pub(super) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Happening, Error>>> {
        let mut state = self.lock();
        if let Some(first) = state.first.pop_front() {
            return Poll::Ready(Some(first));
        }
        if state.ended.is_some() {
            return Poll::Ready(None);
        }
        if let Some(lane) = state.lane.filter(|_| !state.paused)
            && let Some(arrival) = state.arrived.pop_front()
        {
            state.bytes -= arrival.message.size();
            // Half a window at a time: waking the thread for each message would cost more than reading it.
            let wanted =
                state.full && state.arrived.len() <= MAX_MESSAGES / 2 && state.bytes <= MAX_BYTES / 2;
            if wanted {
                state.full = false;
                self.unpark();
            }
            return Poll::Ready(Some(Ok(Happening::Arrived(lane, arrival))));
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(super) fn pause(&self, lane: Lane, paused: bool) {
        let mut state = self.lock();
        if state.lane == Some(lane) {
            state.paused = paused;
            let waker = state.waker.take();
            drop(state);
            waker.into_iter().for_each(Waker::wake);
        }
    }

    pub(super) fn order_moves(&self, lane: Lane, moves: Vec<Move>) {
        let mut state = self.lock();
        if state.lane == Some(lane) {
            state.orders.moves.extend(moves);
            drop(state);
            self.unpark();
        }
    }

    pub(super) fn rewind(&self, lane: Lane) {
        let mut state = self.lock();
        if state.lane == Some(lane) {
            state.lose();
            state.orders.rewind = true;
            let waker = state.waker.take();
            drop(state);
            waker.into_iter().for_each(Waker::wake);
            self.unpark();
        }
    }

    pub(super) fn poll_close(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let mut state = self.lock();
        if let Some(ended) = &state.ended {
            return Poll::Ready(ended.clone());
        }
        state.close();
        state.waker = Some(cx.waker().clone());
        drop(state);
        self.unpark();
        Poll::Pending
    }

    /// Releases the name without waiting for the thread, which then has no work left.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        state.close();
        state.orders.moves.clear();
        self.give_up_name(&mut state);
        drop(state);
        self.unpark();
    }
}

/// The thread's side.
impl Link {
    pub(super) fn is_thread(&self, thread: Thread) {
        self.thread.set(thread).ok();
    }

    /// Makes this the active subscriber of the consumer; returns false when it is closing.
    pub(super) fn own(&self, name: NameLock) -> bool {
        let mut state = self.lock();
        if state.orders.close {
            return false;
        }
        state.name = Some(name);
        self.store.bindings().insert(&self.consumer, &self.binding);
        true
    }

    pub(super) fn has_lane(&self) -> bool {
        self.lock().lane.is_some()
    }

    pub(super) fn is_closing(&self) -> bool {
        self.lock().orders.close
    }

    pub(super) fn has_orders(&self) -> bool {
        let orders = &self.lock().orders;
        orders.close || orders.rewind || !orders.moves.is_empty()
    }

    pub(super) fn take_orders(&self) -> Orders {
        let mut state = self.lock();
        let close = state.orders.close;
        std::mem::replace(&mut state.orders, Orders { close, ..Orders::default() })
    }

    pub(super) fn assigned(&self, lane: Lane) {
        let mut state = self.lock();
        if !state.orders.close {
            state.lane = Some(lane);
            state.paused = false;
            state.tell(Ok(Happening::Assigned(lane)));
        }
    }

    /// Revokes the lane, if there is one.
    pub(super) fn lose(&self) {
        self.lock().lose();
    }

    pub(super) fn report(&self, error: Error) {
        self.lock().tell(Err(error));
    }

    /// Returns the remaining capacity. After `None`, the thread is unparked when half of the capacity is free.
    pub(super) fn room(&self) -> Option<Room> {
        let mut state = self.lock();
        let messages = MAX_MESSAGES.saturating_sub(state.arrived.len());
        let bytes = MAX_BYTES.saturating_sub(state.bytes);
        state.full = messages == 0 || bytes == 0;
        (!state.full).then_some(Room { messages, bytes })
    }

    pub(super) fn is_full(&self) -> bool {
        self.lock().full
    }

    /// Returns how many messages and bytes were read ahead.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> (usize, usize) {
        let state = self.lock();
        (state.arrived.len(), state.bytes)
    }

    /// Delivers records that were read for a lane; drops them when the lane is gone meanwhile.
    pub(super) fn push(&self, lane: Lane, arrivals: impl IntoIterator<Item = Arrival>) {
        let mut state = self.lock();
        if state.lane != Some(lane) {
            return;
        }
        for arrival in arrivals {
            state.bytes += arrival.message.size();
            state.arrived.push_back(arrival);
        }
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Ends the thread: the subscriber yields `failed` before the end, and closing returns `closed`. Only the first call
    /// counts.
    pub(super) fn end(&self, failed: Option<Error>, closed: Result<(), Error>) {
        let mut state = self.lock();
        if state.ended.is_some() {
            return;
        }
        state.close();
        self.give_up_name(&mut state);
        state.ended = Some(closed);
        state.first.extend(failed.map(Err));
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    fn give_up_name(&self, state: &mut State) {
        // The binding first: the next owner of the name in this process sets its own.
        self.store.bindings().remove(&self.consumer, &self.binding);
        state.name = None;
    }
}

impl State {
    fn tell(&mut self, first: Result<Happening, Error>) {
        self.first.push_back(first);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn clear(&mut self) {
        self.arrived.clear();
        self.bytes = 0;
        self.full = false;
    }

    fn lose(&mut self) {
        if let Some(lane) = self.lane.take() {
            self.clear();
            self.tell(Ok(Happening::Lost(lane)));
        }
    }

    fn close(&mut self) {
        self.orders.close = true;
        self.lane = None;
        self.first.clear();
        self.clear();
    }
}
