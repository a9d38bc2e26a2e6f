//! Metrics that are computed when Prometheus reads them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use messagekit::gate::GateStates;
use messagekit::log::OrderedStats;
use messagekit::{Stats, relay};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use super::database::Database;
use super::family::Family;
use super::{consumer, database, gate, ordered_reader, relay as relays, telemetry};

/// Watched consumers, relays, ordered readers and gates, and the last known values of databases.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    families: Arc<[Desc]>,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) consumers: BTreeMap<String, Vec<Stats>>,
    pub(super) relays: BTreeMap<String, Vec<relay::Stats>>,
    pub(super) ordered_readers: BTreeMap<String, Vec<OrderedStats>>,
    /// Gates of other loops than consumers.
    pub(super) gates: BTreeMap<String, Vec<GateStates>>,
    databases: BTreeMap<String, Database>,
}

impl Known {
    /// Returns the values of a database that has answered.
    pub(super) fn database(&mut self, name: &str) -> &mut Database {
        let database = self.databases.entry(name.to_owned()).or_default();
        database.up = true;
        database
    }

    pub(super) fn lost(&mut self, name: &str) {
        self.databases.insert(name.to_owned(), Database::default());
    }
}

impl Watched {
    pub(super) fn new() -> prometheus::Result<Self> {
        let all = consumer::FAMILIES.iter().chain(&gate::FAMILIES).chain(&relays::FAMILIES);
        let all = all.chain(&ordered_reader::FAMILIES);
        let all = all.chain(&database::FAMILIES).chain(&telemetry::FAMILIES).map(Family::describe);
        let families: prometheus::Result<Vec<Desc>> = all.collect();
        Ok(Self { families: families?.into(), known: Arc::default() })
    }

    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        // A panic cannot leave these values inconsistent.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Watched {
    fn desc(&self) -> Vec<&Desc> {
        self.families.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let known = self.known();
        let values = consumer::read(&known.consumers).into_iter();
        let values = values.chain(gate::read(&known.consumers, &known.relays, &known.gates));
        let values = values.chain(relays::read(&known.relays)).chain(database::read(&known.databases));
        let values = values.chain(ordered_reader::read(&known.ordered_readers)).chain(telemetry::read());
        values.filter_map(|values| values.finish()).collect()
    }
}
