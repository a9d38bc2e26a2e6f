//! Metrics of gates.

use std::collections::BTreeMap;
use std::time::Duration;

use messagekit::gate::{GateState, GateStates};
use messagekit::{Stats, relay};
use prometheus::proto::MetricType::{COUNTER, GAUGE};

use super::family::{Family, Values};
use super::names;

pub(super) static FAMILIES: [Family; 2] = [
    Family {
        name: names::GATE_STATE,
        help: "0 lets messages pass, 1 tries with one message, 2 holds messages back",
        sort: GAUGE,
        labels: &["consumer", "gate"],
    },
    Family {
        name: names::GATE_WAIT_SECONDS,
        help: "Time that a gate held messages back",
        sort: COUNTER,
        labels: &["consumer", "gate"],
    },
];

/// Reads the gates of consumers, of relays and of other loops. Gates of one name are one: the most closed state, and all waits.
pub(super) fn read(
    consumers: &BTreeMap<String, Vec<Stats>>,
    relays: &BTreeMap<String, Vec<relay::Stats>>,
    others: &BTreeMap<String, Vec<GateStates>>,
) -> [Values; 2] {
    let of_consumers =
        consumers.iter().flat_map(|(name, all)| all.iter().map(move |one| (name, one.gates())));
    let of_relays = relays.iter().flat_map(|(name, all)| all.iter().map(move |one| (name, one.gates())));
    let of_others = others.iter().flat_map(|(name, all)| all.iter().map(move |one| (name, one.read())));
    let mut gates: BTreeMap<(&str, &str), (u8, Duration)> = BTreeMap::new();
    for (name, states) in of_consumers.chain(of_relays).chain(of_others) {
        for gate in states {
            let (state, waited) = gates.entry((name, gate.gate)).or_default();
            *state = (*state).max(number(&gate));
            *waited += gate.waited;
        }
    }
    let [mut state, mut wait] = FAMILIES.each_ref().map(Family::values);
    for ((name, gate), (worst, waited)) in gates {
        state.add(&[name, gate], f64::from(worst));
        wait.add(&[name, gate], waited.as_secs_f64());
    }
    [state, wait]
}

fn number(gate: &GateState) -> u8 {
    match (gate.closed, gate.is_trying) {
        (Some(_), _) => 2,
        (None, true) => 1,
        (None, false) => 0,
    }
}
