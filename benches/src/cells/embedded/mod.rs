//! E1: one SQLite file, appending and consuming.

mod append;
mod bare;
mod consume;
mod fixture;
mod python;
mod run;
pub(crate) mod traced;

use std::sync::Arc;

use messagekit_sqlite::Synchronous;

use crate::frame::{Better, Cell, Contender, Goal, Plan, Role, Target};
use crate::settings::Settings;
pub(super) use fixture::{connect, database};
pub(super) use python::judged;
pub(super) use run::{Ran, Run, Units, Work, measure};

pub(crate) const E1: Cell = Cell {
    id: "E1",
    title: "one file: append and consume",
    figure: UNITS.rate,
    better: Better::Higher,
    plan,
};

const EVENTS: usize = 40_000;
/// The approximate number of events that the engine puts into a commit of 64 writers.
const GROUP: usize = 32;
/// What is measured, and what a group is counted in.
const UNITS: Units = Units { rate: "events/s", group: "events per commit" };

const ENGINE: &str = "messagekit-sqlite";
const ONE: &str = "messagekit-sqlite, 1 writer";
const MANY: &str = "messagekit-sqlite, 64 writers";
const BARE: &str = "bare rusqlite, the same statements";
const BARE_GROUP: &str = "bare rusqlite, 32 in a commit";

/// With their default settings.
const QUEUES: [(&str, Work); 2] = [
    ("litequeue 0.9 (Python)", |run| Box::pin(async move { python::queue(&run, "litequeue") })),
    ("persist-queue 1.1 (Python)", |run| Box::pin(async move { python::queue(&run, "persist-queue") })),
];

fn plan(settings: Arc<Settings>) -> Plan {
    let many = settings.scaled(EVENTS);
    let few = settings.scaled(EVENTS / 4);
    let (mut contenders, mut goals) = (Vec::new(), Vec::new());
    for (mode, synchronous) in [("FULL", Synchronous::Full), ("NORMAL", Synchronous::Normal)] {
        let mut add = |work: &str, name: &'static str, role, events, run: Work| {
            let settings = Arc::clone(&settings);
            let run = move || measure(Arc::clone(&settings), UNITS, synchronous, events, run);
            contenders.push(Contender::new(format!("{work}, {mode}"), name, role, run));
        };
        add("append", BARE, Role::Limit, few, |run| Box::pin(bare::append(run, 1)));
        add("append", ONE, Role::Ours, few, |run| Box::pin(append::engine(run, 1)));
        add("append", BARE_GROUP, Role::Limit, many, |run| Box::pin(bare::append(run, GROUP)));
        add("append", MANY, Role::Ours, many, |run| Box::pin(append::engine(run, 64)));
        if synchronous == Synchronous::Full {
            let (wal, delete) =
                ("Python sqlite3, WAL, a commit each", "Python sqlite3, default journal, a commit each");
            add("append", wal, Role::Peer, few, |run| Box::pin(async move { python::append(&run, "wal") }));
            add("append", delete, Role::Peer, few / 4, |run| {
                Box::pin(async move { python::append(&run, "delete") })
            });
        }
        if settings.peers && synchronous == Synchronous::Normal {
            for (name, run) in QUEUES {
                add("append", name, Role::Peer, few, run);
            }
        }
        add("consume", BARE, Role::Limit, many, |run| Box::pin(bare::consume(run, 200)));
        add("consume", ENGINE, Role::Ours, many, |run| Box::pin(consume::engine(run, false)));
        add("consume", "messagekit-sqlite, one by one", Role::Ours, few, |run| {
            Box::pin(consume::engine(run, true))
        });
        let mut goal = |work: &str, over, under, least| {
            let target = Target::AtLeast(least);
            goals.push(Goal {
                group: format!("{work}, {mode}"),
                figure: E1.figure,
                over,
                under: Some(under),
                target,
            });
        };
        goal("append", ONE, BARE, 0.8);
        goal("append", MANY, BARE_GROUP, 0.8);
        if synchronous == Synchronous::Full {
            goal("append", MANY, ONE, 5.0);
        }
        goal("consume", ENGINE, BARE, 0.8);
        goal("consume", ENGINE, "messagekit-sqlite, one by one", 5.0);
    }
    Plan {
        sizes: "1 KiB each, one commit per append where nothing else is said".to_owned(),
        contenders,
        goals,
    }
}
