//! R1Q: a backlog in PostgreSQL, until all of it is in a quorum queue.

use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use super::bridge::bare;
use crate::events::{messages, messages_to};
use crate::frame::{Better, Cell, Contender, Goal, Measured, Meter, Outcome, Plan, Role, Target};
use crate::resources::{Database, Program, Queue};
use crate::settings::Settings;

pub(crate) const R1Q: Cell = Cell {
    id: "R1Q",
    title: "drain a backlog to RabbitMQ",
    figure: "events/s",
    better: Better::Higher,
    plan,
};

const EVENTS: usize = 50_000;
const WINDOW: usize = 1_000;
const BARE: &str = "bare lapin, 1000 unconfirmed";
const OURS: &str = "messagekit relay";

fn plan(settings: Arc<Settings>) -> Plan {
    let events = settings.scaled(EVENTS);
    let (first, second) = (Arc::clone(&settings), settings);
    let contenders = vec![
        Contender::new("", BARE, Role::Limit, move || publish(Arc::clone(&first), events)),
        Contender::new("", OURS, Role::Ours, move || relay(Arc::clone(&second), events)),
    ];
    let target = Target::AtLeast(0.7);
    let goal = Goal { group: String::new(), figure: R1Q.figure, over: OURS, under: Some(BARE), target };
    let sizes = format!("{events} events of 1 KiB to a quorum queue, mandatory, confirmed");
    Plan { sizes, contenders, goals: vec![goal] }
}

async fn publish(settings: Arc<Settings>, events: usize) -> Outcome<Measured> {
    let queue = Queue::make(settings.rabbitmq()?).await?;
    let messages = messages(events)?;
    let meter = Meter::start(settings.parts());
    let began = Instant::now();
    bare::publish(&queue, &messages, WINDOW).await?;
    let rate = events as f64 / began.elapsed().as_secs_f64();
    let cpu = meter.per_100k(events);
    Ok(Measured::new(queue.judge(events).await?).with(R1Q.figure, rate).with_all(cpu))
}

async fn relay(settings: Arc<Settings>, events: usize) -> Outcome<Measured> {
    let queue = Queue::make(settings.rabbitmq()?).await?;
    let database = Database::for_relay(settings.database()?).await?;
    database.fill(&messages_to("bench.event", events)?).await?;
    let meter = Meter::start(settings.parts());
    let mut command = Command::new(settings.program()?);
    command.args(["relay", "--name", "bench", "--database", &database.url, "--listen", "127.0.0.1:0"]);
    command.args(["--rabbitmq", settings.rabbitmq()?, "--exchange", &queue.name]);
    let mut program = Program::start(command)?;
    let watched = queue.until(events).await?;
    let cpu = meter.per_100k(events);
    program.is_alive()?;
    drop(program);
    Ok(Measured::new(queue.judge(events).await?).with(R1Q.figure, watched.rate).with_all(cpu))
}
