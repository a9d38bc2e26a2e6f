//! E2: typed topics of one SQLite file, beside bare statements and queues of Python.

mod append;
mod bare;
mod claim;
mod fixture;
mod growth;
mod pipeline;
mod python;

use std::sync::Arc;

use messagekit_sqlite::Synchronous;

use super::embedded::{Work, measure};
use crate::frame::{Better, Cell, Contender, Goal, Plan, Role, Target};
use crate::settings::Settings;
use fixture::UNITS;
pub(super) use fixture::ledger;
pub(crate) use growth::E3;

pub(crate) const E2: Cell = Cell {
    id: "E2",
    title: "typed topics: append, claim, pipeline",
    figure: UNITS.rate,
    better: Better::Higher,
    plan,
};

const RECORDS: usize = 40_000;
/// Records of a call that appends many.
const BATCH: usize = 100;
/// Records of a claim, and of a commit of a pipeline.
const CLAIM: u32 = 128;

const BARE: &str = "bare rusqlite, the same statements";
const ONE: &str = "messagekit-topics, 1 appender";
const MANY: &str = "messagekit-topics, 64 appenders";
const OURS: &str = "messagekit-topics";
const WHEEL: &str = "messagekit_rs (Python)";
const SHAPE: &str = "minikafka's shape (Python)";
const HONKER: &str = "honker 0.2 (Python)";

/// Queues of Python, with the modes in which they commit.
const PEERS: [(&str, &str, Synchronous); 4] = [
    ("litequeue 0.9 (Python)", "litequeue", Synchronous::Normal),
    ("persist-queue 1.1 (Python)", "persist-queue", Synchronous::Full),
    ("simplebroker 8.7 (Python)", "simplebroker", Synchronous::Full),
    (HONKER, "honker", Synchronous::Normal),
];

fn plan(settings: Arc<Settings>) -> Plan {
    let mut plan = Plan {
        sizes: "records of 200 bytes, one partition; a commit per append where nothing else is said"
            .to_owned(),
        contenders: Vec::new(),
        goals: Vec::new(),
    };
    for (mode, synchronous) in [("FULL", Synchronous::Full), ("NORMAL", Synchronous::Normal)] {
        add_ours(&mut plan, &settings, mode, synchronous);
        add_python(&mut plan, &settings, mode, synchronous);
        add_goals(&mut plan, settings.peers, mode, synchronous);
    }
    plan
}

fn add_ours(plan: &mut Plan, settings: &Arc<Settings>, mode: &str, synchronous: Synchronous) {
    let (many, few) = (settings.scaled(RECORDS), settings.scaled(RECORDS / 4));
    let mut add = |work: &str, name: &'static str, role, records, run: Work| {
        let settings = Arc::clone(settings);
        let run = move || measure(Arc::clone(&settings), UNITS, synchronous, records, run);
        plan.contenders.push(Contender::new(format!("{work}, {mode}"), name, role, run));
    };
    add("append", BARE, Role::Limit, few, |run| Box::pin(bare::append(run, 1, false)));
    add("append", ONE, Role::Ours, few, |run| Box::pin(append::by(run, 1)));
    add("append", MANY, Role::Ours, many, |run| Box::pin(append::by(run, 64)));
    add("append 100", BARE, Role::Limit, many, |run| Box::pin(bare::append(run, BATCH, false)));
    add("append 100", OURS, Role::Ours, many, |run| Box::pin(append::extend(run, BATCH, false)));
    add("append 100, dedup", BARE, Role::Limit, many, |run| Box::pin(bare::append(run, BATCH, true)));
    add("append 100, dedup", OURS, Role::Ours, many, |run| Box::pin(append::extend(run, BATCH, true)));
    add("claim 128", BARE, Role::Limit, many, |run| Box::pin(bare::claim(run, CLAIM)));
    add("claim 128", OURS, Role::Ours, many, |run| Box::pin(claim::run(run, CLAIM)));
    add("pipeline", BARE, Role::Limit, many, |run| Box::pin(bare::pipeline(run, CLAIM)));
    add("pipeline", OURS, Role::Ours, many, |run| Box::pin(pipeline::run(run, CLAIM as usize)));
}

fn add_python(plan: &mut Plan, settings: &Arc<Settings>, mode: &str, synchronous: Synchronous) {
    let (many, few) = (settings.scaled(RECORDS), settings.scaled(RECORDS / 10));
    let mut add = |work: &'static str, name: &'static str, role, records, library: &'static str| {
        let settings = Arc::clone(settings);
        let run = move || {
            let settings = Arc::clone(&settings);
            async move { python::measure(&settings, synchronous, records, library, work) }
        };
        plan.contenders.push(Contender::new(format!("{work}, {mode}"), name, role, run));
    };
    add("append", SHAPE, Role::Peer, few, "shape");
    if !settings.peers {
        return;
    }
    for work in ["append", "append 100", "claim 128", "pipeline"] {
        let records = if work == "append" { few } else { many };
        add(work, WHEEL, Role::Ours, records, "messagekit");
        let slow = if work == "append 100" || work == "append" { few } else { few / 2 };
        if work != "append" {
            add(work, SHAPE, Role::Peer, slow, "shape");
        }
        for (name, library, own) in PEERS {
            if own == synchronous && (work != "pipeline" || library == "honker") {
                add(work, name, Role::Peer, if library == "honker" { records } else { slow }, library);
            }
        }
    }
}

fn add_goals(plan: &mut Plan, peers: bool, mode: &str, synchronous: Synchronous) {
    let mut goal = |work: &str, over, under, least| {
        let (group, target) = (format!("{work}, {mode}"), Target::AtLeast(least));
        plan.goals.push(Goal { group, figure: UNITS.rate, over, under: Some(under), target });
    };
    goal("append", ONE, BARE, 0.8);
    goal("append 100", OURS, BARE, 0.6);
    goal("append 100, dedup", OURS, BARE, 0.6);
    goal("pipeline", OURS, BARE, 0.6);
    if synchronous == Synchronous::Full {
        goal("append", MANY, SHAPE, 5.0);
    }
    if !peers {
        return;
    }
    for work in ["append 100", "pipeline"] {
        goal(work, WHEEL, SHAPE, 3.0);
    }
    for (name, library, own) in PEERS {
        if own == synchronous && library != "honker" {
            goal("append 100", WHEEL, name, 3.0);
        }
    }
    if synchronous == Synchronous::Normal {
        goal("append 100", OURS, HONKER, 1.0);
        goal("claim 128", OURS, HONKER, 1.0);
    }
}
