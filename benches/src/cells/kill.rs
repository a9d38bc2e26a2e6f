//! K1: a relay is killed in the middle of a drain.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::drain_kafka::{backlog, start};
use crate::frame::{Better, Cell, Contender, Goal, Ledger, Measured, Outcome, Plan, Role, Target};
use crate::peers::{self, Peer};
use crate::resources::{Program, Topic};
use crate::settings::Settings;

pub(crate) const K1: Cell =
    Cell { id: "K1", title: "kill -9 in the middle of a drain", figure: STALL, better: Better::Lower, plan };

const EVENTS: usize = 100_000;
const STALL: &str = "seconds of silence";
const ALL: &str = "seconds until all is visible";
const COPIES: &str = "copies";
const RESTARTED: &str = "messagekit relay, started again at once";
const TAKEN_OVER: &str = "messagekit relay, another one is running";
/// The most copies that are wanted, fewer than a drain may have in flight: 4 MiB and a page.
const MOST_COPIES: f64 = 2_000.0;

fn plan(settings: Arc<Settings>) -> Plan {
    let events = settings.scaled(EVENTS);
    let mut contenders = Vec::new();
    for (name, another) in [(RESTARTED, false), (TAKEN_OVER, true)] {
        let settings = Arc::clone(&settings);
        contenders
            .push(Contender::new("", name, Role::Ours, move || ours(Arc::clone(&settings), events, another)));
    }
    if settings.peers {
        for peer in &peers::RELAYS {
            let settings = Arc::clone(&settings);
            let run = move || theirs(Arc::clone(&settings), peer, events / 10);
            contenders.push(Contender::new("", peer.name, Role::Peer, run));
        }
    }
    let goal = |over, figure, most| Goal {
        group: String::new(),
        figure,
        over,
        under: None,
        target: Target::AtMost(most),
    };
    let goals = vec![
        goal(RESTARTED, STALL, 1.0),
        goal(TAKEN_OVER, STALL, 5.0),
        goal(RESTARTED, COPIES, MOST_COPIES),
        goal(TAKEN_OVER, COPIES, MOST_COPIES),
    ];
    Plan {
        sizes: format!(
            "{events} events of 1 KiB to Kafka, peers a tenth of them; copies are counted and are no fault"
        ),
        contenders,
        goals,
    }
}

async fn ours(settings: Arc<Settings>, events: usize, another: bool) -> Outcome<Measured> {
    let (database, topic) = backlog(&settings, events, false).await?;
    let victim = start(&settings, &database, "bench", &[])?;
    let mut other = if another { Some(start(&settings, &database, "other", &[])?) } else { None };
    topic.until(middle(events)).await?;
    let killed = victim.kill()?;
    if !another {
        other = Some(start(&settings, &database, "bench", &[])?);
    }
    let seen = watch(&topic, killed, events).await?;
    // Duplicates come last when a shard is published again: wait until no event is pending.
    let store = database.store().await?;
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let pending = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM messagekit.outbox_pending");
        if pending.fetch_one(store.pool()).await? == 0 {
            break;
        }
        if Instant::now() > deadline {
            return Err("events are still pending two minutes after the last one was seen".into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    if let Some(other) = &mut other {
        other.is_alive()?;
    }
    Ok(seen.measured(topic.judge(events).await?))
}

/// Kills a peer in the middle of a drain and restarts it at once.
async fn theirs(settings: Arc<Settings>, peer: &'static Peer, events: usize) -> Outcome<Measured> {
    let (database, topic) = peers::backlog(&settings, peer, events).await?;
    let victim = Program::start(peer.command(&settings, &database, &topic, "relay")?)?;
    topic.until(middle(events)).await?;
    let killed: Instant = victim.kill()?;
    let _again = Program::start(peer.command(&settings, &database, &topic, "relay")?)?;
    let seen = watch(&topic, killed, events).await?;
    Ok(seen.measured(topic.judge(events).await?))
}

/// Returns the number of events before the kill: in the middle of a batch of every contender, not between two batches.
fn middle(events: usize) -> usize {
    events * 453 / 1_000
}

/// The times at which events became visible after a kill.
struct Seen {
    /// The longest time without a new record, in seconds.
    silence: f64,
    /// The time until every event had appeared, in seconds.
    all: f64,
}

impl Seen {
    fn measured(self, ledger: Ledger) -> Measured {
        let mut measured = Measured::new(ledger);
        measured.may_double = true;
        measured.with(STALL, self.silence).with(ALL, self.all).with(COPIES, ledger.doubled as f64)
    }
}

/// Polls a topic from the kill until it has every event, or until no record has arrived for two minutes.
async fn watch(topic: &Topic, killed: Instant, events: usize) -> Outcome<Seen> {
    let (mut count, mut since, mut silence) = (0, killed, 0.0_f64);
    while since.elapsed() < Duration::from_secs(120) {
        let now = topic.count().await?;
        if now > count {
            silence = silence.max(since.elapsed().as_secs_f64());
            (count, since) = (now, Instant::now());
            // Duplicates count as records, so the count can be reached while events are missing.
            if count >= events as u64 && topic.judge_now(events).await?.lost == 0 {
                break;
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(Seen { silence, all: (since - killed).as_secs_f64() })
}
