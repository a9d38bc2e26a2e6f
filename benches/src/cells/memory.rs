//! M1: memory and processor time of a relay, idle and at work.

use std::sync::Arc;
use std::time::Duration;

use super::drain_kafka::{backlog, start};
use crate::frame::{Better, Cell, Contender, Goal, Measured, Meter, Outcome, Plan, Role, Target, resident};
use crate::resources::Program;
use crate::settings::Settings;

pub(crate) const M1: Cell =
    Cell { id: "M1", title: "memory and processor of a relay", figure: MEMORY, better: Better::Lower, plan };

const EVENTS: usize = 100_000;
const IDLE: Duration = Duration::from_secs(5);
const MEMORY: &str = "RSS MiB";
const SPENT: &str = "CPU-s/100k process";
const SHARE: &str = "% of a core";
const AT_WORK: &str = "messagekit relay, draining";
const AT_REST: &str = "messagekit relay, idle";

fn plan(settings: Arc<Settings>) -> Plan {
    let events = settings.scaled(EVENTS);
    let (first, second) = (Arc::clone(&settings), Arc::clone(&settings));
    let contenders = vec![
        Contender::new("", AT_REST, Role::Ours, move || at_rest(Arc::clone(&first))),
        Contender::new("", AT_WORK, Role::Ours, move || at_work(Arc::clone(&second), events)),
    ];
    let goal = |over, figure, most| Goal {
        group: String::new(),
        figure,
        over,
        under: None,
        target: Target::AtMost(most),
    };
    let goals = vec![goal(AT_REST, MEMORY, 25.0), goal(AT_WORK, MEMORY, 25.0), goal(AT_WORK, SPENT, 4.0)];
    let sizes = format!(
        "{events} events of 1 KiB to Kafka; idle for {:?}; the largest of what was looked at",
        settings.watched(IDLE)
    );
    Plan { sizes, contenders, goals }
}

async fn at_rest(settings: Arc<Settings>) -> Outcome<Measured> {
    let (database, topic) = backlog(&settings, 1, false).await?;
    let program = start(&settings, &database, "bench", &[])?;
    topic.until(1).await?;
    let meter = Meter::start_over(settings.parts(), program.pid());
    let mut most = 0.0_f64;
    let idle = settings.watched(IDLE);
    for _ in 0..10 {
        tokio::time::sleep(idle / 10).await;
        most = most.max(memory(&program)?);
    }
    let seconds = meter
        .per_100k(100_000)
        .into_iter()
        .find(|(name, _)| *name == SPENT)
        .map_or(f64::NAN, |(_, spent)| spent);
    let measured = Measured::new(topic.judge(1).await?).with(MEMORY, most);
    Ok(measured.with(SHARE, seconds / idle.as_secs_f64() * 100.0))
}

async fn at_work(settings: Arc<Settings>, events: usize) -> Outcome<Measured> {
    let (database, topic) = backlog(&settings, events, false).await?;
    let program = start(&settings, &database, "bench", &[])?;
    let meter = Meter::start_over(settings.parts(), program.pid());
    let looking = async {
        let mut most = 0.0_f64;
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            most = most.max(memory(&program)?);
            if topic.count().await? >= events as u64 {
                return Outcome::Ok(most);
            }
        }
    };
    let limit = Duration::from_secs(600);
    let most = tokio::time::timeout(limit, looking).await.map_err(|_| "the drain does not end")??;
    let cpu = meter.per_100k(events);
    Ok(Measured::new(topic.judge(events).await?).with(MEMORY, most).with_all(cpu))
}

fn memory(program: &Program) -> Outcome<f64> {
    Ok(resident(program.pid()).ok_or("the relay has ended")?)
}
