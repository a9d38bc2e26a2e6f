//! A call that waits for its turn to change the windows of its consumer.

use jiff::Timestamp;
use messagekit::Error;
use tokio::sync::oneshot;

use super::claim_grant::{ClaimGrant, NotGranted};
use super::claim_id::ClaimHolder;
use super::windows::{Keys, Stop, Windows};

/// The result of a call: the outer error is one of the transaction, which it may share with others.
pub(super) type Answer<R> = Result<Result<R, Error>, Error>;

/// A call without the type of its result. It decides as often as it is asked, and the last decision counts.
pub(super) trait Call: Send {
    /// Returns the holder of the records that it claims, if it does.
    fn holder(&self) -> Option<&ClaimHolder>;
    /// Returns whether the caller is gone.
    fn is_abandoned(&self) -> bool;
    /// Changes the windows, or returns the keys that are missing: nothing has changed then.
    fn decide(&mut self, windows: &mut Windows, keys: &[Keys]) -> Option<Stop>;
    /// Returns whether it has decided without an error.
    fn has_decided(&self) -> bool;
    /// Returns the claim that it has begun.
    fn grant(&mut self) -> Option<&mut ClaimGrant>;
    /// Answers the caller, who may be gone.
    fn answer(self: Box<Self>, transaction: Result<(), Error>);
}

type Decide<R> = Box<dyn FnMut(&mut Windows, &[Keys]) -> Result<R, Stop> + Send>;

struct CallOf<R> {
    holder: Option<ClaimHolder>,
    decide: Decide<R>,
    decided: Option<Result<R, Error>>,
    answer: oneshot::Sender<Answer<R>>,
}

/// Creates a call, and where its answer comes.
pub(super) fn call<R: Decided>(
    holder: Option<ClaimHolder>,
    decide: impl FnMut(&mut Windows, &[Keys]) -> Result<R, Stop> + Send + 'static,
) -> (Box<dyn Call>, oneshot::Receiver<Answer<R>>) {
    let (answer, answered) = oneshot::channel();
    (Box::new(CallOf { holder, decide: Box::new(decide), decided: None, answer }), answered)
}

impl<R: Decided> Call for CallOf<R> {
    fn holder(&self) -> Option<&ClaimHolder> {
        self.holder.as_ref()
    }

    fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }

    fn decide(&mut self, windows: &mut Windows, keys: &[Keys]) -> Option<Stop> {
        self.decided = match (self.decide)(windows, keys) {
            Ok(decided) => Some(Ok(decided)),
            Err(Stop::Error(error)) => Some(Err(error)),
            Err(stop) => return Some(stop),
        };
        None
    }

    fn has_decided(&self) -> bool {
        matches!(self.decided, Some(Ok(_)))
    }

    fn grant(&mut self) -> Option<&mut ClaimGrant> {
        match &mut self.decided {
            Some(Ok(decided)) => decided.grant(),
            _ => None,
        }
    }

    fn answer(self: Box<Self>, transaction: Result<(), Error>) {
        let Self { decided, answer, .. } = *self;
        let decided = transaction.map(|()| decided.expect("a transaction that has ended has decided"));
        answer.send(decided).ok();
    }
}

/// What a call returns.
pub(super) trait Decided: Send + 'static {
    /// Returns the claim that it has begun.
    fn grant(&mut self) -> Option<&mut ClaimGrant> {
        None
    }
}

impl Decided for () {}
impl Decided for bool {}
impl Decided for i64 {}
impl Decided for Timestamp {}
impl<T: Send + 'static> Decided for (T, Timestamp) {}

impl Decided for Result<ClaimGrant, NotGranted> {
    fn grant(&mut self) -> Option<&mut ClaimGrant> {
        self.as_mut().ok()
    }
}
