//! C5: records of a topic in PostgreSQL, claimed and acknowledged.

use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use messagekit_topic_store::{Claimed, RecordClaimer, Which};
use messagekit_topics::Topics;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};

use super::typed::ledger;
use crate::frame::{Better, Cell, Contender, Goal, Ledger, Measured, Meter, Outcome, Plan, Role, Target};
use crate::resources::{Database, folder};
use crate::settings::Settings;

pub(crate) const C5: Cell = Cell {
    id: "C5",
    title: "claim and acknowledge on PostgreSQL",
    figure: "records/s",
    better: Better::Higher,
    plan,
};

const RECORDS: usize = 20_000;
/// Records of an append.
const FILL: usize = 1_000;
const TOPIC: &str = "bench.jobs";
const OURS: &str = "RecordClaimer";
const PGMQ: &str = "pgmq 0.33, read and delete";

fn plan(settings: Arc<Settings>) -> Plan {
    let records = settings.scaled(RECORDS);
    let sizes = format!(
        "{records} records of 200 bytes, one consumer; a tenth of them where each is claimed by itself"
    );
    let mut plan = Plan { sizes, contenders: Vec::new(), goals: Vec::new() };
    for (group, batch, records) in [("batches of 100", 100, records), ("one by one", 1, records / 10)] {
        let (first, second) = (Arc::clone(&settings), Arc::clone(&settings));
        let ours = move || ours(Arc::clone(&first), records, batch);
        plan.contenders.push(Contender::new(group, OURS, Role::Ours, ours));
        if settings.peers {
            let pgmq = move || pgmq(Arc::clone(&second), records, batch);
            plan.contenders.push(Contender::new(group, PGMQ, Role::Peer, pgmq));
            let target = Target::AtLeast(2.0);
            let (group, over, under) = (group.to_owned(), OURS, Some(PGMQ));
            plan.goals.push(Goal { group, figure: C5.figure, over, under, target });
        }
    }
    plan
}

async fn ours(settings: Arc<Settings>, records: usize, batch: u32) -> Outcome<Measured> {
    let database = Database::migrated(settings.database()?).await?;
    let store = database.store().await?;
    let topics = Topics::of(store.clone());
    let topic = topics.untyped(TOPIC).open().await?;
    for some in rows(records).chunks(FILL) {
        topic.extend(some).await?;
    }
    let claimer = RecordClaimer::new(store, "bench", TOPIC);
    let (meter, began) = (Meter::start(settings.parts()), Instant::now());
    let mut payloads = Vec::with_capacity(records);
    while let Claimed::Records(claim) = claimer.claim(batch).await? {
        claimer.acknowledge(&claim, Which::All).await?;
        payloads.extend(claim.records.into_iter().map(|claimed| claimed.record.message.payload));
    }
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), meter.per_100k(records));
    let seen = payloads.iter().map(|payload| serde_json::from_slice(payload)).collect::<Result<_, _>>()?;
    Ok(Measured::new(judged(records, seen)?).with(C5.figure, records as f64 / seconds).with_all(cpu))
}

async fn pgmq(settings: Arc<Settings>, records: usize, batch: u32) -> Outcome<Measured> {
    let database = Database::empty(settings.database()?).await?;
    install(&database.url)?;
    let mut connection = PgConnection::connect(&database.url).await?;
    sqlx::query("SELECT pgmq.create('bench')").execute(&mut connection).await?;
    for some in rows(records).chunks(FILL) {
        let send = sqlx::query("SELECT pgmq.send_batch('bench', $1::jsonb[])").bind(some);
        send.execute(&mut connection).await?;
    }
    let (meter, began) = (Meter::start(settings.parts()), Instant::now());
    let mut seen: Vec<Value> = Vec::with_capacity(records);
    loop {
        // As long as the lease of a claim.
        let read =
            sqlx::query_as("SELECT msg_id, message FROM pgmq.read('bench', 60, $1)").bind(batch as i32);
        let some: Vec<(i64, Value)> = read.fetch_all(&mut connection).await?;
        if some.is_empty() {
            break;
        }
        let (ids, values): (Vec<i64>, Vec<Value>) = some.into_iter().unzip();
        sqlx::query("SELECT pgmq.delete('bench', $1::bigint[])").bind(ids).execute(&mut connection).await?;
        seen.extend(values);
    }
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), meter.per_100k(records));
    connection.close().await?;
    Ok(Measured::new(judged(records, seen)?).with(C5.figure, records as f64 / seconds).with_all(cpu))
}

/// Writes pgmq's schema into a database, by its own program.
fn install(url: &str) -> Outcome<()> {
    let program = folder("peers/pgmq").join(".venv/bin/pgmq-cli");
    if !program.exists() {
        return Err("not installed: see benches/peers/pgmq/README.md".into());
    }
    let output = Command::new(program).args(["install", "-d", url, "install-from-embedded"]).output()?;
    if !output.status.success() {
        return Err(format!("pgmq is not installed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(())
}

fn rows(records: usize) -> Vec<Value> {
    let text = "a".repeat(170);
    (0..records).map(|number| json!({ "number": number, "text": text })).collect()
}

/// Judges the numbers of the records, in the order in which they came.
fn judged(records: usize, seen: Vec<Value>) -> Outcome<Ledger> {
    let numbers = seen.iter().map(|value| value["number"].as_u64().ok_or("a record has no number"));
    Ok(ledger(records, &numbers.collect::<Result<Vec<_>, _>>()?))
}
