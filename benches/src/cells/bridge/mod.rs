//! B1: from Kafka to a quorum queue, at full speed.

pub(super) mod bare;
mod bridged;
mod killed;
mod one_by_one;

pub(crate) use killed::B2;

use std::sync::Arc;
use std::time::Instant;

use messagekit::Message;
use messagekit_kafka::Kafka;

use crate::events::{even_messages_to, messages_to, publish};
use crate::frame::{Better, Cell, Contender, Goal, Measured, Meter, Outcome, Plan, Role, Target};
use crate::resources::{Queue, Topic};
use crate::settings::Settings;

pub(crate) const B1: Cell = Cell {
    id: "B1",
    title: "forward from Kafka to RabbitMQ",
    figure: "messages/s",
    better: Better::Higher,
    plan,
};

const MESSAGES: usize = 30_000;
const UNCONFIRMED: usize = 500;
const BARE: &str = "bare lapin, without Kafka";
const OURS: &str = "messagekit bridge";
const ONE_BY_ONE: &str = "claim, publish, confirm, commit: one at a time";

/// The keys of the messages.
#[derive(Clone, Copy)]
enum Keys {
    Skewed,
    Even,
}

fn plan(settings: Arc<Settings>) -> Plan {
    let count = settings.scaled(MESSAGES);
    let (mut contenders, mut goals) = (Vec::new(), Vec::new());
    for (keys, group) in [
        (Keys::Skewed, "10,000 keys, one of them has a twentieth of the messages"),
        (Keys::Even, "10,000 keys, all as frequent"),
    ] {
        let mut add = |name: &str, role, run: Work, count| {
            let settings = Arc::clone(&settings);
            contenders
                .push(Contender::new(group, name, role, move || run(Arc::clone(&settings), keys, count)));
        };
        add(BARE, Role::Limit, |settings, keys, count| Box::pin(by_lapin(settings, keys, count)), count);
        add(OURS, Role::Ours, |settings, keys, count| Box::pin(forward(settings, keys, count)), count);
        add(
            ONE_BY_ONE,
            Role::Peer,
            |settings, keys, count| Box::pin(by_hand(settings, keys, count)),
            count / 20,
        );
        for (under, least) in [(BARE, 0.7), (ONE_BY_ONE, 20.0)] {
            let (group, target) = (group.to_owned(), Target::AtLeast(least));
            goals.push(Goal { group, figure: B1.figure, over: OURS, under: Some(under), target });
        }
    }
    let sizes =
        format!("{count} messages of 1 KiB, {UNCONFIRMED} unconfirmed; one at a time a twentieth of them");
    Plan { sizes, contenders, goals }
}

type Work = fn(Arc<Settings>, Keys, usize) -> messagekit::adapter::BoxFuture<'static, Outcome<Measured>>;

impl Keys {
    fn messages(self, topic: &str, count: usize) -> Outcome<Vec<Message>> {
        match self {
            Self::Skewed => messages_to(topic, count),
            Self::Even => even_messages_to(topic, count),
        }
    }
}

async fn by_lapin(settings: Arc<Settings>, keys: Keys, count: usize) -> Outcome<Measured> {
    let queue = Queue::make(settings.rabbitmq()?).await?;
    let messages = keys.messages("bench.event", count)?;
    let meter = Meter::start(settings.parts());
    let began = Instant::now();
    bare::publish(&queue, &messages, UNCONFIRMED).await?;
    let rate = count as f64 / began.elapsed().as_secs_f64();
    let cpu = meter.per_100k(count);
    Ok(Measured::new(queue.judge(count).await?).with(B1.figure, rate).with_all(cpu))
}

async fn forward(settings: Arc<Settings>, keys: Keys, count: usize) -> Outcome<Measured> {
    let (topic, queue) = filled(&settings, keys, count).await?;
    let meter = Meter::start(settings.parts());
    let rate = bridged::forward(&settings, &topic, &queue, count, UNCONFIRMED).await?;
    let cpu = meter.per_100k(count);
    Ok(Measured::new(queue.judge(count).await?).with(B1.figure, rate).with_all(cpu))
}

async fn by_hand(settings: Arc<Settings>, keys: Keys, count: usize) -> Outcome<Measured> {
    let (topic, queue) = filled(&settings, keys, count).await?;
    let meter = Meter::start(settings.parts());
    let rate = one_by_one::forward(&settings, &topic, &queue, count).await?;
    let cpu = meter.per_100k(count);
    Ok(Measured::new(queue.judge(count).await?).with(B1.figure, rate).with_all(cpu))
}

/// Creates a topic with the messages, and an empty queue.
async fn filled(settings: &Settings, keys: Keys, count: usize) -> Outcome<(Topic, Queue)> {
    let (topic, queue) = (Topic::make(settings.kafka()?).await?, Queue::make(settings.rabbitmq()?).await?);
    let messages = keys.messages(&topic.name, count)?;
    publish(&Kafka::new(settings.kafka()?).publisher()?, &messages).await?;
    Ok((topic, queue))
}
