//! D1: reading and writing events in each wire form, and with their schemas checked. Nothing but this process takes part.

use std::sync::Arc;
use std::time::Instant;

use messagekit::adapter::{codec, on_wire};
use messagekit::{Envelope, Event, EventRegistry, Message, WireForm};
use messagekit_schema::{EventContracts, Validation, ValidationMode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::events::{Made, events};
use crate::frame::{Better, Cell, Contender, Goal, Judge, Measured, Outcome, Plan, Role, Target};
use crate::settings::Settings;

pub(crate) const D1: Cell = Cell {
    id: "D1",
    title: "read and write events in each form",
    figure: "events/s",
    better: Better::Higher,
    plan,
};

const EVENTS: usize = 100_000;
const JSON: &str = "messagekit JSON";
const BINARY: &str = "CloudEvents, binary";
const CHECKED: &str = "messagekit JSON, checked";

/// The forms, and whether the data is checked against its schema.
const WAYS: [(&str, WireForm, bool); 4] = [
    (JSON, WireForm::Messagekit, false),
    (CHECKED, WireForm::Messagekit, true),
    (BINARY, WireForm::CloudEventsBinary, false),
    ("CloudEvents, structured", WireForm::CloudEventsStructured, false),
];

/// An order with ten lines: more names and numbers than text.
#[derive(Debug, Event, Serialize, Deserialize, JsonSchema)]
#[event(type = "bench.order.placed", key = "account")]
struct Ordered {
    account: String,
    number: u64,
    currency: Currency,
    note: Option<String>,
    lines: Vec<Line>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
enum Currency {
    Eur,
    Gbp,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Line {
    #[schemars(length(min = 1, max = 40))]
    sku: String,
    #[schemars(range(min = 1))]
    quantity: u32,
    pence: i64,
    discount: Option<f64>,
}

impl From<Made> for Ordered {
    fn from(made: Made) -> Self {
        let line = |n: u32| Line {
            sku: format!("sku-{n}-{}", &made.text[..8]),
            quantity: n + 1,
            pence: i64::from(n) * 995,
            discount: n.is_multiple_of(2).then_some(0.125),
        };
        let (lines, currency) = ((0..10).map(line).collect(), [Currency::Eur, Currency::Gbp]);
        let [even, odd] = currency;
        let currency = if made.number.is_multiple_of(2) { even } else { odd };
        Self { account: made.account, number: made.number, currency, note: None, lines }
    }
}

fn plan(settings: Arc<Settings>) -> Plan {
    let count = settings.scaled(EVENTS);
    let (mut contenders, mut goals) = (Vec::new(), Vec::new());
    for (group, measure) in [
        ("read, 1 KiB", read::<Made> as fn(usize, WireForm, bool) -> Outcome<Measured>),
        ("read, ten lines", read::<Ordered>),
        ("write, 1 KiB", write::<Made>),
        ("write, ten lines", write::<Ordered>),
    ] {
        for (name, form, is_checked) in WAYS {
            let run = move || std::future::ready(measure(count, form, is_checked));
            contenders.push(Contender::new(group, name, Role::Ours, run));
        }
        for (over, part) in [(BINARY, 1.0 / 1.1), (CHECKED, 1.0 / 1.3)] {
            let (group, target) = (group.to_owned(), Target::AtLeast(part));
            goals.push(Goal { group, figure: D1.figure, over, under: Some(JSON), target });
        }
    }
    let sizes = "a text of 820 characters in three fields; an order with ten lines of four fields".to_owned();
    Plan { sizes, contenders, goals }
}

fn validation<E: Event + JsonSchema>() -> Outcome<Validation> {
    let contracts = EventRegistry::new().with_schema::<E>()?.contracts()?;
    Ok(Validation::new(&contracts, ValidationMode::Strict)?)
}

/// Reads events as a consumer does, from messages as a broker carries them.
fn read<E: Event + JsonSchema + From<Made>>(
    count: usize,
    form: WireForm,
    is_checked: bool,
) -> Outcome<Measured> {
    let validation = validation::<E>()?;
    let encoded = |made| codec::encode_as(&Envelope::new(E::from(made)), "bench", form);
    let messages: Vec<Message> = events(count).map(encoded).collect::<Result<_, _>>()?;
    let messages = on_wire(&messages);
    let began = Instant::now();
    let mut read = Vec::with_capacity(count);
    for message in messages.iter() {
        let envelope = Envelope::<E>::decode(message)?;
        if is_checked {
            validation.check(&envelope.event_type, &envelope.data_version, &message.payload)?;
        }
        read.push(envelope);
    }
    let seconds = began.elapsed().as_secs_f64();
    judged(read.iter().map(|envelope| &envelope.data), count, seconds)
}

/// Writes events as an outbox does, up to the message that a store gets.
fn write<E: Event + JsonSchema + From<Made>>(
    count: usize,
    form: WireForm,
    is_checked: bool,
) -> Outcome<Measured> {
    let validation = validation::<E>()?;
    let envelopes: Vec<Envelope<E>> = events(count).map(|made| Envelope::new(E::from(made))).collect();
    let began = Instant::now();
    let mut written = Vec::with_capacity(count);
    for envelope in &envelopes {
        let message = codec::encode_as(envelope, "bench", form)?;
        if is_checked {
            validation.check(&envelope.event_type, &envelope.data_version, &message.payload)?;
        }
        written.push(message);
    }
    let seconds = began.elapsed().as_secs_f64();
    let read: Vec<Envelope<E>> = written.iter().map(Envelope::decode).collect::<Result<_, _>>()?;
    judged(read.iter().map(|envelope| &envelope.data), count, seconds)
}

fn judged<'a, E: Event>(data: impl Iterator<Item = &'a E>, count: usize, seconds: f64) -> Outcome<Measured> {
    let mut judge = Judge::expecting(count);
    for event in data {
        judge.see_payload(&serde_json::to_vec(event)?)?;
    }
    Ok(Measured::new(judge.verdict()).with(D1.figure, count as f64 / seconds))
}
