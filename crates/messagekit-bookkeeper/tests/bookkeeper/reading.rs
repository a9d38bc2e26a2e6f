//! Detection of bookkeeper sources that are not read.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use messagekit::adapter::{
    BatchLimit, Capabilities, Incoming, Lane, NextOffset, Receipt, Source, Subscriber,
};
use messagekit::{Error, ErrorKind, Shutdown};
use messagekit_bookkeeper::{Bookkeeper, Reading};
use messagekit_memory::MemoryStore;
use tokio::sync::mpsc;

use crate::fixture::{World, until};

/// A broker with scripted events.
struct ScriptedSource {
    names: Vec<Arc<str>>,
    news: mpsc::UnboundedReceiver<Result<Incoming, Error>>,
}

impl Source for ScriptedSource {
    type Subscriber = Self;

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            system: "messagekit",
            persistent: false,
            shares_work: true,
            positions: false,
            any_order: true,
            batch: BatchLimit::ONE,
        }
    }

    fn topics(&self) -> &[Arc<str>] {
        &self.names
    }

    async fn bind(self, _: &str, _: &[NextOffset]) -> Result<Self, Error> {
        Ok(self)
    }
}

impl Subscriber for ScriptedSource {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Incoming, Error>>> {
        self.news.poll_recv(cx)
    }

    fn pause(&mut self, _: Lane) {}

    fn resume(&mut self, _: Lane) {}

    fn settle(&mut self, done: &mut Vec<Receipt>) {
        done.clear();
    }

    fn release(&mut self, back: &mut Vec<Receipt>) {
        back.clear();
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }
}

struct Scene {
    news: mpsc::UnboundedSender<Result<Incoming, Error>>,
    reading: Reading,
    shutdown: Shutdown,
}

impl Scene {
    /// Starts a bookkeeper with these queues, or topics.
    fn of(queues: bool, names: [&str; 2]) -> Self {
        let (news, receiver) = mpsc::unbounded_channel();
        let source = ScriptedSource { names: names.map(Arc::from).to_vec(), news: receiver };
        let (builder, back) =
            (Bookkeeper::builder("bookkeeper", MemoryStore::new()), World::new().broker.log);
        let builder = if queues { builder.queues(source, back) } else { builder.topics(source, back) };
        let bookkeeper = builder.build().expect("a valid bookkeeper");
        let (reading, shutdown) = (bookkeeper.readings().remove(0), Shutdown::new());
        tokio::spawn(bookkeeper.run(shutdown.clone()));
        Self { news, reading, shutdown }
    }

    fn assigned(&self, slot: u32) {
        self.send(Ok(Incoming::Assigned {
            lane: Lane { slot, epoch: 1 },
            name: Arc::from(format!("queue-{slot}")),
        }));
    }

    fn outage(&self, text: &'static str) {
        self.send(Err(Error::new(ErrorKind::Unavailable, text)));
    }

    fn send(&self, news: Result<Incoming, Error>) {
        self.news.send(news).expect("the bookkeeper runs");
    }

    async fn reports(&self, expected: Option<&str>) {
        until(async || self.reading.problem().as_deref() == expected).await;
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.shutdown.request();
    }
}

#[tokio::test(start_paused = true)]
async fn every_queue_needs_a_consumer() {
    let scene = Scene::of(true, ["a.dead", "b.dead"]);
    scene.reports(Some("0 of 2 queues are read (a.dead, b.dead)")).await;
    scene.outage("no queue a.dead");
    scene.reports(Some("0 of 2 queues are read (a.dead, b.dead): no queue a.dead")).await;
    scene.assigned(1);
    scene.reports(Some("1 of 2 queues are read (a.dead, b.dead)")).await;
    scene.assigned(0);
    scene.reports(None).await;
    scene.send(Ok(Incoming::Lost { lane: Lane { slot: 1, epoch: 1 } }));
    scene.reports(Some("1 of 2 queues are read (a.dead, b.dead)")).await;
}

#[tokio::test(start_paused = true)]
async fn topics_need_a_partition_and_a_broker_that_answers() {
    let scene = Scene::of(false, ["a.dead", "b.dead"]);
    scene.reports(Some("no partition is assigned (a.dead, b.dead)")).await;
    scene.assigned(0);
    scene.reports(None).await;
    scene.outage("no broker answers");
    scene.reports(Some("no broker answers")).await;
    tokio::time::sleep(Duration::from_secs(29)).await;
    assert_eq!(scene.reading.problem().as_deref(), Some("no broker answers"));
    scene.outage("no broker answers");
    tokio::time::sleep(Duration::from_secs(29)).await;
    assert_eq!(scene.reading.problem().as_deref(), Some("no broker answers"), "it was reported again");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(scene.reading.problem(), None, "a broker that is back reports nothing");
}
