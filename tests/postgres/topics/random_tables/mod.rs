//! Random tables of PostgreSQL under random statements: the events of the source, applied to an empty table, give the table.
//!
//! `MESSAGEKIT_SEED` names the only life to be lived. Otherwise there are 24 lives of 90 statements, and with `MESSAGEKIT_FULL=1` 2,000.

mod schema;
mod statements;

use fastrand::Rng;
use messagekit::log::RowPayload;
use messagekit_postgres::PostgresStore;
use messagekit_testkit::block_on;
use messagekit_tests::random_lives::live_all;
use messagekit_tests::{Database, Mirror};
use messagekit_topics::Topics;
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection};

use schema::Schema;

/// The statements between two comparisons.
const TOGETHER: usize = 6;
const COMPARISONS: usize = 15;
/// The lives in one database.
const TO_A_WORLD: usize = 6;

#[test]
fn events_of_random_statements_give_the_table() {
    let lives = live_all(TO_A_WORLD, |seeds| block_on(live(seeds)));
    println!("{lives} lives");
}

async fn live(seeds: &[u64]) {
    let mut world = World::new().await;
    for seed in seeds {
        let mut script = Vec::new();
        if let Err(fault) = world.live(*seed, &mut script).await {
            panic!("MESSAGEKIT_SEED={seed}: {fault}\n{};", script.join(";\n"));
        }
    }
}

/// A database in which one table after the other lives.
struct World {
    topics: Topics<PostgresStore>,
    connection: PgConnection,
}

impl World {
    async fn new() -> Self {
        let database = Database::fresh().await;
        let topics = Topics::of(database.store().await);
        let mut connection = database.connection().await;
        let settings = "CREATE SCHEMA life; SET search_path = life; SET client_min_messages = warning;
            SET synchronous_commit = off";
        sqlx::raw_sql(settings).execute(&mut connection).await.unwrap();
        Self { topics, connection }
    }

    async fn run(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut self.connection).await.map(drop)
    }

    /// Lives a life, and writes its statements down.
    async fn live(&mut self, seed: u64, script: &mut Vec<String>) -> Result<(), String> {
        let mut random = Rng::with_seed(seed);
        let topic = format!("life.t{seed}");
        let schema = Schema::random(&mut random);
        script.extend(schema.definitions.iter().cloned());
        self.run(&schema.definitions.join(";")).await.map_err(|error| error.to_string())?;
        self.topics.untyped(topic.as_str()).open().await.unwrap();
        let payload = [RowPayload::Full, RowPayload::Diff, RowPayload::Key][random.usize(0..3)];
        script.push(format!("-- {payload:?}"));
        let added = self.topics.source("life.t").payload(payload).add(topic.as_str()).await;
        added.map_err(|error| messagekit::chain(&error).to_string())?;
        let refers = schema.columns.iter().any(|(name, _)| *name == "parent");
        let mut mirror = Mirror::of(&schema.key).lenient(refers);
        for _ in 0..COMPARISONS {
            let mut is_open = false;
            for _ in 0..TOGETHER {
                let statement = statements::random(&mut random, &schema, &mut is_open);
                let done = self.run(&statement).await;
                let said = done.err().map(|error| format!(" -- {error}")).unwrap_or_default();
                script.push(format!("{statement}{said}"));
            }
            let end = if random.u8(0..3) == 0 { "ROLLBACK" } else { "COMMIT" };
            // Deferred constraints may refuse the commit, which rolls back.
            let done = self.run(end).await.err().map(|error| format!(" -- {error}")).unwrap_or_default();
            script.push(format!("{end}{done}"));
            mirror.follow(self.topics.store(), &topic).await?;
            mirror.compare(&self.rows().await)?;
        }
        assert!(self.topics.drop_source(&topic, "life.t").await.unwrap());
        self.run("DROP TABLE life.t, life.other CASCADE").await.map_err(|error| error.to_string())
    }

    /// Returns the rows of the table as events hold them.
    async fn rows(&mut self) -> Vec<Value> {
        let rows = sqlx::query_scalar("SELECT to_jsonb(t)::text FROM life.t AS t");
        let rows: Vec<String> = rows.fetch_all(&mut self.connection).await.unwrap();
        rows.iter().map(|row| serde_json::from_str(row).unwrap()).collect()
    }
}
