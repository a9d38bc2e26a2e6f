//! Work that may take long, on a thread of its own.

use std::sync::mpsc;
use std::task::Poll;
use std::thread::{self, Thread};
use std::time::Duration;

/// Runs `work` on a new thread. Where no thread can be made, `work` is dropped.
pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) {
    let name = format!("messagekit-kafka-{name}");
    if let Err(error) = thread::Builder::new().name(name.clone()).spawn(work) {
        tracing::error!(%error, name, "no thread beside the member");
    }
}

/// Runs `work` on a new thread, which wakes this one when the answer is there.
pub(super) fn ask<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> Answer<T> {
    ask_each(name, |answers| answers.send(work()))
}

/// Runs `work` on a new thread, which wakes this one for each of its answers.
pub(super) fn ask_each<T: Send + 'static>(
    name: &str,
    work: impl FnOnce(&Answers<T>) + Send + 'static,
) -> Answer<T> {
    let (answer, answered) = mpsc::channel();
    let answers = Answers { answer, waiting: thread::current() };
    spawn(name, move || work(&answers));
    Answer(answered)
}

/// Where a thread in the background sends what it works out.
pub(super) struct Answers<T> {
    answer: mpsc::Sender<T>,
    waiting: Thread,
}

impl<T> Answers<T> {
    pub(super) fn send(&self, answer: T) {
        // The receiver is gone when the member has left or does not want the answer any more.
        let _ = self.answer.send(answer);
        self.waiting.unpark();
    }
}

/// An answer that a thread in the background works out, or several of them.
pub(super) struct Answer<T>(mpsc::Receiver<T>);

impl<T> Answer<T> {
    /// Returns the next answer when it is there; `Ready(None)` says that none will come any more, or that no thread could be made.
    pub(super) fn poll(&self) -> Poll<Option<T>> {
        match self.0.try_recv() {
            Ok(answer) => Poll::Ready(Some(answer)),
            Err(mpsc::TryRecvError::Empty) => Poll::Pending,
            Err(mpsc::TryRecvError::Disconnected) => Poll::Ready(None),
        }
    }

    /// Waits for the answer for so long.
    pub(super) fn within(&self, limit: Duration) -> Option<T> {
        self.0.recv_timeout(limit).ok()
    }
}
