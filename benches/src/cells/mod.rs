//! The benchmark cells, one per file.

mod bridge;
mod changes;
mod claim_postgres;
mod cleanup;
mod consume;
mod consume_kafka;
mod drain_kafka;
mod drain_rabbitmq;
mod embedded;
mod failures;
mod forms;
mod group;
mod kill;
mod latency;
mod memory;
mod page;
mod poison;
mod replay;
mod traces;

mod tuning;
mod typed;
mod write;
mod writers;

pub(crate) use group::Client;
pub(crate) use traces::consume_traced;

use crate::frame::Cell;

/// Every cell, in the order of its name.
pub(crate) const ALL: [Cell; 30] = [
    page::A1,
    page::A2,
    page::A3,
    page::A4,
    bridge::B1,
    bridge::B2,
    consume::C1,
    cleanup::C2,
    failures::C3,
    consume_kafka::C4,
    claim_postgres::C5,
    forms::D1,
    embedded::E1,
    typed::E2,
    typed::E3,
    kill::K1,
    group::K2,
    replay::L1,
    replay::L2,
    memory::M1,
    traces::O1,
    drain_kafka::R1,
    drain_rabbitmq::R1Q,
    latency::R2,
    latency::R3,
    latency::R4,
    poison::R5,
    write::W1,
    writers::W2,
    changes::W3,
];

/// The cells that search for better settings. They run only when they are named, singly or together as `tuning`.
pub(crate) const TUNING: [Cell; 2] = [tuning::T1, tuning::T2];

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn each_cell_has_a_name_of_its_own() {
        let ids: Vec<&str> = ALL.iter().map(|cell| cell.id).collect();
        assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    }
}
