//! Requests that loops end.

use std::future::{Future, IntoFuture};
use std::pin::Pin;

use tokio::sync::watch;

/// Requests that every loop that waits for it finishes its current work and ends. A clone is a handle to the same
/// request.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use messagekit::Shutdown;
///
/// let shutdown = Shutdown::new();
/// shutdown.request();
/// shutdown.clone().await;
/// assert!(shutdown.is_requested());
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Sender<bool>);

impl Shutdown {
    /// Creates a handle without a request.
    pub fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Creates a handle on which SIGTERM and Ctrl-C request the shutdown. A second signal ends the process at once, with
    /// status 130.
    ///
    /// # Errors
    /// Returns [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) if the signal handlers cannot be installed.
    ///
    /// # Panics
    /// Panics outside a tokio runtime.
    pub fn on_signal() -> Result<Self, crate::Error> {
        let unwatched = |error: std::io::Error| {
            crate::Error::new(crate::ErrorKind::Unavailable, "signals cannot be watched").caused_by(error)
        };
        let shutdown = Self::new();
        let handle = shutdown.clone();
        #[cfg(unix)]
        let mut terminate =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).map_err(unwatched)?;
        #[cfg(unix)]
        let mut interrupt =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt()).map_err(unwatched)?;
        #[cfg(unix)]
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                if handle.is_requested() {
                    std::process::exit(130);
                }
                handle.request();
            }
        });
        #[cfg(not(unix))]
        tokio::spawn(async move {
            while tokio::signal::ctrl_c().await.map_err(unwatched).is_ok() {
                if handle.is_requested() {
                    std::process::exit(130);
                }
                handle.request();
            }
        });
        Ok(shutdown)
    }

    /// Requests the shutdown.
    pub fn request(&self) {
        self.0.send_replace(true);
    }

    /// Returns whether the shutdown is requested.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the shutdown is requested; returns at once if it already is.
    ///
    /// # Cancel safety
    /// This method is cancel safe: dropping the future loses nothing.
    pub async fn requested(&self) {
        let mut receiver = self.0.subscribe();
        // `self` owns the sender, so the channel stays open during this wait.
        let _ = receiver.wait_for(|is_requested| *is_requested).await;
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl IntoFuture for Shutdown {
    type Output = ();
    type IntoFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.requested().await })
    }
}
