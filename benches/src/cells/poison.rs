//! R5: the broker refuses an event, and the later events of its key wait.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use messagekit::{Message, MessageId, headers};

use super::drain_kafka::start;
use crate::events::messages_to;
use crate::frame::{Better, Cell, Contender, Goal, Measured, Meter, Outcome, Plan, Role, Target};
use crate::resources::{Database, Program, Topic};
use crate::settings::Settings;

pub(crate) const R5: Cell = Cell {
    id: "R5",
    title: "drain a backlog to Kafka past a poisoned key",
    figure: "events/s",
    better: Better::Higher,
    plan,
};

const EVENTS: usize = 100_000;
const HEALTHY: &str = "messagekit relay, no key is poisoned";
const POISONED: &str = "messagekit relay, the busiest key is poisoned";
/// The key with the most events, a twentieth of them.
const KEY: &str = "account-0";
/// The topic's limit in bytes, above every request of small events.
const LARGEST: usize = 600_000;
/// The size of the poison event in bytes, which the outbox accepts.
const POISON: usize = 850_000;
/// How long the broker's refusal may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn plan(settings: Arc<Settings>) -> Plan {
    let events = settings.scaled(EVENTS);
    let (first, second) = (Arc::clone(&settings), settings);
    let contenders = vec![
        Contender::new("", HEALTHY, Role::Limit, move || drain(Arc::clone(&first), events, false)),
        Contender::new("", POISONED, Role::Ours, move || drain(Arc::clone(&second), events, true)),
    ];
    let target = Target::AtLeast(0.9);
    let goal = Goal { group: String::new(), figure: R5.figure, over: POISONED, under: Some(HEALTHY), target };
    let sizes = format!(
        "{events} events of 1 KiB, 6 partitions; one of {POISON} bytes, which the topic refuses, before all others of {KEY}; it is \
         discarded when the rest has left: then those behind it follow, in order; copies are counted and are no fault"
    );
    Plan { sizes, contenders, goals: vec![goal] }
}

async fn drain(settings: Arc<Settings>, events: usize, poisoned: bool) -> Outcome<Measured> {
    let topic = Topic::with(settings.kafka()?, LARGEST).await?;
    let database = Database::for_relay(settings.database()?).await?;
    let mut messages = messages_to(&topic.name, events)?;
    let mut behind = 0;
    if poisoned {
        let is_behind = |message: &&Message| message.key.as_deref() == Some(KEY.as_bytes());
        behind = messages.iter().filter(is_behind).count();
        let first = messages.iter().find(is_behind).ok_or("no event has the key")?;
        // Random bytes, because compression must not shrink them.
        let mut dice = fastrand::Rng::with_seed(5);
        let payload: Vec<u8> = std::iter::repeat_with(|| dice.u8(..)).take(POISON).collect();
        let poison = Message { payload: payload.into(), ..first.clone() };
        messages.insert(0, poison.with_header(headers::ID, MessageId::new().to_string()));
    }
    database.fill(&messages).await?;
    drop(messages);
    let meter = Meter::start(settings.parts());
    let mut program = start(&settings, &database, "bench", &[])?;
    let watched = topic.until(events - behind).await?;
    let cpu = meter.per_100k(events - behind);
    program.is_alive()?;
    if poisoned {
        only_they_wait(&database, behind).await?;
        let mut discard = Command::new(settings.program()?);
        discard.args(["outbox", "rejected", "discard", "--all", "--yes", "--database", &database.url]);
        Program::finish(discard).await?;
    }
    let ledger = topic.judge(events).await?;
    let mut measured = Measured::new(ledger);
    // Events of the key that the broker accepted before it refused the poison event are published once more.
    measured.may_double = poisoned;
    let (held_back, copies) = (behind as f64, ledger.doubled as f64);
    let measured = measured.with(R5.figure, watched.rate).with("held back", held_back);
    Ok(measured.with("copies", copies).with_all(cpu))
}

/// Waits until one event is rejected and `behind` events wait behind it: the others may arrive before the broker has refused it.
async fn only_they_wait(database: &Database, behind: usize) -> Outcome<()> {
    let store = database.store().await?;
    let sql = "SELECT count(error), count(*) - count(error) FROM messagekit.outbox_rejected";
    let (began, wanted) = (Instant::now(), (1, i64::try_from(behind)?));
    loop {
        let (refused, waiting): (i64, i64) = sqlx::query_as(sql).fetch_one(store.pool()).await?;
        if (refused, waiting) == wanted {
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            return Err(
                format!("{refused} events are rejected, and {waiting} of {behind} wait behind them").into()
            );
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
