//! T1, T2: fixed settings compared with the defaults, which should be nearly the best everywhere.

use std::sync::Arc;

use super::consume::{Size, consume};
use super::drain_kafka::relay;
use crate::frame::{Better, Cell, Contender, Goal, Plan, Role, Target};
use crate::settings::Settings;

pub(crate) const T1: Cell = Cell {
    id: "T1",
    title: "consumer: messages of a transaction",
    figure: FIGURE,
    better: Better::Higher,
    plan: consumer,
};

pub(crate) const T2: Cell = Cell {
    id: "T2",
    title: "relay: events of a read, calls in flight",
    figure: FIGURE,
    better: Better::Higher,
    plan: relays,
};

const FIGURE: &str = "events/s";
const DEFAULTS: &str = "defaults";
const CONSUMED: usize = 20_000;
const RELAYED: usize = 50_000;

fn consumer(settings: Arc<Settings>) -> Plan {
    let (mut contenders, mut goals) = (Vec::new(), Vec::new());
    for lanes in [1, 4, 8] {
        let group = format!("{lanes} lanes");
        for (name, batch) in [
            (DEFAULTS, None),
            ("10 messages", Some(10)),
            ("25 messages", Some(25)),
            ("100 messages", Some(100)),
            ("200 messages", Some(200)),
        ] {
            let settings = Arc::clone(&settings);
            let size = Size { batch, lanes, events: settings.scaled(CONSUMED), every: 0 };
            let run = move || consume(Arc::clone(&settings), size, Role::Ours);
            contenders.push(Contender::new(&*group, name, role(name), run));
            goals.extend(goal(&group, name));
        }
    }
    Plan { sizes: "1 KiB, one INSERT each, from memory".to_owned(), contenders, goals }
}

fn relays(settings: Arc<Settings>) -> Plan {
    let (mut contenders, mut goals) = (Vec::new(), Vec::new());
    let events = settings.scaled(RELAYED);
    for (name, batch, calls) in [
        (DEFAULTS, None, None),
        ("batch 100, calls 1", Some(100), Some(1)),
        ("batch 100, calls 4", Some(100), Some(4)),
        ("batch 100, calls 8", Some(100), Some(8)),
        ("batch 250, calls 1", Some(250), Some(1)),
        ("batch 250, calls 4", Some(250), Some(4)),
        ("batch 250, calls 8", Some(250), Some(8)),
        ("batch 1000, calls 1", Some(1_000), Some(1)),
        ("batch 1000, calls 4", Some(1_000), Some(4)),
        ("batch 1000, calls 8", Some(1_000), Some(8)),
        ("batch 2000, calls 1", Some(2_000), Some(1)),
        ("batch 2000, calls 4", Some(2_000), Some(4)),
        ("batch 2000, calls 8", Some(2_000), Some(8)),
    ] {
        let settings = Arc::clone(&settings);
        let option = |name: &str, value: Option<u32>| value.map(|value| format!("--{name}={value}"));
        let more: Vec<String> = option("batch", batch).into_iter().chain(option("calls", calls)).collect();
        let run = move || {
            let (settings, more) = (Arc::clone(&settings), more.clone());
            async move { relay(settings, events, &more).await }
        };
        contenders.push(Contender::new("", name, role(name), run));
        goals.extend(goal("", name));
    }
    Plan { sizes: format!("{events} events of 1 KiB to Kafka"), contenders, goals }
}

fn role(name: &str) -> Role {
    if name == DEFAULTS { Role::Ours } else { Role::Limit }
}

/// The defaults reach nine tenths of the best rate.
fn goal(group: &str, name: &'static str) -> Option<Goal> {
    let (group, target) = (group.to_owned(), Target::AtLeast(0.9));
    (name != DEFAULTS).then_some(Goal { group, figure: FIGURE, over: DEFAULTS, under: Some(name), target })
}
