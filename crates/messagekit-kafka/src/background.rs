//! Work that may block, on its own thread.

use std::sync::mpsc;
use std::task::Poll;
use std::thread::{self, Thread};
use std::time::Duration;

/// Runs `work` on a new thread; drops `work` if no thread can be created.
pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) {
    let name = format!("messagekit-kafka-{name}");
    if let Err(error) = thread::Builder::new().name(name.clone()).spawn(work) {
        tracing::error!(%error, name, "no thread for work in the background");
    }
}

/// Runs `work` on a new thread, which wakes the calling thread when the answer is available.
pub(crate) fn ask<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> Answer<T> {
    ask_each(name, |answers| answers.send(work()))
}

/// Runs `work` on a new thread, which wakes the calling thread for each answer.
pub(crate) fn ask_each<T: Send + 'static>(
    name: &str,
    work: impl FnOnce(&Answers<T>) + Send + 'static,
) -> Answer<T> {
    let (answer, answered) = mpsc::channel();
    let answers = Answers { answer, waiting: thread::current() };
    spawn(name, move || work(&answers));
    Answer(answered)
}

/// The sender of a background thread's answers.
pub(crate) struct Answers<T> {
    answer: mpsc::Sender<T>,
    waiting: Thread,
}

impl<T> Answers<T> {
    pub(crate) fn send(&self, answer: T) {
        // The receiver is dropped when the member has left or no longer needs the answer.
        let _ = self.answer.send(answer);
        self.waiting.unpark();
    }
}

/// One or more answers of a background thread.
pub(crate) struct Answer<T>(mpsc::Receiver<T>);

impl<T> Answer<T> {
    /// Returns the next answer if it is available; `Ready(None)` means that no answer will come, for example because
    /// no thread could be created.
    pub(crate) fn poll(&self) -> Poll<Option<T>> {
        match self.0.try_recv() {
            Ok(answer) => Poll::Ready(Some(answer)),
            Err(mpsc::TryRecvError::Empty) => Poll::Pending,
            Err(mpsc::TryRecvError::Disconnected) => Poll::Ready(None),
        }
    }

    /// Waits at most `limit` for the answer.
    pub(crate) fn within(&self, limit: Duration) -> Option<T> {
        self.0.recv_timeout(limit).ok()
    }
}
