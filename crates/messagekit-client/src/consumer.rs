//! A worker of a group, and its options.

use std::error::Error as StdError;
use std::fmt;
use std::future::{Future, IntoFuture};
#[cfg(feature = "tls")]
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use messagekit::{Error, ErrorKind, Shutdown};
use messagekit_wire::{Consume, OnDeleted, Start};

use crate::attempts::Attempts;
use crate::hooks::{BoxError, Failed};
use crate::patience::Patience;
use crate::run::Run;
use crate::settings::Settings;
use crate::{Client, Message};

/// The lease of a claim by default.
const LEASE: Duration = Duration::from_secs(60);

/// The longest lease that a server gives.
const MAX_LEASE: u64 = 24 * 60 * 60;

/// Claims records of a topic for a group, calls a handler for each in their order, and acknowledges what was handled: at the end of a
/// claim, at the end of the run, and about once a second in between.
///
/// A record is handled at least once: one whose acknowledgement is lost comes again, with the same [`event_id`](Message::event_id). Any
/// number of consumers of a group share its records. The lease of a claim is extended while its records are handled.
///
/// A handler that fails or panics is called again, 3 times in all for a delivery, with pauses from 0.3 to 5 s. Then the record is given
/// back and comes again with delays up to an hour, until the server has counted ten deliveries and keeps it as a failed message.
///
/// While the server does not answer, or answers 408, 429, 500 or above, requests are repeated with growing pauses, and no attempt counts.
///
/// ```no_run
/// # async fn run(token: &str) -> Result<(), messagekit::Error> {
/// use std::time::Duration;
/// use messagekit::Shutdown;
/// use messagekit_client::Consumer;
///
/// let consumer = Consumer::new("http://127.0.0.1:9464", token, "shop.orders", "shipping")?
///     .limit(20)
///     .max_attempts(5)
///     .backoff(Duration::from_millis(100), 2.0, Duration::from_secs(2))
///     .on_retry(|message, error, attempt, pause| {
///         println!("{} at {attempt}: {error}, again in {pause:?}", message.offset());
///     });
/// let shutdown = Shutdown::on_signal()?;
/// consumer.run(async |message| message.json::<serde_json::Value>().map(drop), shutdown).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "nothing is claimed before run()"]
pub struct Consumer(Settings);

impl Consumer {
    /// Creates a consumer of a topic on a server, `http://host:port` or `https://host`. A group that has not read the topic begins at the earliest record.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] for another form of URL, a token with characters that none has, and an empty group.
    pub fn new(url: &str, token: &str, topic: &str, group: &str) -> Result<Self, Error> {
        if group.trim().is_empty() {
            let text = "group is empty: records would be read and not claimed";
            return Err(Error::new(ErrorKind::InvalidConfiguration, text));
        }
        let request = Consume {
            group_id: Some(group.to_owned()),
            start: Some(Start::Earliest),
            limit: Some(100),
            timeout_seconds: Some(20),
            lease_seconds: Some(LEASE.as_secs()),
            ..Consume::of(topic)
        };
        let (client, group) = (Client::new(url, token)?, group.to_owned());
        let (attempts, patience) = (Attempts::default(), Patience::default());
        Ok(Self(Settings { client, group, request, lease: LEASE, attempts, patience }))
    }

    /// Trusts the authorities whose certificates are in a PEM file, beside those that the system trusts.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] for a file that cannot be read or has no certificate, and for a URL that is not `https://`.
    #[cfg(feature = "tls")]
    pub fn ca_file(mut self, path: impl AsRef<Path>) -> Result<Self, Error> {
        self.0.client = self.0.client.ca_file(path)?;
        Ok(self)
    }

    /// Sets the server's name of the database; needed where it serves several.
    pub fn database(mut self, name: &str) -> Self {
        self.0.client = self.0.client.database(name);
        self
    }

    /// Sets where a group begins that has not read the topic; at the earliest record by default.
    pub fn start(mut self, start: Start) -> Self {
        self.0.request.start = Some(start);
        self
    }

    /// Claims records of this partition only; of all by default.
    pub fn partition(mut self, partition: i32) -> Self {
        self.0.request.partition_id = Some(partition);
        self
    }

    /// Sets the most records of a claim: 100 by default, from 1 to 1,000.
    pub fn limit(mut self, limit: u32) -> Self {
        self.0.request.limit = Some(limit.clamp(1, 1_000));
        self
    }

    /// Sets how long a claim lasts without an extension, in whole seconds: 60 s by default, from 1 s to a day. The records of a worker
    /// that dies come again after so long.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.0.set_lease(lease.as_secs().clamp(1, MAX_LEASE));
        self
    }

    /// Sets how long a request waits while there are no records: 20 s by default. A server waits for at most 25 s.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.0.request.timeout_seconds = Some(wait.as_secs());
        self
    }

    /// Sets where the group goes on when its next records were deleted; at the earliest one by default. What was missed is logged.
    pub fn on_deleted(mut self, on_deleted: OnDeleted) -> Self {
        self.0.request.on_deleted = Some(on_deleted);
        self
    }

    /// Sets how often a handler is called for a delivery: 3 times by default, and at least once.
    pub fn max_attempts(mut self, max_attempts: u32) -> Self {
        self.0.attempts.most = max_attempts.max(1);
        self
    }

    /// Sets the pauses between the attempts of a delivery: `first × factor^(n - 1)`, at most `longest`, each shortened by a random part of
    /// up to a half. Delays of records that are given back begin at `longest`, and grow to an hour.
    pub fn backoff(mut self, first: Duration, factor: f64, longest: Duration) -> Self {
        self.0.attempts.backoff(first, factor, longest);
        self
    }

    /// Calls a function after each attempt that failed, with its number.
    pub fn on_error(
        mut self,
        hook: impl Fn(&Message, &(dyn StdError + Send + Sync), u32) + Send + Sync + 'static,
    ) -> Self {
        self.0.attempts.hooks.on_error = Some(Arc::new(hook));
        self
    }

    /// Calls a function before each pause, with the number of the attempt that failed and the pause.
    pub fn on_retry(
        mut self,
        hook: impl Fn(&Message, &(dyn StdError + Send + Sync), u32, Duration) + Send + Sync + 'static,
    ) -> Self {
        self.0.attempts.hooks.on_retry = Some(Arc::new(hook));
        self
    }

    /// Calls a function after the last attempt of a delivery. If it succeeds, the record is acknowledged, unless
    /// [`ack_on_failed`](Self::ack_on_failed) is false. If it fails, the record is given back.
    pub fn on_failed<F, E>(
        mut self,
        hook: impl Fn(Message, Arc<dyn StdError + Send + Sync>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        self.0.attempts.hooks.on_failed = Some(Arc::new(move |message, error: Failed| {
            let noted = hook(message, error);
            Box::pin(async move { noted.await.map_err(Into::<BoxError>::into) })
        }));
        self
    }

    /// Sets whether a record is acknowledged when `on_failed` has succeeded: true by default.
    pub fn ack_on_failed(mut self, ack_on_failed: bool) -> Self {
        self.0.attempts.ack_on_failed = ack_on_failed;
        self
    }

    /// Ends the run with the last error when the server has not answered for so long; never by default.
    pub fn give_up_after(mut self, outage: Duration) -> Self {
        self.0.patience.give_up_after = Some(outage);
        self
    }

    /// Returns the client that it uses, for single requests.
    pub fn client(&self) -> &Client {
        &self.0.client
    }

    /// Handles records until `shutdown` completes. The current record is finished, what was handled is acknowledged, and what was not begun
    /// is given back: others have it at once, and no attempt counts.
    ///
    /// After the shutdown each request is tried once. What a server that is away does not hear comes again when the lease ends.
    ///
    /// # Errors
    /// What the server refuses, at once: [`ErrorKind::Unauthorized`] for the token, [`ErrorKind::NotFound`] for the topic,
    /// [`ErrorKind::OutOfRange`] under [`OnDeleted::Fail`]. A transient error after [`give_up_after`](Self::give_up_after). A claim that
    /// was lost is no error: its records come again, here or elsewhere.
    ///
    /// # Panics
    /// Panics outside a tokio runtime with time and network, and when `on_error` or `on_retry` panics.
    ///
    /// # Cancel safety
    /// A dropped run extends no lease: what it has not acknowledged comes again when the lease ends, also what was handled. Use `shutdown`.
    pub async fn run<H, F, E>(
        self,
        handler: H,
        shutdown: impl IntoFuture<Output = (), IntoFuture: Send> + Send,
    ) -> Result<(), Error>
    where
        H: FnMut(Message) -> F + Send,
        F: Future<Output = Result<(), E>> + Send,
        E: Into<Box<dyn StdError + Send + Sync>> + Send,
    {
        let stop = Shutdown::new();
        let mut run = std::pin::pin!(Run::new(self.0, stop.clone()).until_stopped(handler));
        tokio::select! {
            biased;
            () = shutdown.into_future() => stop.request(),
            ended = run.as_mut() => return ended,
        }
        run.await
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("client", &self.0.client)
            .field("topic", &self.0.topic())
            .field("group", &self.0.group)
            .finish_non_exhaustive()
    }
}
