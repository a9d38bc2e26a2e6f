//! R1: a backlog in PostgreSQL, until all of it is in Kafka.

use std::process::Command;
use std::sync::Arc;

use messagekit::adapter::BoxFuture;

use crate::events::messages_to;
use crate::frame::{Better, Cell, Contender, Goal, Measured, Meter, Outcome, Plan, Role, Target};
use crate::peers::{self, Peer};
use crate::raw;
use crate::resources::{Database, Program, TOGETHER, Topic};
use crate::settings::Settings;

pub(crate) const R1: Cell =
    Cell { id: "R1", title: "drain a backlog to Kafka", figure: "events/s", better: Better::Higher, plan };

const EVENTS: usize = 100_000;

pub(super) const SKETCH: &str = "sketch of the same structure";
pub(super) const OURS: &str = "messagekit relay";
/// The number of events that were published before.
const PUBLISHED: usize = 1_000_000;
const BEHIND: &str = "messagekit relay behind what was published";
const EMPTY: &str = "an empty outbox";
const FULL: &str = "1,000,000 published events";
const DEBEZIUM: &str = "Debezium";

type Work = fn(Arc<Settings>, usize) -> BoxFuture<'static, Outcome<Measured>>;

fn plan(settings: Arc<Settings>) -> Plan {
    let events = settings.scaled(EVENTS);
    let with = |run: Work| {
        let settings = Arc::clone(&settings);
        move || run(Arc::clone(&settings), events)
    };
    let mut contenders = vec![
        Contender::new("", SKETCH, Role::Limit, with(|settings, events| Box::pin(sketch(settings, events)))),
        Contender::new("", OURS, Role::Ours, with(|settings, events| Box::pin(ours(settings, events)))),
        Contender::new(
            "",
            DEBEZIUM,
            Role::Peer,
            with(|settings, events| Box::pin(debezium(settings, events))),
        ),
    ];
    let goal = |under, target| Goal {
        group: String::new(),
        figure: R1.figure,
        over: OURS,
        under: Some(under),
        target,
    };
    let mut goals = vec![goal(SKETCH, Target::AtLeast(0.5)), goal(DEBEZIUM, Target::AtLeast(1.0))];
    if settings.peers {
        for peer in &peers::RELAYS {
            goals.push(goal(peer.name, Target::AtLeast(6.0)));
            let settings = Arc::clone(&settings);
            let run = move || theirs(Arc::clone(&settings), peer, events / 10);
            contenders.push(Contender::new("", peer.name, Role::Peer, run));
        }
    }
    let full = settings.scaled(PUBLISHED);
    for (name, role, published) in [(EMPTY, Role::Limit, 0), (FULL, Role::Ours, full)] {
        let settings = Arc::clone(&settings);
        let run = move || beside(Arc::clone(&settings), events, published);
        contenders.push(Contender::new(BEHIND, name, role, run));
    }
    let group = BEHIND.to_owned();
    goals.push(Goal {
        group,
        figure: R1.figure,
        over: FULL,
        under: Some(EMPTY),
        target: Target::AtLeast(0.9),
    });
    let sizes = format!(
        "{events} events of 1 KiB, {TOGETHER} in a transaction, 6 partitions, from the first record to the last; peers a tenth of them"
    );
    Plan { sizes, contenders, goals }
}

async fn sketch(settings: Arc<Settings>, events: usize) -> Outcome<Measured> {
    let (database, topic) = backlog(&settings, events, false).await?;
    let meter = Meter::start(settings.parts());
    let relaying = tokio::spawn(raw::relay::relay(database.store().await?, settings.kafka()?.to_owned()));
    let watched = topic.until(events).await?;
    let cpu = meter.per_100k(events);
    if relaying.is_finished() {
        relaying.await??;
        return Err("the sketch ended".into());
    }
    relaying.abort();
    let measured = Measured::new(topic.judge(events).await?);
    Ok(measured.with(R1.figure, watched.rate).with("seconds", watched.seconds).with_all(cpu))
}

async fn ours(settings: Arc<Settings>, events: usize) -> Outcome<Measured> {
    relay(settings, events, &[]).await
}

/// Drains a backlog in a table with events that were published before.
async fn beside(settings: Arc<Settings>, events: usize, published: usize) -> Outcome<Measured> {
    let (database, topic) = backlog(&settings, events, false).await?;
    // Disable the trigger that would make them pending.
    database
        .execute(format!(
            "SET session_replication_role = replica;
             INSERT INTO messagekit.outbox_events (event_id, topic, aggregate_id, payload)
               SELECT 'old-' || n, '{}', 'account-' || n % 10000, convert_to(repeat(md5(n::text), 8), 'UTF8')
               FROM generate_series(1, {published}) n",
            topic.name
        ))
        .await?;
    database.settle().await?;
    drain(settings, events, (database, topic), &[]).await
}

/// Drains a backlog with a relay and these options.
pub(super) async fn relay(settings: Arc<Settings>, events: usize, more: &[String]) -> Outcome<Measured> {
    let place = backlog(&settings, events, false).await?;
    drain(settings, events, place, more).await
}

async fn drain(
    settings: Arc<Settings>,
    events: usize,
    (database, topic): (Database, Topic),
    more: &[String],
) -> Outcome<Measured> {
    let meter = Meter::start(settings.parts());
    let mut program = start(&settings, &database, "bench", more)?;
    let watched = topic.until(events).await?;
    let cpu = meter.per_100k(events);
    program.is_alive()?;
    drop(program);
    let measured = Measured::new(topic.judge(events).await?);
    Ok(measured.with(R1.figure, watched.rate).with("seconds", watched.seconds).with_all(cpu))
}

/// Drains a backlog of `events` with a peer.
async fn theirs(settings: Arc<Settings>, peer: &'static Peer, events: usize) -> Outcome<Measured> {
    let (database, topic) = peers::backlog(&settings, peer, events).await?;
    let meter = Meter::start(settings.parts());
    let program = Program::start(peer.command(&settings, &database, &topic, "relay")?)?;
    let watched = until(program, &topic, events).await?;
    let cpu = meter.per_100k(events);
    let measured = Measured::new(topic.judge(events).await?);
    Ok(measured.with(R1.figure, watched.0).with("seconds", watched.1).with_all(cpu))
}

/// Returns rate and seconds, or the last output of the program when no record arrives.
async fn until(mut program: Program, topic: &Topic, events: usize) -> Outcome<(f64, f64)> {
    match topic.until(events).await {
        Ok(watched) => Ok((watched.rate, watched.seconds)),
        Err(error) => Err(program.is_alive().err().unwrap_or(error)),
    }
}

async fn debezium(settings: Arc<Settings>, events: usize) -> Outcome<Measured> {
    let worker =
        settings.parts().connect.ok_or("the worker of Kafka Connect does not run on this machine")?;
    let (database, topic) = backlog(&settings, events, true).await?;
    let meter = Meter::start_over(settings.parts(), worker);
    let connector = |arguments: &[&str]| -> Outcome<Command> {
        let mut command = Command::new(settings.program()?);
        command.arg("connector").args(arguments).args([
            "--database",
            &database.url,
            "--connect",
            settings.connect()?,
        ]);
        Ok(command)
    };
    // The command returns once the connector reads, and by then every record may have arrived.
    let (applied, watched) = tokio::join!(Program::finish(connector(&["apply"])?), topic.until(events));
    let cpu = meter.per_100k(events);
    // Delete the slot too: it would prevent the removal of the database.
    Program::finish(connector(&["delete", "--slot", "--yes"])?).await?;
    applied?;
    let watched = watched?;
    let measured = Measured::new(topic.judge(events).await?);
    Ok(measured.with(R1.figure, watched.rate).with("seconds", watched.seconds).with_all(cpu))
}

/// Creates a database with a backlog for a topic.
pub(super) async fn backlog(
    settings: &Settings,
    events: usize,
    for_debezium: bool,
) -> Outcome<(Database, Topic)> {
    let topic = Topic::make(settings.kafka()?).await?;
    let database = if for_debezium {
        Database::for_debezium(settings.database()?, &settings.program()?).await?
    } else {
        Database::for_relay(settings.database()?).await?
    };
    database.fill(&messages_to(&topic.name, events)?).await?;
    Ok((database, topic))
}

/// Starts a relay as users do.
pub(super) fn start(
    settings: &Settings,
    database: &Database,
    name: &str,
    more: &[String],
) -> Outcome<Program> {
    let mut command = Command::new(settings.program()?);
    command.args(["relay", "--name", name, "--database", &database.url, "--listen", "127.0.0.1:0"]);
    command.args(["--kafka", settings.kafka()?]).args(more);
    Program::start(command)
}
