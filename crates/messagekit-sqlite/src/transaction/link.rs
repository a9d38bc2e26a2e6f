//! Connects a transaction's handle to the writer.

use std::sync::{Arc, mpsc};

use messagekit::Error;

use crate::holder::Owner;
use crate::shared::Shared;
use crate::writer::{Call, Ended, Request, Turn, aborted};

/// A place in the writer's queue, and then the writer itself. Dropping it rolls back.
pub(crate) struct Link {
    pub(crate) id: u64,
    shared: Arc<Shared>,
    /// `None` inside `transact`, whose caller waits for no resource that others could hold.
    pub(crate) owner: Option<Owner>,
    calls: Option<mpsc::Sender<Call>>,
    pub(crate) ended: Ended,
}

impl Link {
    /// Queues for the writer.
    pub(crate) fn open(shared: &Arc<Shared>) -> Result<Self, Error> {
        shared.check_open()?;
        shared.check_thread()?;
        let (mut link, turn) = Self::new(shared);
        link.owner = Some(shared.holders.enter(link.id, &link.ended)?);
        shared.request(Request::Turn(turn))?;
        Ok(link)
    }

    /// Creates both ends; the caller handles the owner.
    pub(crate) fn new(shared: &Arc<Shared>) -> (Self, Turn) {
        let (sender, calls) = mpsc::channel();
        let ended = Ended::default();
        let id = shared.next_id();
        let link = Self {
            id,
            shared: Arc::clone(shared),
            owner: None,
            calls: Some(sender),
            ended: Arc::clone(&ended),
        };
        (link, Turn { id, calls, ended, batch: None })
    }

    pub(crate) fn send(&self, call: Call) -> bool {
        let sent = self.calls.as_ref().is_some_and(|calls| calls.send(call).is_ok());
        if sent {
            self.shared.wake_writer();
        }
        sent
    }

    pub(crate) fn reason(&self) -> Error {
        self.ended.get().cloned().unwrap_or_else(|| self.shared.gone())
    }

    pub(crate) fn close(&mut self) {
        if self.calls.take().is_some() {
            if let Some(owner) = self.owner {
                self.shared.holders.leave(owner, self.id);
            }
            self.shared.wake_writer();
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // The writer checks this before it begins the transaction.
        self.ended.get_or_init(aborted);
        self.close();
    }
}
