//! The turns of calls that wait.

use std::sync::Arc;

use messagekit::{Error, ErrorKind};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tracing::Instrument as _;
use tracing::instrument::WithSubscriber as _;

use super::call::{Answer, Decided, call};
use super::claim_id::ClaimHolder;
use super::claim_store::RecordClaims;
use super::steps::Steps;
use super::turns::{Waiting, lock};
use super::windows::{Keys, Stop, Windows};

impl<S: RecordClaims> Steps<S> {
    /// Changes the windows of the consumer, as `decide` does, in a transaction with the calls that wait at the same time.
    ///
    /// A call that is dropped before its turn does nothing; later it is as if its answer were lost.
    pub(super) async fn share<R: Decided>(
        &self,
        holder: Option<ClaimHolder>,
        decide: impl FnMut(&mut Windows, &[Keys]) -> Result<R, Stop> + Send + 'static,
    ) -> Result<Answer<R>, Error> {
        let (call, answered) = call(holder, decide);
        let turns = self.store.claim_turns()?;
        let (Some(turns), Ok(runtime)) = (turns, Handle::try_current()) else {
            self.serve(vec![call]).await;
            return answer(answered.await);
        };
        let waiting = turns.of(&self.consumer, &self.topic, runtime);
        let is_served = {
            let mut state = lock(&waiting.state);
            state.calls.push(call);
            std::mem::replace(&mut state.is_served, true)
        };
        if !is_served {
            drop(Turn { steps: self.clone(), waiting });
        }
        answer(answered.await)
    }
}

/// A turn, after which the next one begins: also when its task has panicked, or has ended with its runtime.
struct Turn<S: RecordClaims> {
    steps: Steps<S>,
    waiting: Arc<Waiting>,
}

impl<S: RecordClaims> Drop for Turn<S> {
    fn drop(&mut self) {
        let mut state = lock(&self.waiting.state);
        state.calls.retain(|call| !call.is_abandoned());
        if state.calls.is_empty() {
            state.is_served = false;
            return;
        }
        let calls = std::mem::take(&mut state.calls);
        drop(state);
        let turn = Self { steps: self.steps.clone(), waiting: Arc::clone(&self.waiting) };
        let serving = async move { turn.steps.serve(calls).await };
        self.waiting.runtime.spawn(serving.in_current_span().with_current_subscriber());
    }
}

fn answer<R>(answered: Result<Answer<R>, oneshot::error::RecvError>) -> Result<Answer<R>, Error> {
    answered.map_err(|gone| {
        let text = "transaction of the claim did not come back: its runtime has ended";
        Error::new(ErrorKind::OutcomeUnknown, text).caused_by(gone)
    })
}
