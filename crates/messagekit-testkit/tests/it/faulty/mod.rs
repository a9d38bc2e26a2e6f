//! Adapters with one named fault each.
//!
//! A suite that passes every adapter proves nothing. A row names a fault, the case that must catch it, and the methods
//! that it changes. Faulty adapters wrap adapters that pass every case: the in-memory ones, and for relays a file.

mod actions;
mod attempts;
mod fixture;
mod keys;
mod leases;
mod lists;
mod log;
mod markers;
mod methods;
mod operators;
mod record_claims;
mod relay;
mod replays;
mod set_aside;
mod store;
mod transactions;
mod transport;

pub(crate) use fixture::FaultyStoreFixture;
pub(crate) use relay::{Fault as RelayFault, FaultyRelayFixture, ROWS as RELAY_FAULTS};
pub(crate) use store::Fault as StoreFault;
pub(crate) use transport::{Fault as TransportFault, FaultyTransport, faults as transport_faults};

/// A suite of cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Suite {
    Transport,
    Store,
    Log,
    Relay,
}

/// A fault of an adapter, and the case that must fail with it.
#[derive(Clone, Copy)]
pub(crate) struct Row<F> {
    pub(crate) fault: &'static str,
    pub(crate) suite: Suite,
    pub(crate) case: &'static str,
    pub(crate) changes: F,
}

/// Returns the faults of stores and their logs.
pub(crate) fn store_faults() -> impl Iterator<Item = &'static Row<store::Fault>> {
    let tables = [
        transactions::ROWS,
        markers::ROWS,
        set_aside::ROWS,
        leases::ROWS,
        keys::ROWS,
        attempts::ROWS,
        actions::ROWS,
        lists::FILTER_ROWS,
        lists::ROWS,
        operators::UNHANDLED_ROWS,
        operators::ROWS,
        replays::ROWS,
        log::PAGE_ROWS,
        log::ROWS,
        record_claims::ROWS,
    ];
    tables.into_iter().flatten()
}

/// The only name of an adapter that does not distinguish consumers, relays or scopes.
fn everybody() -> String {
    "everybody".to_owned()
}
