//! Stops a run at a point of its transaction.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use messagekit::handler::Inner;
use messagekit::{HandlerError, Middleware};
use messagekit_memory::{MemoryStore, MemoryTx};
use tokio::sync::Notify;

/// A point around the handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Around {
    Before,
    After,
}

/// Holds the next run that reaches a point, until it is let go or dropped.
#[derive(Debug, Default)]
pub(super) struct Interrupt {
    at: Mutex<Option<Around>>,
    reached: Notify,
    let_go: Notify,
}

impl Interrupt {
    /// Holds the next run at this point.
    pub(super) fn hold_at(&self, point: Around) {
        *self.at.lock().unwrap_or_else(PoisonError::into_inner) = Some(point);
    }

    /// Holds no later run.
    pub(super) fn let_pass(&self) {
        *self.at.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Waits until a run is held.
    pub(super) async fn reached(&self) {
        self.reached.notified().await;
    }

    /// Lets the held run go on.
    pub(super) fn let_go(&self) {
        self.let_go.notify_one();
    }

    async fn pass(&self, point: Around) {
        let is_held = self.at.lock().unwrap_or_else(PoisonError::into_inner).take_if(|at| *at == point);
        if is_held.is_some() {
            self.reached.notify_one();
            self.let_go.notified().await;
        }
    }
}

/// The interrupt as a middleware.
pub(super) struct Interrupting(pub(super) std::sync::Arc<Interrupt>);

#[async_trait]
impl Middleware<MemoryStore> for Interrupting {
    async fn handle(&self, tx: &mut MemoryTx, inner: Inner<'_, MemoryStore>) -> Result<(), HandlerError> {
        self.0.pass(Around::Before).await;
        inner.run(tx).await?;
        self.0.pass(Around::After).await;
        Ok(())
    }
}
