//! A1: the first page of failed messages over HTTP, compared with its statement. The lookups of A2 and the
//! probes of A4 use its admin, and A3 its client.

mod client;
mod failed_messages;
mod health;
mod lookup;
mod topics;

use std::sync::Arc;
use std::time::Instant;

use messagekit::{Error, Shutdown};
use messagekit_admin::{Admin, Role as Rights, Token, Tokens};
use sqlx::{Connection, PgConnection};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::frame::{Better, Cell, Contender, Goal, Measured, Outcome, Plan, Role, Target};
use crate::resources::Database;
use crate::settings::Settings;
use client::Client;

pub(crate) use health::A4;
pub(crate) use lookup::A2;
pub(crate) use topics::A3;

pub(crate) const A1: Cell =
    Cell { id: "A1", title: "a page of failed messages", figure: "µs/page", better: Better::Lower, plan };

const FAILED_MESSAGES: usize = 100_000;
const PAGES: u32 = 500;
const STATEMENT: &str = "its statement by hand";
const PAGE: &str = "GET /api/v1/dlq";

fn plan(settings: Arc<Settings>) -> Plan {
    let failed_messages = settings.scaled(FAILED_MESSAGES);
    let (mut contenders, mut goals) = (Vec::new(), Vec::new());
    for (group, state) in [("all", ""), ("state=dead", "dead")] {
        let (first, second) = (Arc::clone(&settings), Arc::clone(&settings));
        let by_hand = move || statement(Arc::clone(&first), failed_messages, state);
        contenders.push(Contender::new(group, STATEMENT, Role::Limit, by_hand));
        contenders.push(Contender::new(group, PAGE, Role::Ours, move || {
            page(Arc::clone(&second), failed_messages, state)
        }));
        let target = Target::AtMost(2.0);
        goals.push(Goal {
            group: group.to_owned(),
            figure: A1.figure,
            over: PAGE,
            under: Some(STATEMENT),
            target,
        });
    }
    Plan { sizes: format!("the first 100 of {failed_messages} failed messages"), contenders, goals }
}

async fn statement(settings: Arc<Settings>, count: usize, state: &str) -> Outcome<Measured> {
    let (_database, mut connection) = filled(&settings, count).await?;
    failed_messages::page(&mut connection, state).await?;
    let began = Instant::now();
    for _ in 0..PAGES {
        failed_messages::page(&mut connection, state).await?;
    }
    Ok(Measured::default().with(A1.figure, began.elapsed().as_secs_f64() * 1e6 / f64::from(PAGES)))
}

async fn page(settings: Arc<Settings>, count: usize, state: &str) -> Outcome<Measured> {
    let (database, _connection) = filled(&settings, count).await?;
    let mut serving = serving(&database).await?;
    let query = if state.is_empty() { String::new() } else { format!("?state={state}") };
    let path = format!("/api/v1/dlq{query}");
    serving.client.get(&path).await?;
    let began = Instant::now();
    for _ in 0..PAGES {
        serving.client.get(&path).await?;
    }
    let spent = began.elapsed().as_secs_f64() * 1e6 / f64::from(PAGES);
    serving.end().await?;
    Ok(Measured::default().with(A1.figure, spent))
}

/// An admin and its client.
struct Serving {
    client: Client,
    shutdown: Shutdown,
    served: JoinHandle<Result<(), Error>>,
}

async fn serving(database: &Database) -> Outcome<Serving> {
    let token = Token::generate()?;
    let mut tokens = Tokens::new();
    tokens.add("bench", Rights::Viewer, token.hash())?;
    let store = Arc::new(database.store().await?);
    let admin = Admin::builder().database("bench", store).tokens(tokens).build()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let client = Client::connect(listener.local_addr()?, token.secret()).await?;
    let shutdown = Shutdown::new();
    let asked = shutdown.clone();
    let served = tokio::spawn(async move { admin.serve(listener, asked).await });
    Ok(Serving { client, shutdown, served })
}

impl Serving {
    async fn end(self) -> Outcome<()> {
        self.shutdown.request();
        drop(self.client);
        self.served.await??;
        Ok(())
    }
}

async fn filled(settings: &Settings, count: usize) -> Outcome<(Database, PgConnection)> {
    let database = Database::migrated(settings.database()?).await?;
    let mut connection = PgConnection::connect(&database.url).await?;
    failed_messages::fill(&mut connection, u32::try_from(count)?).await?;
    Ok((database, connection))
}
