//! L1: a topic of Kafka, read as a log.

use std::future::poll_fn;
use std::sync::Arc;

use messagekit::log::{Log, Page, PartitionStart};
use messagekit_kafka::Kafka;

use super::arrivals::Arrivals;
use super::bare::{self, BARE};
use super::fixture::{BYTES, FIGURE, PARTITIONS, PATIENCE, RECORDS, Shared, Spread};
use crate::frame::{Better, Cell, Contender, Goal, Measured, Meter, Outcome, Plan, Role, Target};
use crate::settings::Settings;

pub(crate) const L1: Cell =
    Cell { id: "L1", title: "read a topic of Kafka as a log", figure: FIGURE, better: Better::Higher, plan };

/// The most records of a page.
const PAGE: usize = 1_000;
const OURS: &str = "Kafka::log";

fn plan(settings: Arc<Settings>) -> Plan {
    let records = settings.scaled(RECORDS);
    let shared = Shared::new(&settings, Spread::Even, records);
    let (first, second) = (shared.clone(), shared);
    let contenders = vec![
        Contender::new("", BARE, Role::Limit, move || bare::read(first.clone(), Arrivals::expecting)),
        Contender::new("", OURS, Role::Ours, move || ours(second.clone())),
    ];
    let goal = Goal {
        group: String::new(),
        figure: L1.figure,
        over: OURS,
        under: Some(BARE),
        target: Target::AtLeast(0.6),
    };
    let sizes = format!(
        "{records} records of {BYTES} bytes in {PARTITIONS} partitions, pages of {PAGE}, from the first record to the last"
    );
    Plan { sizes, contenders, goals: vec![goal] }
}

async fn ours(shared: Shared) -> Outcome<Measured> {
    let name = shared.name().await?;
    let meter = Meter::start(shared.settings().parts());
    let (log, name) = (Kafka::new(shared.brokers()?).log(), Arc::from(name));
    let starts: Vec<_> = (0..PARTITIONS).map(|partition| (partition, PartitionStart::Earliest)).collect();
    let mut reader = log.open(&name, &starts).await?;
    let mut arrivals = Arrivals::expecting(shared.records);
    while !arrivals.is_complete() {
        let next = poll_fn(|cx| reader.poll_page(PAGE, cx));
        let page = tokio::time::timeout(PATIENCE, next).await.map_err(|_| "no more records arrive")??;
        if let Page::Records(read) = page {
            for record in read {
                arrivals.see(record.position.partition, record.position.offset, record.message.payload.len());
            }
        }
    }
    let (ledger, rate) = arrivals.verdict();
    let cpu = meter.per_100k(shared.records);
    Ok(Measured::new(ledger).with(L1.figure, rate).with_all(cpu))
}
