//! B2: the bridge is killed every five seconds and restarted at once.

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use messagekit::Message;
use messagekit::adapter::Publisher;
use messagekit_kafka::Kafka;
use tempfile::TempDir;
use tokio::time::MissedTickBehavior;

use crate::events::{messages_to, publish};
use crate::frame::{Better, Cell, Contender, Goal, Measured, Outcome, Plan, Role, Target};
use crate::resources::{Program, Queue, Topic};
use crate::settings::Settings;

pub(crate) const B2: Cell = Cell {
    id: "B2",
    title: "kill -9 of the bridge every five seconds",
    figure: SILENCE,
    better: Better::Lower,
    plan,
};

const MESSAGES: usize = 120_000;
const PER_SECOND: usize = 4_000;
const EVERY: Duration = Duration::from_secs(5);
/// Fewer kills prove nothing.
const KILLS: u32 = 2;
const TICK: Duration = Duration::from_millis(10);
const SILENCE: &str = "longest silence, s";
const AFTER: &str = "seconds until all is there";
const COPIES: &str = "copies per kill";
const LIVES: &str = "messagekit bridge, without kills";
const KILLED: &str = "messagekit bridge, started again at once";
/// The upper limit of repeated messages per kill: half a second of forwarding, the interval of offset commits, and the
/// unconfirmed messages.
const AGAIN: f64 = (PER_SECOND / 2 + 500) as f64;

fn plan(settings: Arc<Settings>) -> Plan {
    let count = settings.scaled(MESSAGES);
    let (first, second) = (Arc::clone(&settings), settings);
    let contenders = vec![
        Contender::new("", LIVES, Role::Limit, move || forward(Arc::clone(&first), count, false)),
        Contender::new("", KILLED, Role::Ours, move || forward(Arc::clone(&second), count, true)),
    ];
    let goal = |figure, most| Goal {
        group: String::new(),
        figure,
        over: KILLED,
        under: None,
        target: Target::AtMost(most),
    };
    let sizes = format!(
        "{count} messages of 1 KiB, {PER_SECOND} per second, to a quorum queue; copies are counted and are no fault"
    );
    Plan { sizes, contenders, goals: vec![goal(SILENCE, 1.0), goal(COPIES, AGAIN)] }
}

async fn forward(settings: Arc<Settings>, count: usize, killed: bool) -> Outcome<Measured> {
    let (topic, queue) = (Topic::make(settings.kafka()?).await?, Queue::make(settings.rabbitmq()?).await?);
    let folder = TempDir::new()?;
    let mut bridge = start(&settings, &topic, &queue, &folder)?;
    let messages = messages_to(&topic.name, count)?;
    let publisher = Kafka::new(settings.kafka()?).publisher()?;
    // The bridge has joined its group when the first messages arrive.
    let (warm, messages) = messages.split_at(PER_SECOND.min(count / 2));
    publish(&publisher, warm).await?;
    queue.until(warm.len()).await?;

    let writing = write(&publisher, messages);
    tokio::pin!(writing);
    let (mut kills, mut written, mut next) = (0, None, Instant::now() + EVERY);
    let (mut there, mut since, mut silence) = (queue.count().await?, Instant::now(), Duration::ZERO);
    loop {
        tokio::select! {
            done = &mut writing, if written.is_none() => {
                done?;
                written = Some(Instant::now());
            }
            () = tokio::time::sleep(Duration::from_millis(2)) => {}
        }
        let now = queue.count().await?;
        if now > there {
            silence = silence.max(since.elapsed());
            (there, since) = (now, Instant::now());
        }
        if written.is_some() && topic.committed().await? == count as u64 {
            break;
        }
        bridge.is_alive()?;
        if killed && written.is_none() && next <= Instant::now() {
            bridge.kill()?;
            bridge = start(&settings, &topic, &queue, &folder)?;
            (kills, next) = (kills + 1, Instant::now() + EVERY);
        }
        if since.elapsed() > Duration::from_secs(90) {
            return Err("nothing was forwarded for a minute and a half".into());
        }
    }
    if killed && kills < KILLS {
        return Err(format!("killed {kills} times only: measure more messages").into());
    }
    let after = written.map_or(Duration::ZERO, |written| written.elapsed());
    let ledger = queue.judge(count).await?;
    let mut measured = Measured::new(ledger)
        .with(SILENCE, silence.as_secs_f64())
        .with(AFTER, after.as_secs_f64())
        .with(COPIES, ledger.doubled as f64 / f64::from(kills.max(1)));
    measured.may_double = killed;
    Ok(measured)
}

/// Starts a bridge as users do. With an instance id it gets its partitions back at once.
fn start(settings: &Settings, topic: &Topic, queue: &Queue, folder: &TempDir) -> Outcome<Program> {
    let text = format!(
        "[bridge]\nname = \"{name}\"\nlisten = \"127.0.0.1:0\"\ninstance_id = \"{name}-0\"\n\
         [kafka]\nbrokers = [\"{}\"]\n[rabbitmq]\nurl = \"{}\"\n\
         [[rule]]\ntopics = [\"{name}\"]\nexchange = \"{}\"\nrouting_key = \"{{eventType}}\"\n",
        settings.kafka()?,
        settings.rabbitmq()?,
        queue.name,
        name = topic.name,
    );
    let file = folder.path().join("bridge.toml");
    fs::write(&file, text)?;
    let mut command = Command::new(settings.program()?.with_file_name("messagekit-bridge"));
    command.arg("--config").arg(file);
    Program::start(command)
}

/// Writes [`PER_SECOND`] messages per second.
async fn write(publisher: &impl Publisher, messages: &[Message]) -> Outcome<()> {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for messages in messages.chunks(PER_SECOND / 100) {
        ticks.tick().await;
        publish(publisher, messages).await?;
    }
    Ok(())
}
