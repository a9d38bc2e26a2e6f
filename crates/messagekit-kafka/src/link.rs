//! The channels between the subscriber and the thread that polls Kafka for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::thread::Thread;

use messagekit::Error;
use messagekit::adapter::{Delivery, Done, Incoming, Lane, Receipt};
use tokio::sync::{mpsc, oneshot};

use crate::in_flight::UnderWay;
use crate::member::Standing;

/// A request of the subscriber. Commands keep the order of the calls: a receipt that is settled before its lane is
/// done is committed with that lane.
pub(crate) enum Command {
    Pause(Lane),
    Resume(Lane),
    Settle(Vec<Receipt>),
    /// Receipts of released messages.
    Release(Vec<Receipt>),
    /// Sent after a release: also takes back the lane's messages in flight after position `taken`, and begins a new
    /// round.
    Rewind {
        lane: Lane,
        taken: u64,
        round: u32,
    },
    Done(Lane),
    /// Asks how far the lanes are settled.
    Standings(oneshot::Sender<Vec<Standing>>),
    Close,
}

/// Sends commands and wakes the thread.
#[derive(Clone)]
pub(crate) struct Commands {
    sender: std::sync::mpsc::Sender<Command>,
    thread: Thread,
}

impl Commands {
    pub(crate) fn new(sender: std::sync::mpsc::Sender<Command>, thread: Thread) -> Self {
        Self { sender, thread }
    }

    /// Sends a command; ignores a thread that has ended.
    pub(crate) fn send(&self, command: Command) {
        let _ = self.sender.send(command);
        self.thread.unpark();
    }

    pub(crate) fn wake(&self) {
        self.thread.unpark();
    }

    /// Creates the [`Done`] of a revoked lane; any thread may drop it.
    pub(crate) fn done(&self, lane: Lane) -> Done {
        let commands = self.clone();
        Done::new(move || commands.send(Command::Done(lane)))
    }
}

/// An event from the thread. The channel is unbounded, so that sending never blocks; the thread itself stops at
/// [`UnderWay`].
pub(crate) enum Event {
    Assigned(Lane, Arc<str>),
    Message { delivery: Delivery, round: u32 },
    Revoking(Lane),
    Lost(Lane),
    Error(Error),
}

pub(crate) struct Events {
    sender: mpsc::UnboundedSender<Event>,
    in_flight: Arc<UnderWay>,
}

impl Events {
    pub(crate) fn new(sender: mpsc::UnboundedSender<Event>, in_flight: Arc<UnderWay>) -> Self {
        Self { sender, in_flight }
    }

    /// Sends an event; ignores a dropped subscriber.
    pub(crate) fn send(&self, event: Event) {
        if let Event::Message { delivery, .. } = &event {
            self.in_flight.add(delivery.message.size());
        }
        let _ = self.sender.send(event);
    }

    pub(crate) fn have_room(&self) -> bool {
        self.in_flight.has_room()
    }
}

/// The events that the thread has sent and the subscriber has not received yet.
pub(crate) struct Inbox {
    receiver: mpsc::UnboundedReceiver<Event>,
    in_flight: Arc<UnderWay>,
    /// The current lane of each slot.
    seen: BTreeMap<u32, Seen>,
}

/// The last position that the subscriber received from a lane.
struct Seen {
    lane: Lane,
    taken: u64,
    /// Grows with each release: messages of an earlier round are delivered again after the released ones.
    round: u32,
}

impl Inbox {
    pub(crate) fn new(receiver: mpsc::UnboundedReceiver<Event>, in_flight: Arc<UnderWay>) -> Self {
        Self { receiver, in_flight, seen: BTreeMap::new() }
    }

    pub(crate) fn poll(
        &mut self,
        commands: &Commands,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Incoming, Error>>> {
        loop {
            let Some(event) = ready!(self.receiver.poll_recv(cx)) else { return Poll::Ready(None) };
            return Poll::Ready(Some(match event {
                Event::Assigned(lane, name) => {
                    self.seen.insert(lane.slot, Seen { lane, taken: 0, round: 0 });
                    Ok(Incoming::Assigned { lane, name })
                }
                Event::Message { delivery, round } => {
                    if self.in_flight.take(delivery.message.size()) {
                        commands.wake();
                    }
                    let lane = delivery.receipt.lane();
                    if let Some(seen) = self.seen.get_mut(&lane.slot).filter(|seen| seen.lane == lane) {
                        if round < seen.round {
                            continue;
                        }
                        seen.taken = delivery.receipt.position();
                    }
                    Ok(Incoming::Message(delivery))
                }
                Event::Revoking(lane) => Ok(Incoming::Revoking { lane, done: commands.done(lane) }),
                Event::Lost(lane) => {
                    self.seen.remove(&lane.slot);
                    Ok(Incoming::Lost { lane })
                }
                Event::Error(error) => Err(error),
            }));
        }
    }

    /// Releases receipts, and with them the later messages of their lanes that are in flight.
    pub(crate) fn release(&mut self, back: Vec<Receipt>, commands: &Commands) {
        let slots: BTreeSet<u32> = back.iter().map(|receipt| receipt.lane().slot).collect();
        commands.send(Command::Release(back));
        for seen in self.seen.values_mut().filter(|seen| slots.contains(&seen.lane.slot)) {
            seen.round += 1;
            commands.send(Command::Rewind { lane: seen.lane, taken: seen.taken, round: seen.round });
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::in_flight::UnderWay;
    use crate::sync::{BYTES, MESSAGES};

    #[test]
    fn who_waits_for_room_is_woken_when_half_is_free() {
        let in_flight = UnderWay::default();
        (0..MESSAGES).for_each(|_| in_flight.add(1));
        assert!(!in_flight.has_room());
        let woken: Vec<usize> = (0..MESSAGES).filter(|_| in_flight.take(1)).collect();
        assert_eq!(woken, [MESSAGES / 2]);
        assert!(in_flight.has_room());
    }

    #[test]
    fn large_messages_take_the_room_of_many() {
        let in_flight = UnderWay::default();
        in_flight.add(BYTES);
        assert!(!in_flight.has_room());
        assert!(in_flight.take(BYTES));
    }
}
