//! W2: many writers at once, with and without waking a relay at each commit.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::try_join_all;
use messagekit::relay::Relay;
use messagekit::{Outbox, Shutdown, Store};
use messagekit_memory::MemoryLog;

use super::write::WRITTEN;
use crate::events::{Made, events};
use crate::frame::{Better, Cell, Contender, Goal, Ledger, Measured, Meter, Outcome, Plan, Role, Target};
use crate::resources::Database;
use crate::settings::Settings;

pub(crate) const W2: Cell =
    Cell { id: "W2", title: "64 writers at once", figure: "commits/s", better: Better::Higher, plan };

const WRITERS: usize = 64;
const COMMITS: usize = 20_000;
const ASLEEP: &str = "store.commit, which wakes no relay";
const WOKEN: &str = "outbox.commit, which wakes the relay";

fn plan(settings: Arc<Settings>) -> Plan {
    let commits = settings.scaled(COMMITS);
    let contender = |name: &str, role, wakes| {
        let settings = Arc::clone(&settings);
        Contender::new("", name, role, move || write(Arc::clone(&settings), commits, wakes))
    };
    let contenders = vec![contender(ASLEEP, Role::Limit, false), contender(WOKEN, Role::Ours, true)];
    let target = Target::AtLeast(0.95);
    let goal = Goal { group: String::new(), figure: W2.figure, over: WOKEN, under: Some(ASLEEP), target };
    let sizes =
        format!("{commits} commits of one event, a relay runs in the process and publishes to memory");
    Plan { sizes, contenders, goals: vec![goal] }
}

async fn write(settings: Arc<Settings>, commits: usize, wakes: bool) -> Outcome<Measured> {
    let database = Database::for_relay(settings.database()?).await?;
    let store = database.store().await?;
    let outbox = Outbox::new(store.clone(), "bench")?;
    let relay =
        Relay::builder("bench").reader(Arc::new(store.clone())).to(Arc::new(MemoryLog::new(6))).build()?;
    let shutdown = Shutdown::new();
    let relaying = tokio::spawn(relay.run(shutdown.clone()));
    let mut shares: Vec<Vec<Made>> = vec![Vec::new(); WRITERS];
    for (number, event) in events(commits).enumerate() {
        shares[number % WRITERS].push(event);
    }
    let meter = Meter::start(settings.parts());
    let began = Instant::now();
    let writers = shares.into_iter().map(|share| {
        let (store, outbox) = (store.clone(), outbox.clone());
        tokio::spawn(async move {
            for event in share {
                let mut tx = store.begin().await?;
                outbox.add(&mut tx, event).await?;
                if wakes {
                    outbox.commit(tx).await?;
                } else {
                    store.commit(tx).await?;
                }
            }
            Ok::<(), messagekit::Error>(())
        })
    });
    for writer in try_join_all(writers).await? {
        writer?;
    }
    let seconds = began.elapsed().as_secs_f64();
    let cpu = meter.per_100k(commits);
    shutdown.request();
    relaying.await??;
    // Writers of a key do not wait for each other here, so there is no order to check.
    let Ledger { lost, doubled, .. } = database.judge(commits, WRITTEN).await?;
    let measured = Measured::new(Ledger { lost, doubled, out_of_order: 0 });
    Ok(measured.with(W2.figure, commits as f64 / seconds).with_all(cpu))
}
