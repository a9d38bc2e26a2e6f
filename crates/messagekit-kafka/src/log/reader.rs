//! The reader of a log.

use std::fmt;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};

use messagekit::log::{LogReader, Page};
use messagekit::{Error, ErrorKind};
use rdkafka::ClientConfig;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;

use super::flow::Flow;
use super::link::{Command, Commands, Pages, Sent};
use super::reading::{Reading, Start};
use super::waiting_pages::WaitingPages;

/// Yields the pages that its thread reads. The thread ends when this is dropped.
pub(super) struct KafkaLogReader {
    topic: Arc<str>,
    sent: UnboundedReceiver<Sent>,
    waiting: WaitingPages,
    flow: Arc<Flow>,
    commands: Commands,
    /// The waker of a caller that waits.
    waker: Option<Waker>,
}

impl KafkaLogReader {
    /// Starts the thread, which makes its client from these settings.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] if they make no client; [`ErrorKind::Unavailable`] if there is no thread.
    pub(super) async fn open(
        config: ClientConfig,
        topic: &Arc<str>,
        starts: Vec<Start>,
    ) -> Result<Self, Error> {
        let flow = Arc::new(Flow::new(starts.len()));
        let waiting = WaitingPages::new(starts.iter().map(|start| start.cursor.partition()));
        let (command, commands) = mpsc::channel();
        let (sender, sent) = unbounded_channel();
        let (started, has_started) = oneshot::channel();
        let (pages, read) = (Pages::new(sender, Arc::clone(&flow)), Arc::clone(topic));
        let run = move || match Reading::new(config, read, starts, commands, pages) {
            Ok(reading) => {
                // The caller may be gone: then the channel of its commands is closed.
                let _ = started.send(Ok(std::thread::current()));
                reading.run();
            }
            Err(error) => drop(started.send(Err(error))),
        };
        let no_thread =
            |error| Error::new(ErrorKind::Unavailable, "no thread for the reader of a log").caused_by(error);
        // What a list of threads shows of a name is short.
        let name = format!("log {topic}");
        std::thread::Builder::new().name(name).spawn(run).map_err(no_thread)?;
        let ended = |_| Error::new(ErrorKind::Other, "thread of the log's reader ended while it started");
        let commands = Commands::new(command, has_started.await.map_err(ended)??);
        Ok(Self { topic: Arc::clone(topic), sent, waiting, flow, commands, waker: None })
    }

    fn receive(&mut self, sent: Sent) -> Result<(), Error> {
        let (partition, round, page, bytes) = match sent {
            Sent::Page { partition, round, page, bytes } => (partition, round, page, bytes),
            Sent::Error(error) => {
                self.flow.reported();
                return Err(error);
            }
        };
        let mut has_room = self.flow.received(bytes);
        if !self.waiting.add(partition, round, page) {
            has_room |= self.flow.returned(partition, 1);
        }
        if has_room {
            self.commands.wake();
        }
        Ok(())
    }

    /// Wakes a caller that waits: what it waits for may be due now.
    fn changed(&mut self) {
        self.waker.take().into_iter().for_each(Waker::wake);
    }
}

impl LogReader for KafkaLogReader {
    fn poll_page(&mut self, max: usize, cx: &mut Context<'_>) -> Poll<Result<Page, Error>> {
        self.flow.wish(max);
        loop {
            if let Some(due) = self.waiting.next(max) {
                if !due.has_rest && self.flow.returned(due.partition, 1) {
                    self.commands.wake();
                }
                return Poll::Ready(Ok(due.page));
            }
            match self.sent.poll_recv(cx) {
                Poll::Ready(Some(sent)) => self.receive(sent)?,
                Poll::Ready(None) => {
                    let error = Error::new(ErrorKind::Other, "thread of the log's reader ended");
                    return Poll::Ready(Err(error.with("topic", &self.topic)));
                }
                Poll::Pending => {
                    self.waker = Some(cx.waker().clone());
                    return Poll::Pending;
                }
            }
        }
    }

    fn pause(&mut self, partition: i32) {
        if let Some(partition) = self.waiting.index(partition) {
            self.waiting.pause(partition);
            self.commands.send(Command::Pause(partition));
        }
    }

    fn resume(&mut self, partition: i32) {
        if let Some(partition) = self.waiting.index(partition) {
            self.waiting.resume(partition);
            self.commands.send(Command::Resume(partition));
            self.changed();
        }
    }

    fn seek(&mut self, partition: i32, offset: i64) {
        if let Some(partition) = self.waiting.index(partition) {
            let (round, dropped) = self.waiting.seek(partition);
            self.flow.returned(partition, dropped);
            self.commands.send(Command::Seek { partition, offset, round });
            self.changed();
        }
    }
}

impl fmt::Debug for KafkaLogReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaLogReader").field("topic", &self.topic).finish_non_exhaustive()
    }
}
