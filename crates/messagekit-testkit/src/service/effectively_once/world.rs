//! A database in memory, and the process that handles events on it.

use std::sync::Arc;

use messagekit::{Consumer, Delivered, Error, ErrorKind, Message, OnFailure, Router, chain};
use messagekit_memory::{Failpoint, MemoryLog, MemorySource, MemoryStore};

use super::interrupt::{Around, Interrupt, Interrupting};
use super::result::Effects;
use super::timeline::{CrashPoint, Step};

/// How often an event is delivered until it is handled.
const DELIVERIES: usize = 3;

/// Plays steps.
pub(super) struct World<'a, F> {
    router: &'a F,
    events: &'a [Message],
    store: MemoryStore,
    process: Process,
}

/// What a crash ends: the consumer with the state of its handlers.
struct Process {
    consumer: Consumer<MemoryStore, MemorySource>,
    interrupt: Arc<Interrupt>,
}

impl<'a, F: Fn(MemoryStore) -> Router<MemoryStore>> World<'a, F> {
    pub(super) fn new(router: &'a F, events: &'a [Message]) -> Result<Self, String> {
        let store = MemoryStore::new();
        let process = start(router, events, &store).map_err(|error| chain(&error))?;
        Ok(Self { router, events, store, process })
    }

    /// Returns what is in the database.
    pub(super) fn effects(&self) -> Effects {
        Effects::of(&self.store)
    }

    /// Returns how many writes to the outbox there were.
    pub(super) fn outbox_writes(&self) -> usize {
        self.store.outbox_writes()
    }

    /// Plays a step. An error says why an event was not applied. What was to disturb it and was not reached disturbs no later one.
    pub(super) async fn play(&mut self, step: Step) -> Result<(), String> {
        let played = self.disturbed(step).await;
        self.store.withdraw_failures();
        self.process.interrupt.let_pass();
        played
    }

    async fn disturbed(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::Deliver(event) => self.deliver(event).await,
            Step::Restart => self.restart(),
            Step::Crash(event, point) => {
                self.crash(event, point).await?;
                self.restart()?;
                self.deliver(event).await
            }
            Step::Refused(event) => {
                self.store.fail_next(Failpoint::Commit, ErrorKind::Conflict);
                self.deliver(event).await
            }
            Step::Lost(event) => {
                self.store.fail_next(Failpoint::CommitUnknownKept, ErrorKind::OutcomeUnknown);
                self.deliver(event).await
            }
            Step::Unwritten(event, write) => {
                self.store.fail_nth(Failpoint::OutboxWrite, write, ErrorKind::Other);
                // A correct handler returns the error, and the event comes again.
                drop(self.process.consumer.deliver(self.events[event].clone()).await);
                self.deliver(event).await
            }
            Step::Beside(first, second) => self.beside(first, second).await,
        }
    }

    /// Delivers an event until it is applied: a failure of the database that was injected passes.
    async fn deliver(&self, event: usize) -> Result<(), String> {
        let mut deliveries = 1;
        loop {
            let delivered = self.process.consumer.deliver(self.events[event].clone()).await;
            match outcome(delivered) {
                Err(_) if deliveries < DELIVERIES => deliveries += 1,
                outcome => return outcome,
            }
        }
    }

    fn restart(&mut self) -> Result<(), String> {
        self.process = start(self.router, self.events, &self.store).map_err(|error| chain(&error))?;
        Ok(())
    }

    /// Delivers an event in a process that ends at a point. An event that does not reach it is applied.
    async fn crash(&self, event: usize, point: CrashPoint) -> Result<(), String> {
        let Process { consumer, interrupt } = &self.process;
        let hung = match point {
            CrashPoint::Committed => return self.deliver(event).await,
            CrashPoint::Written(write) => Some(self.store.hang_after_write(write)),
            CrashPoint::Claimed | CrashPoint::Handled => {
                let around = if point == CrashPoint::Claimed { Around::Before } else { Around::After };
                interrupt.hold_at(around);
                None
            }
        };
        let reached = async {
            match hung {
                Some(hung) => hung.await,
                None => interrupt.reached().await,
            }
        };
        // The delivery is dropped with its open transaction, as a killed process drops its connection.
        tokio::select! {
            biased;
            () = reached => Ok(()),
            delivered = consumer.deliver(self.events[event].clone()) => outcome(delivered),
        }
    }

    async fn beside(&self, first: usize, second: usize) -> Result<(), String> {
        self.process.interrupt.hold_at(Around::After);
        let mut held = std::pin::pin!(self.deliver(first));
        let is_held = tokio::select! {
            biased;
            () = self.process.interrupt.reached() => true,
            delivered = &mut held => {
                delivered?;
                false
            }
        };
        if !is_held {
            self.process.interrupt.let_pass();
        }
        self.deliver(second).await?;
        if !is_held {
            return Ok(());
        }
        self.process.interrupt.let_go();
        held.await
    }
}

fn outcome(delivered: Result<Delivered, Error>) -> Result<(), String> {
    let delivered = delivered.map_err(|error| chain(&error))?;
    match delivered.failure() {
        None if matches!(delivered, Delivered::Ignored) => Err("no handler takes it".to_owned()),
        None => Ok(()),
        Some(failure) => Err(format!("its handler failed ({}): {}", failure.kind, failure.error)),
    }
}

/// Starts a process. A failed event is kept nowhere: it comes again.
fn start<F>(router: &F, events: &[Message], store: &MemoryStore) -> Result<Process, Error>
where
    F: Fn(MemoryStore) -> Router<MemoryStore>,
{
    let (log, interrupt) = (MemoryLog::new(1), Arc::new(Interrupt::default()));
    let builder = || Consumer::builder("checked", store.clone());
    let topics =
        events.iter().map(|event| Arc::clone(&event.topic)).collect::<std::collections::BTreeSet<_>>();
    let interrupting = || Interrupting(Arc::clone(&interrupt));
    let by_handlers = builder().from(log.clone()).router(router(store.clone()));
    let consumer = match by_handlers.wrap(interrupting()).on_failure(OnFailure::Block).build() {
        Ok(consumer) => consumer,
        // Handlers of JSON and of messages do not say their topics.
        Err(_) => {
            let by_events = builder().from(log.topics(topics)).router(router(store.clone()));
            by_events.wrap(interrupting()).on_failure(OnFailure::Block).build()?
        }
    };
    Ok(Process { consumer, interrupt })
}
