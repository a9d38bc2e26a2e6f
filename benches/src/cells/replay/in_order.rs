//! L2: a topic of Kafka, read in the order of its time.

use std::sync::Arc;

use jiff::Timestamp;
use messagekit::log::{OrderedReader, Start};
use messagekit_kafka::Kafka;

use super::arrivals::Arrivals;
use super::bare::{self, BARE};
use super::fixture::{BATCH, BYTES, FIGURE, PARTITIONS, PATIENCE, RECORDS, Shared, Spread};
use super::python;
use crate::frame::{Better, Cell, Contender, Goal, Measured, Meter, Outcome, Plan, Role, Target};
use crate::settings::Settings;

pub(crate) const L2: Cell = Cell {
    id: "L2",
    title: "read a topic of Kafka in the order of its time",
    figure: FIGURE,
    better: Better::Higher,
    plan,
};

const OURS: &str = "OrderedReader";
const WHEEL: &str = "messagekit_rs, as Arrow (Python)";
const KAFKARROW: &str = "kafkarrow 0.1.1, as Arrow (Python)";
const HEAP: &str = "confluent-kafka and a heap (Python)";

fn plan(settings: Arc<Settings>) -> Plan {
    let records = settings.scaled(RECORDS);
    let sizes = format!(
        "{records} records of {BYTES} bytes in {PARTITIONS} partitions, batches of {BATCH}, from opening to the last record"
    );
    let mut plan = Plan { sizes, contenders: Vec::new(), goals: Vec::new() };
    for (group, spread) in [("even", Spread::Even), ("60 % in one partition", Spread::Skewed)] {
        let shared = Shared::new(&settings, spread, records);
        add_readers(&mut plan, group, &shared);
        if settings.peers {
            add_python(&mut plan, group, &shared);
        }
        add_goals(&mut plan, group, settings.peers);
    }
    plan
}

fn add_readers(plan: &mut Plan, group: &str, shared: &Shared) {
    let (first, second) = (shared.clone(), shared.clone());
    plan.contenders.push(Contender::new(group, BARE, Role::Limit, move || {
        bare::read(first.clone(), Arrivals::from_now)
    }));
    plan.contenders.push(Contender::new(group, OURS, Role::Ours, move || ours(second.clone())));
}

fn add_python(plan: &mut Plan, group: &str, shared: &Shared) {
    let programs =
        [(WHEEL, Role::Ours, "messagekit"), (KAFKARROW, Role::Peer, "kafkarrow"), (HEAP, Role::Peer, "heap")];
    for (name, role, library) in programs {
        let shared = shared.clone();
        plan.contenders
            .push(Contender::new(group, name, role, move || python::read(shared.clone(), library)));
    }
}

fn add_goals(plan: &mut Plan, group: &str, peers: bool) {
    let mut goal = |over, under, least| {
        let (group, target) = (group.to_owned(), Target::AtLeast(least));
        plan.goals.push(Goal { group, figure: L2.figure, over, under: Some(under), target });
    };
    goal(OURS, BARE, 0.6);
    if peers {
        goal(WHEEL, BARE, 0.5);
        goal(WHEEL, KAFKARROW, 1.0);
        goal(WHEEL, HEAP, 1.0);
    }
}

async fn ours(shared: Shared) -> Outcome<Measured> {
    let name = shared.name().await?;
    let meter = Meter::start(shared.settings().parts());
    let mut arrivals = Arrivals::from_now(shared.records);
    let log = Arc::new(Kafka::new(shared.brokers()?).log());
    let builder = OrderedReader::builder().source(log, name, Start::Earliest).batch_size(BATCH);
    let mut reader = builder.open().await?;
    while !arrivals.is_complete() {
        let records = reader.poll(PATIENCE).await?;
        if records.is_empty() {
            return Err("no more records arrive".into());
        }
        for record in records {
            arrivals.see(record.position.partition, record.position.offset, record.message.payload.len());
            arrivals.see_time(record.timestamp.map_or(0, Timestamp::as_millisecond));
        }
    }
    let (ledger, rate) = arrivals.verdict();
    let cpu = meter.per_100k(shared.records);
    Ok(Measured::new(ledger).with(L2.figure, rate).with_all(cpu))
}
