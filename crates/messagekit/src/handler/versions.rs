//! The handlers of one event type.

use super::OnNewerMinor;
use super::route::{Reads, Route};
use crate::message::{ReadVersions, choose};
use crate::store::{Failure, Store};

/// The handlers of an event type: one for each major version, or a single one that takes every version.
pub(super) struct Versions<S: Store> {
    routes: Vec<Route<S>>,
    /// What each handler reads; empty if the only one takes every version.
    known: Vec<ReadVersions>,
}

impl<S: Store> Versions<S> {
    pub(super) fn new(route: Route<S>) -> Self {
        let known = read_versions(&route).into_iter().collect();
        Self { routes: vec![route], known }
    }

    /// Adds a handler of another major version.
    ///
    /// # Errors
    /// Says why the handler does not go with those that are there.
    pub(super) fn add(&mut self, route: Route<S>) -> Result<(), &'static str> {
        let Some(versions) = read_versions(&route).filter(|_| !self.known.is_empty()) else {
            return Err("two handlers for one event type, of which one takes every version: keep one");
        };
        if self.known.iter().any(|known| known.own().major == versions.own().major) {
            return Err("two handlers for one major version of an event type: keep one");
        }
        self.routes.push(route);
        self.known.push(versions);
        Ok(())
    }

    pub(super) fn routes(&self) -> impl Iterator<Item = &Route<S>> {
        self.routes.iter()
    }

    /// Returns whether the handler takes messages whatever their payload is.
    pub(super) fn reads_no_payload(&self) -> bool {
        self.routes.iter().all(|route| matches!(route.reads, Reads::Message))
    }

    /// Returns the handler for data of a version.
    ///
    /// # Errors
    /// Permanent if no handler reads that version.
    pub(super) fn of(&self, version: &str, newer_minor: OnNewerMinor) -> Result<&Route<S>, Failure> {
        match self.known.as_slice() {
            [] => Ok(&self.routes[0]),
            known => {
                let accepts_newer_minor = newer_minor == OnNewerMinor::Read;
                choose(version, known, accepts_newer_minor).map(|index| &self.routes[index])
            }
        }
    }
}

fn read_versions<S: Store>(route: &Route<S>) -> Option<ReadVersions> {
    match route.reads {
        Reads::Event(versions) => Some(versions),
        Reads::Json | Reads::Message => None,
    }
}

impl<S: Store> Clone for Versions<S> {
    fn clone(&self) -> Self {
        Self { routes: self.routes.clone(), known: self.known.clone() }
    }
}
