//! A3: ten consumers over HTTP at once, beside the inserts that fed them, and how soon a waiting one has a record.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::try_join_all;
use messagekit::Shutdown;
use messagekit::operations::Operations;
use messagekit_admin::{Admin, Role as Rights, Token, Tokens};
use messagekit_sqlite::SqliteStore;
use messagekit_sqlite::rusqlite::Connection;
use messagekit_topic_store::Pages;
use messagekit_topic_store::TableSources;
use messagekit_topics::Topics;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use tokio::net::TcpListener;

use super::client::Client;
use crate::frame::{Better, Cell, Contender, Goal, Judge, Measured, Outcome, Plan, Role, Target, quantile};
use crate::resources::Database;
use crate::settings::Settings;

const FIGURE: &str = "rounds/s";
const WAKE: &str = "p50 ms to a waiting consumer";

pub(crate) const A3: Cell =
    Cell { id: "A3", title: "topics over HTTP", figure: FIGURE, better: Better::Higher, plan };

const TOPIC: &str = "bench.orders";
const INSERTS: &str = "ten inserts into a source, one after the other";
const CONSUMES: &str = "ten consumes of 50 records over HTTP at once";
/// Consumers of a round.
const CONSUMERS: usize = 10;
/// Records of a consume.
const RECORDS: usize = 50;
/// How often a consumer waits for one record.
const WAKES: usize = 60;
/// How often all consumers get their records.
const ROUNDS: usize = 90;

fn plan(settings: Arc<Settings>) -> Plan {
    let sizes =
        "rows of two columns; the records are claimed for one group, and acknowledged outside of the time"
            .to_owned();
    let mut plan = Plan { sizes, contenders: Vec::new(), goals: Vec::new() };
    for group in ["PostgreSQL", "SQLite"] {
        for (name, role, way) in [(INSERTS, Role::Limit, Way::Insert), (CONSUMES, Role::Ours, Way::Consume)] {
            let settings = Arc::clone(&settings);
            let is_server = group == "PostgreSQL";
            let run = move || measure(Arc::clone(&settings), is_server, way);
            plan.contenders.push(Contender::new(group, name, role, run));
        }
        // Consumes in at most 0.42 of the time of the inserts.
        let (over, under) = (CONSUMES, Some(INSERTS));
        let target = Target::AtLeast(1.0 / 0.42);
        plan.goals.push(Goal { group: group.to_owned(), figure: FIGURE, over, under, target });
        let target = Target::AtMost(5.0);
        plan.goals.push(Goal { group: group.to_owned(), figure: WAKE, over, under: None, target });
    }
    plan
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Insert,
    Consume,
}

/// A connection that knows nothing of messagekit.
enum Writer {
    Postgres(Box<PgConnection>),
    Sqlite(Connection),
}

impl Writer {
    async fn insert(&mut self, number: usize) -> Outcome<()> {
        let number = i64::try_from(number)?;
        match self {
            Self::Postgres(connection) => {
                let insert = sqlx::query("INSERT INTO public.orders VALUES ($1, $1::text)").bind(number);
                insert.execute(&mut **connection).await?;
            }
            Self::Sqlite(connection) => {
                connection.prepare_cached("INSERT INTO orders VALUES (?1, ?1)")?.execute([number])?;
            }
        }
        Ok(())
    }
}

async fn measure(settings: Arc<Settings>, is_server: bool, way: Way) -> Outcome<Measured> {
    let rounds = settings.few(ROUNDS);
    if is_server {
        let database = Database::migrated(settings.database()?).await?;
        database
            .execute("CREATE TABLE public.orders (number bigint PRIMARY KEY, account text)".to_owned())
            .await?;
        let store = database.store().await?;
        let writer = Writer::Postgres(Box::new(PgConnection::connect(&database.url).await?));
        return on(store.clone(), Arc::new(store), "public.orders", writer, rounds, way).await;
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("bench.db");
    let store = SqliteStore::open(&file).await?;
    let connection = Connection::open(&file)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch("CREATE TABLE orders (number INTEGER PRIMARY KEY, account TEXT)")?;
    on(store.clone(), Arc::new(store), "orders", Writer::Sqlite(connection), rounds, way).await
}

async fn on<S: TableSources + Pages>(
    store: S,
    operations: Arc<dyn Operations>,
    table: &str,
    mut writer: Writer,
    rounds: usize,
    way: Way,
) -> Outcome<Measured> {
    let topics = Topics::of(store);
    let orders = topics.untyped(TOPIC).open().await?;
    topics.source(table).add(TOPIC).await?;
    if let Way::Insert = way {
        writer.insert(rounds * CONSUMERS).await?;
        let began = Instant::now();
        for number in 0..rounds * CONSUMERS {
            writer.insert(number).await?;
        }
        return Ok(Measured::default().with(FIGURE, rounds as f64 / began.elapsed().as_secs_f64()));
    }
    let rows: Vec<Value> = (0..rounds * CONSUMERS * RECORDS)
        .map(|number| json!({ "row": { "number": number, "account": number.to_string() } }))
        .collect();
    for rows in rows.chunks(1_000) {
        orders.extend(rows).await?;
    }
    let token = Token::generate()?;
    let mut tokens = Tokens::new();
    tokens.add("bench", Rights::Service, token.hash())?;
    let admin = Admin::builder().database("bench", operations).topics("bench", Arc::new(topics));
    let admin = admin.tokens(tokens).build()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let shutdown = Shutdown::new();
    let asked = shutdown.clone();
    let served = tokio::spawn(async move { admin.serve(listener, asked).await });
    let measured = consume(address, token.secret(), &mut writer, rounds).await?;
    shutdown.request();
    served.await??;
    Ok(measured)
}

async fn consume(address: SocketAddr, secret: &str, writer: &mut Writer, rounds: usize) -> Outcome<Measured> {
    let mut clients = Vec::new();
    for _ in 0..CONSUMERS {
        clients.push(Client::connect(address, secret).await?);
    }
    let mut judge = Judge::expecting(rounds * CONSUMERS * RECORDS);
    let mut spent = 0.0;
    for _ in 0..rounds {
        let began = Instant::now();
        let wanted = json!({ "topic_id": TOPIC, "group_id": "g", "start": "Earliest", "limit": RECORDS });
        let answers = try_join_all(clients.iter_mut().map(|client| client.post(CONSUME, &wanted))).await?;
        spent += began.elapsed().as_secs_f64();
        for answer in answers {
            see(&mut judge, &answer)?;
            acknowledge(&mut clients[0], &answer).await?;
        }
    }
    let mut wakes = Vec::new();
    let client = &mut clients[1];
    for wake in 0..WAKES {
        let wanted = json!({ "topic_id": TOPIC, "group_id": "late", "limit": 1, "timeout_seconds": 20 });
        let waits = client.post(CONSUME, &wanted);
        let write = async {
            // The consumer waits by then, as most of them do most of the time.
            tokio::time::sleep(std::time::Duration::from_millis(if wake == 0 { 500 } else { 50 })).await;
            writer.insert(1_000_000 + wake).await?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(Instant::now())
        };
        let (answer, written) = tokio::join!(waits, write);
        wakes.push(written?.elapsed().as_secs_f64() * 1e3);
        acknowledge(client, &answer?).await?;
    }
    wakes.sort_by(f64::total_cmp);
    Ok(Measured::new(judge.verdict()).with(FIGURE, rounds as f64 / spent).with(WAKE, quantile(&wakes, 0.5)))
}

const CONSUME: &str = "/v1/api/topics/consume";

fn see(judge: &mut Judge, answer: &Value) -> Outcome<()> {
    for message in answer["messages"].as_array().ok_or("an answer without messages")? {
        let payload = STANDARD.decode(message["payload"].as_str().unwrap_or_default())?;
        let payload: Value = serde_json::from_slice(&payload)?;
        let number = payload["row"]["number"].as_u64().ok_or("a record without a number")?;
        judge.see(&number.to_string(), number)?;
    }
    Ok(())
}

async fn acknowledge(client: &mut Client, answer: &Value) -> Outcome<()> {
    let claim = answer["claim_id"].as_str().ok_or("nothing was claimed")?;
    let group =
        if answer["messages"].as_array().is_some_and(|messages| messages.len() == 1) { "late" } else { "g" };
    let body = json!({ "topic_id": TOPIC, "group_id": group, "claim_id": claim });
    client.post("/v1/api/topics/ack", &body).await?;
    Ok(())
}
