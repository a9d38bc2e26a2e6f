//! K1: a relay is killed in the middle of a drain.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::drain_kafka::{backlog, start};
use crate::frame::{Better, Cell, Contender, Goal, Measured, Outcome, Plan, Role, Target};
use crate::peers;
use crate::settings::Settings;

pub(crate) const K1: Cell =
    Cell { id: "K1", title: "kill -9 at 40 % of a drain", figure: STALL, better: Better::Lower, plan };

const EVENTS: usize = 100_000;
pub(crate) const STALL: &str = "seconds of silence";
pub(crate) const ALL: &str = "seconds until all is visible";
pub(crate) const COPIES: &str = "copies";
const RESTARTED: &str = "messagekit relay, started again at once";
const TAKEN_OVER: &str = "messagekit relay, another one is running";
/// What may be under way of four calls of 500 events each.
const UNDER_WAY: f64 = 2_000.0;

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
            let run = move || peers::kill(Arc::clone(&settings), peer, events);
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
        goal(RESTARTED, COPIES, UNDER_WAY),
        goal(TAKEN_OVER, COPIES, UNDER_WAY),
    ];
    Plan {
        sizes: format!("{events} events of 1 KiB to Kafka; copies are counted and are no fault"),
        contenders,
        goals,
    }
}

async fn ours(settings: Arc<Settings>, events: usize, another: bool) -> Outcome<Measured> {
    let (database, topic) = backlog(&settings, events, false).await?;
    let victim = start(&settings, &database, "bench")?;
    let mut other = if another { Some(start(&settings, &database, "other")?) } else { None };
    topic.until(events * 2 / 5).await?;
    let killed = victim.kill()?;
    if !another {
        other = Some(start(&settings, &database, "bench")?);
    }
    let stalled = quiet(&topic, killed, events).await?;
    topic.until(events).await?;
    let all = killed.elapsed().as_secs_f64();
    // Copies come last when a slice is published again: wait until nothing is pending.
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
    let mut measured = Measured::new(topic.judge(events).await?);
    measured.may_double = true;
    let copies = measured.ledger.doubled as f64;
    Ok(measured.with(STALL, stalled).with(ALL, all).with(COPIES, copies))
}

/// The longest time without a new record, from the kill to the last one.
pub(crate) async fn quiet(topic: &crate::place::Topic, killed: Instant, events: usize) -> Outcome<f64> {
    let (mut count, mut since, mut longest) = (topic.count().await?, killed, 0.0_f64);
    while count < events as u64 && since.elapsed() < Duration::from_secs(120) {
        let now = topic.count().await?;
        if now > count {
            longest = longest.max(since.elapsed().as_secs_f64());
            (count, since) = (now, Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(longest)
}
