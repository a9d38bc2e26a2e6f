//! Serves one transaction of a caller: statements from a channel, or a future that is polled here.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::task::{Context, Poll, Waker};
use std::thread;

use messagekit::adapter::TransactError;
use messagekit::{Error, ErrorKind};

use super::Writer;
use super::batch::Batch;
use super::guard::transaction_timeout;
use super::session::Session;
use super::turn::{Call, Turn};
use super::unpark::Unpark;

impl Writer {
    /// Serves a transaction until it ends, its handle is dropped, or the time limit has passed.
    pub(crate) fn serve(&mut self, turn: Turn) {
        let Turn { id, calls, ended, batch } = turn;
        if ended.get().is_some() || batch.as_ref().is_some_and(|batch| batch.is_abandoned()) {
            return;
        }
        let session = match Session::begin(&self.guarded, id, Arc::clone(&ended), self.transaction_timeout) {
            Ok(session) => session,
            Err(error) => {
                ended.set(error.clone()).ok();
                if let Some(mut batch) = batch {
                    batch.cancel();
                    batch.answer(Err(TransactError::Begin(error)));
                }
                return;
            }
        };
        match batch {
            Some(batch) => self.serve_batch(&session, &calls, batch),
            None => self.serve_calls(&session, &calls),
        }
    }

    fn serve_calls(&mut self, session: &Session, calls: &Receiver<Call>) {
        while !session.is_over() {
            match calls.try_recv() {
                Ok(call) => self.answer(session, call),
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) if session.left().is_zero() => {
                    session.end(transaction_timeout(self.transaction_timeout));
                }
                Err(TryRecvError::Empty) => thread::park_timeout(session.left()),
            }
        }
    }

    fn serve_batch(&mut self, session: &Session, calls: &Receiver<Call>, mut batch: Box<dyn Batch>) {
        let unpark = Unpark::of_this_thread();
        let waker = Waker::from(Arc::clone(&unpark));
        let mut cx = Context::from_waker(&waker);
        loop {
            if batch.is_abandoned() {
                return;
            }
            if unpark.take() {
                match catch_unwind(AssertUnwindSafe(|| batch.poll(&mut cx))) {
                    Ok(Poll::Pending) => {}
                    Ok(Poll::Ready(commit)) => return self.end_batch(session, batch, commit),
                    Err(panic) => {
                        session
                            .end(Error::new(ErrorKind::Aborted, "transaction has ended: its work panicked"));
                        return batch.panicked(panic);
                    }
                }
            }
            // The work may have moved its transaction to another task.
            while let Ok(call) = calls.try_recv() {
                self.answer(session, call);
            }
            if session.left().is_zero() {
                // Release the lock first: dropping a handler's future may take time.
                let error = session.end(transaction_timeout(self.transaction_timeout));
                return match catch_unwind(AssertUnwindSafe(|| batch.cancel())) {
                    Ok(()) => batch.answer(Err(TransactError::Commit(error))),
                    Err(panic) => batch.panicked(panic),
                };
            }
            unpark.wait(session.left());
        }
    }

    fn end_batch(&mut self, session: &Session, mut batch: Box<dyn Batch>, commit: bool) {
        if !commit {
            session.end(Error::new(ErrorKind::Aborted, "transaction was rolled back"));
            return batch.answer(Ok(()));
        }
        // Checked again as late as possible: a caller that drops the call before the commit wants no effects.
        if batch.is_abandoned() {
            return;
        }
        let outcome = if batch.gave_back(session.id()) {
            session.commit()
        } else {
            Err(Error::new(ErrorKind::WrongState, "the work gave back another transaction than it was given"))
        };
        let on_commit = batch.take_on_commit();
        batch.answer(match outcome {
            Ok(()) => {
                self.committed(on_commit);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::OutcomeUnknown => Err(TransactError::Unknown(error)),
            Err(error) => Err(TransactError::Commit(error)),
        });
    }

    fn answer(&mut self, session: &Session, call: Call) {
        match call {
            Call::Run(run) => run(session),
            Call::Commit { on_commit, answer } => {
                let outcome = session.commit();
                if outcome.is_ok() {
                    self.committed(on_commit);
                }
                answer.send(outcome).ok();
            }
            Call::Rollback { answer } => {
                session.end(Error::new(ErrorKind::Aborted, "transaction was rolled back"));
                answer.send(()).ok();
            }
        }
    }
}
