//! W1: writing events on one connection, a few and many per transaction.

use std::sync::Arc;
use std::time::Instant;

use messagekit::{Outbox, Store};

use crate::events::{Made, events, messages};
use crate::frame::{Better, Cell, Contender, Goal, Measured, Meter, Outcome, Plan, Role, Target};
use crate::raw::outbox;
use crate::resources::Database;
use crate::settings::Settings;

pub(crate) const W1: Cell = Cell {
    id: "W1",
    title: "write events in a transaction",
    figure: "events/s",
    better: Better::Higher,
    plan,
};

/// Events per transaction, events per run, and the required ratio to the raw insert.
const SIZES: [(usize, usize, f64); 4] =
    [(1, 4_000, 0.9), (10, 20_000, 0.8), (100, 40_000, 0.7), (500, 60_000, 0.7)];

const RAW: &str = "BEGIN, INSERT, COMMIT by hand";
const OURS: &str = "outbox.add";

/// The rows of the tables after a run, in the order of the outbox.
pub(super) const WRITTEN: &str = "
SELECT aggregate_id, (convert_from(payload, 'UTF8')::json ->> 'number')::bigint FROM messagekit.outbox_events ORDER BY seq";

#[derive(Clone, Copy)]
enum Way {
    Raw,
    Ours,
    OursWithRelay,
}

fn plan(settings: Arc<Settings>) -> Plan {
    let mut contenders = Vec::new();
    let mut goals = Vec::new();
    for (each, events, part) in SIZES {
        let group = format!("{each} in a transaction");
        let ways = [
            (RAW, Role::Limit, Way::Raw),
            (OURS, Role::Ours, Way::Ours),
            ("outbox.add, with the relay's list", Role::Ours, Way::OursWithRelay),
        ];
        for (name, role, way) in ways {
            let settings = Arc::clone(&settings);
            let events = settings.scaled(events).next_multiple_of(each);
            contenders.push(Contender::new(&*group, name, role, move || {
                write(Arc::clone(&settings), way, events, each)
            }));
        }
        let target = Target::AtLeast(part);
        goals.push(Goal { group, figure: W1.figure, over: OURS, under: Some(RAW), target });
    }
    Plan { sizes: "1 KiB each, one connection, synchronous_commit=on".to_owned(), contenders, goals }
}

async fn write(settings: Arc<Settings>, way: Way, count: usize, each: usize) -> Outcome<Measured> {
    let server = settings.database()?;
    let database = match way {
        Way::OursWithRelay => Database::for_relay(server).await?,
        Way::Raw | Way::Ours => Database::migrated(server).await?,
    };
    let store = database.store().await?;
    // Open the connection and prepare its statements before the measurement starts.
    store.commit(store.begin().await?).await?;
    let meter = Meter::start(settings.parts());
    let seconds = match way {
        Way::Raw => {
            let messages = messages(count)?;
            let began = Instant::now();
            for messages in messages.chunks(each) {
                let mut tx = store.pool().begin().await?;
                outbox::insert(&mut tx, messages).await?;
                tx.commit().await?;
            }
            began.elapsed().as_secs_f64()
        }
        Way::Ours | Way::OursWithRelay => {
            let outbox = Outbox::new(store.clone(), "bench")?;
            let events: Vec<Made> = events(count).collect();
            let mut events = events.into_iter();
            let began = Instant::now();
            while events.len() > 0 {
                let mut tx = store.begin().await?;
                if each == 1 {
                    if let Some(event) = events.next() {
                        outbox.add(&mut tx, event).await?;
                    }
                } else {
                    outbox.add_all(&mut tx, events.by_ref().take(each)).await?;
                }
                outbox.commit(tx).await?;
            }
            began.elapsed().as_secs_f64()
        }
    };
    let measured = Measured::new(database.judge(count, WRITTEN).await?);
    Ok(measured.with(W1.figure, count as f64 / seconds).with_all(meter.per_100k(count)))
}
