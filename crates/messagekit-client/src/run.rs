//! The loop of a consumer: claim, handle, say what became of the records.

use std::future::{Future, IntoFuture};
use std::time::Duration;

use messagekit::{Error, ErrorKind, Shutdown};
use messagekit_wire::{Consume, ConsumeAnswer};
use tokio::time::Instant;

use crate::Message;
use crate::attempts::Outcome;
use crate::claim::Claim;
use crate::hooks::BoxError;
use crate::lease::ExtendedLease;
use crate::settings::Settings;

/// How long handled records of a claim may be unacknowledged while others of it are handled.
const ACK_EVERY: Duration = Duration::from_secs(1);

/// A run of a consumer.
pub(crate) struct Run {
    settings: Settings,
    stop: Shutdown,
}

impl Run {
    pub(crate) fn new(settings: Settings, stop: Shutdown) -> Self {
        Self { settings, stop }
    }

    /// Handles claims, one after another.
    pub(crate) async fn until_stopped<H, F, E>(self, mut handler: H) -> Result<(), Error>
    where
        H: FnMut(Message) -> F,
        F: Future<Output = Result<(), E>>,
        E: Into<BoxError>,
    {
        while !self.stop.is_requested() {
            if let Some((claim, messages)) = self.claim().await? {
                self.handle(claim, messages, &mut handler).await?;
            }
        }
        Ok(())
    }

    /// Returns the next records, or `None` if none have come or the run is to stop.
    async fn claim(&self) -> Result<Option<(Claim, Vec<Message>)>, Error> {
        let Settings { request, group, patience, .. } = &self.settings;
        let answer = patience.patiently(&self.stop, || self.consume(request)).await?;
        let Some(answer) = answer.flatten() else { return Ok(None) };
        let topic = self.settings.topic();
        for gap in &answer.deleted {
            let (partition, first, last) = (gap.partition_id, gap.from, gap.to - 1);
            tracing::warn!(%group, %topic, partition, first, last, "group has missed records that were deleted");
        }
        let (Some(first), Some(id)) = (answer.messages.first(), answer.claim_id) else { return Ok(None) };
        let offsets = answer.messages.iter().map(|message| message.offset).collect();
        let claim = Claim::new(topic, group, first.partition_id, id, offsets);
        let messages = answer.messages.into_iter().map(Message::of).collect::<Result<_, _>>()?;
        Ok(Some((claim, messages)))
    }

    /// A stop ends the wait.
    async fn consume(&self, request: &Consume) -> Result<Option<ConsumeAnswer>, Error> {
        tokio::select! {
            biased;
            () = self.stop.clone().into_future() => Ok(None),
            answer = self.settings.client.consume(request) => answer.map(Some),
        }
    }

    /// Handles the records of a claim, and says at the end what became of them, also after an error.
    async fn handle<H, F, E>(
        &self,
        mut claim: Claim,
        messages: Vec<Message>,
        handler: &mut H,
    ) -> Result<(), Error>
    where
        H: FnMut(Message) -> F,
        F: Future<Output = Result<(), E>>,
        E: Into<BoxError>,
    {
        let Settings { client, lease, group, .. } = &self.settings;
        let lease = ExtendedLease::of(client.clone(), claim.extend(lease.as_secs()), *lease);
        let handled = self.handle_each(&mut claim, &messages, &lease, handler).await;
        if handled.is_err() {
            // The caller is to know of it soon.
            self.stop.request();
        }
        let said = self.acknowledge(&mut claim, &lease).await;
        let released = if self.stop.is_requested() { self.release(&mut claim, &lease).await } else { Ok(()) };
        if lease.is_lost() && claim.has_open() {
            let topic = self.settings.topic();
            tracing::warn!(%group, %topic, "a claim was lost: its records come again");
        }
        handled.and(said).and(released)
    }

    async fn handle_each<H, F, E>(
        &self,
        claim: &mut Claim,
        messages: &[Message],
        lease: &ExtendedLease,
        handler: &mut H,
    ) -> Result<(), Error>
    where
        H: FnMut(Message) -> F,
        F: Future<Output = Result<(), E>>,
        E: Into<BoxError>,
    {
        let mut acknowledged_at = Instant::now();
        for message in messages {
            // A handler that never waits would leave the shutdown unseen.
            tokio::task::yield_now().await;
            if self.stop.is_requested() || lease.is_lost() {
                break;
            }
            match self.settings.attempts.run(handler, message, &self.stop).await {
                Outcome::Handled => claim.handled(message.offset()),
                Outcome::Failed { error, delay } => {
                    self.give_back(claim, message, lease, error, delay).await?;
                }
            }
            if acknowledged_at.elapsed() >= ACK_EVERY {
                self.acknowledge(claim, lease).await?;
                acknowledged_at = Instant::now();
            }
        }
        Ok(())
    }

    async fn acknowledge(&self, claim: &mut Claim, lease: &ExtendedLease) -> Result<(), Error> {
        while let Some((request, offsets)) = claim.acknowledgement() {
            let client = &self.settings.client;
            let answer = self.settings.patience.patiently(&self.stop, || client.ack(&request)).await;
            if !self.is_said(answer, lease)? {
                break;
            }
            claim.settled(&offsets);
        }
        Ok(())
    }

    async fn give_back(
        &self,
        claim: &mut Claim,
        message: &Message,
        lease: &ExtendedLease,
        error: String,
        delay: u64,
    ) -> Result<(), Error> {
        let (client, request) = (&self.settings.client, claim.give_back(message.offset(), delay, error));
        let answer = self.settings.patience.patiently(&self.stop, || client.nack(&request)).await;
        if self.is_said(answer, lease)? {
            claim.settled(&[message.offset()]);
        }
        Ok(())
    }

    async fn release(&self, claim: &mut Claim, lease: &ExtendedLease) -> Result<(), Error> {
        let Some((request, offsets)) = claim.release() else { return Ok(()) };
        let client = &self.settings.client;
        let answer = self.settings.patience.patiently(&self.stop, || client.nack(&request)).await;
        if self.is_said(answer, lease)? {
            claim.settled(&offsets);
        }
        Ok(())
    }

    /// Returns whether the server knows what became of records. What it does not hear or take comes again.
    fn is_said<T>(&self, answer: Result<Option<T>, Error>, lease: &ExtendedLease) -> Result<bool, Error> {
        match answer {
            Ok(Some(_)) => Ok(true),
            Ok(None) => {
                let (group, topic) = (&self.settings.group, self.settings.topic());
                tracing::warn!(%group, %topic, "server does not answer: records come again");
                Ok(false)
            }
            Err(error) if error.kind() == ErrorKind::ClaimLost => {
                lease.lose();
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}
