//! Asking loops to end.

use std::future::{Future, IntoFuture};
use std::pin::Pin;

use tokio::sync::watch;

/// Asks every loop that waits for it to finish what it has in hand and end. Cloning gives another handle.
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
    /// Makes one that nobody has asked yet.
    pub fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Makes one that SIGTERM and Ctrl-C ask. A second signal ends the process at once, with status 130.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when the signals cannot be watched.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn on_signal() -> Result<Self, crate::Error> {
        let unwatched = |error: std::io::Error| {
            crate::Error::new(crate::ErrorKind::Unavailable, "signals cannot be watched").caused_by(error)
        };
        let shutdown = Self::new();
        let asked = shutdown.clone();
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
                if asked.is_requested() {
                    std::process::exit(130);
                }
                asked.request();
            }
        });
        #[cfg(not(unix))]
        tokio::spawn(async move {
            while tokio::signal::ctrl_c().await.map_err(unwatched).is_ok() {
                if asked.is_requested() {
                    std::process::exit(130);
                }
                asked.request();
            }
        });
        Ok(shutdown)
    }

    /// Asks.
    pub fn request(&self) {
        self.0.send_replace(true);
    }

    /// Returns whether somebody has asked.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until somebody asks; at once when that has happened.
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    pub async fn requested(&self) {
        let mut receiver = self.0.subscribe();
        // The sender lives in `self`, so the channel cannot close while this waits.
        let _ = receiver.wait_for(|asked| *asked).await;
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
