//! A service that was killed, and is restarted whatever the test does next.

use messagekit_tests::services::{self, Service};

/// A service that is down. A drop restarts it, because later tests need it too.
pub(crate) struct Down(Service);

impl Down {
    /// Kills a service.
    pub(crate) fn kill(service: Service) -> Self {
        services::kill(service);
        Self(service)
    }

    /// Restarts it, and waits until it answers.
    pub(crate) fn start(self) {
        drop(self);
    }
}

impl Drop for Down {
    fn drop(&mut self) {
        let Self(service) = *self;
        if std::thread::panicking() {
            // A second panic would end the other tests too.
            std::panic::catch_unwind(|| services::start(service)).ok();
        } else {
            services::start(service);
        }
    }
}
