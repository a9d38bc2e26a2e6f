//! B1: from Kafka to a quorum queue, as fast as it goes.

pub(super) mod bare;
mod bridged;
mod one_by_one;

use std::sync::Arc;
use std::time::Instant;

use messagekit::{Message, Publisher};
use messagekit_kafka::Kafka;

use crate::events::messages_to;
use crate::frame::{Better, Cell, Contender, Goal, Measured, Meter, Outcome, Plan, Role, Target};
use crate::place::{Queue, Topic};
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

fn plan(settings: Arc<Settings>) -> Plan {
    let count = settings.scaled(MESSAGES);
    let with = |run: fn(Arc<Settings>, usize) -> messagekit::BoxFuture<'static, Outcome<Measured>>, count| {
        let settings = Arc::clone(&settings);
        move || run(Arc::clone(&settings), count)
    };
    let contenders = vec![
        Contender::new(
            "",
            BARE,
            Role::Limit,
            with(|settings, count| Box::pin(publish(settings, count)), count),
        ),
        Contender::new(
            "",
            OURS,
            Role::Ours,
            with(|settings, count| Box::pin(forward(settings, count)), count),
        ),
        Contender::new(
            "",
            "claim, publish, confirm, commit: one at a time",
            Role::Peer,
            with(|settings, count| Box::pin(by_hand(settings, count)), count / 20),
        ),
    ];
    let target = Target::AtLeast(0.7);
    let goal = Goal { group: String::new(), figure: B1.figure, over: OURS, under: Some(BARE), target };
    let sizes = format!("{count} messages of 1 KiB, {UNCONFIRMED} unconfirmed");
    Plan { sizes, contenders, goals: vec![goal] }
}

async fn publish(settings: Arc<Settings>, count: usize) -> Outcome<Measured> {
    let queue = Queue::make(settings.rabbitmq()?).await?;
    let messages = messages_to("bench.event", count)?;
    let meter = Meter::start(settings.parts());
    let began = Instant::now();
    bare::publish(&queue, &messages, UNCONFIRMED).await?;
    let rate = count as f64 / began.elapsed().as_secs_f64();
    let cpu = meter.per_100k(count);
    Ok(Measured::new(queue.judge(count).await?).with(B1.figure, rate).with_all(cpu))
}

async fn forward(settings: Arc<Settings>, count: usize) -> Outcome<Measured> {
    let (topic, queue) = filled(&settings, count).await?;
    let meter = Meter::start(settings.parts());
    let rate = bridged::forward(&settings, &topic, &queue, count, UNCONFIRMED).await?;
    let cpu = meter.per_100k(count);
    Ok(Measured::new(queue.judge(count).await?).with(B1.figure, rate).with_all(cpu))
}

async fn by_hand(settings: Arc<Settings>, count: usize) -> Outcome<Measured> {
    let (topic, queue) = filled(&settings, count).await?;
    let meter = Meter::start(settings.parts());
    let rate = one_by_one::forward(&settings, &topic, &queue, count).await?;
    let cpu = meter.per_100k(count);
    Ok(Measured::new(queue.judge(count).await?).with(B1.figure, rate).with_all(cpu))
}

/// A topic with the messages, and an empty queue.
async fn filled(settings: &Settings, count: usize) -> Outcome<(Topic, Queue)> {
    let (topic, queue) = (Topic::make(settings.kafka()?).await?, Queue::make(settings.rabbitmq()?).await?);
    let messages: Vec<Message> = messages_to(&topic.name, count)?;
    for published in Kafka::new(settings.kafka()?).publisher()?.publish(&messages).await {
        published?;
    }
    Ok((topic, queue))
}
