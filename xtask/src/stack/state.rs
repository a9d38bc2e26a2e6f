//! The current state of a service.

use std::fmt;

use super::service::Service;

/// The state of one service. [`Display`](fmt::Display) writes its line of `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State {
    /// The service.
    pub(crate) service: Service,
    /// Its health.
    pub(crate) health: Health,
    /// Its process, if it runs on this machine.
    pub(crate) pid: Option<i32>,
    /// The port its clients use.
    pub(crate) port: u16,
}

/// The health of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    /// It answers.
    Ready,
    /// It runs but does not answer yet.
    Starting,
    /// It does not run.
    Down,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let health = match self.health {
            Health::Ready => "ready",
            Health::Starting => "starting",
            Health::Down => return write!(f, "{} down", self.service),
        };
        write!(f, "{} {health}", self.service)?;
        if let Some(pid) = self.pid {
            write!(f, " pid={pid}")?;
        }
        write!(f, " port={}", self.port)
    }
}
