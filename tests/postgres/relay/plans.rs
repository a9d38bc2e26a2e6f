//! The plans for pending events when an outbox fills up under a relay that has run since it was empty.

use messagekit_postgres::{relay_settings, statements};
use messagekit_testkit::block_on;
use sqlx::{AssertSqlSafe, Executor, PgConnection, Row};

use super::outbox::Relayed;

async fn run(connection: &mut PgConnection, sql: impl Into<String>) {
    connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.into()))).await.expect("runs");
}

/// Prepares the periodic statements of a relay, and runs them until the server may keep a plan, while nothing is pending.
async fn warmed_up(relayed: &Relayed, settings: &str) -> PgConnection {
    let mut connection = relayed.database.connection().await;
    for table in ["outbox_pending", "outbox_events", "outbox_rejected", "relay_shards"] {
        // They must not be analysed meanwhile.
        run(&mut connection, format!("ALTER TABLE messagekit.{table} SET (autovacuum_enabled = off)")).await;
        run(&mut connection, format!("VACUUM (ANALYZE) messagekit.{table}")).await;
    }
    run(&mut connection, settings).await;
    let text = |wanted| statements().iter().find(|(name, _)| *name == wanted).unwrap().1;
    let pending = text("relay_pending");
    run(
        &mut connection,
        format!("PREPARE pending (text, smallint[], bigint[], bigint[], bigint[], text[], bigint, bigint, int) AS {pending}"),
    )
    .await;
    run(
        &mut connection,
        format!(
            "PREPARE published (smallint[], bigint[], text[], bigint[], text[]) AS {}",
            text("relay_published")
        ),
    )
    .await;
    run(&mut connection, format!("PREPARE due (bigint) AS {}", text("relay_due"))).await;
    for _ in 0..10 {
        for ask in asks() {
            run(&mut connection, ask).await;
        }
    }
    connection
}

fn asks() -> [String; 3] {
    let each = |value: &str| vec![value; 64].join(",");
    let shards: Vec<String> = (0..64).map(|shard| shard.to_string()).collect();
    let (shards, epochs, all) = (shards.join(","), each("1"), each(&i64::MIN.to_string()));
    [
        format!(
            "EXECUTE pending ('r1', '{{{shards}}}', '{{{epochs}}}', '{{{all}}}', '{{1,2}}', '{{a.b}}', 500, 8388608, 80)"
        ),
        "EXECUTE published ('{1,2,3}', '{1000001,1000002,1000003}', '{a,b,c}', '{0,0,0}', '{a.b,a.b,a.b}')"
            .to_owned(),
        "EXECUTE due (1000)".to_owned(),
    ]
}

/// Returns the plans with the rows that were read.
async fn plans(connection: &mut PgConnection) -> String {
    plans_of(connection, asks()).await
}

async fn plans_of(connection: &mut PgConnection, asks: [String; 3]) -> String {
    let mut text = String::new();
    for ask in asks {
        let explain = sqlx::raw_sql(AssertSqlSafe(format!("EXPLAIN (ANALYZE, TIMING off) {ask}")));
        for row in explain.fetch_all(&mut *connection).await.expect("explains") {
            text.push_str(&row.get::<String, _>(0));
            text.push('\n');
        }
    }
    text
}

/// Events that the broker does not accept may be many: a read that scanned them might never end.
#[test]
fn what_is_paused_is_not_walked_over() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        let mut connection = warmed_up(&relayed, relay_settings()).await;
        fill(&relayed).await;
        for n in 0..20 {
            relayed.write_to("stock.item", &format!("s-{n}"), Some(&format!("k-{n}"))).await;
        }
        let paused = |ask: String| ask.replace("'{a.b}'", "'{orders.order}'");
        let plans = plans_of(&mut connection, asks().map(paused)).await;
        assert!(plans.contains("actual rows=20"), "{plans}");
        let most = plans.lines().filter(|line| line.contains("outbox_pending")).filter_map(rows).max();
        assert!(most.is_some_and(|most| most <= 200), "{plans}");
    });
}

/// Paused events are below the starting position, because it advances with the other events.
#[test]
fn what_is_paused_is_not_walked_over_from_a_floor_either() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        let mut connection = warmed_up(&relayed, relay_settings()).await;
        fill(&relayed).await;
        let floor: i64 = sqlx::query_scalar("SELECT max(seq) FROM messagekit.outbox_pending")
            .fetch_one(relayed.store.pool())
            .await
            .unwrap();
        for n in 0..20 {
            relayed.write_to("stock.item", &format!("s-{n}"), Some(&format!("k-{n}"))).await;
        }
        let [pending, ..] = asks();
        let paused =
            pending.replace("'{a.b}'", "'{orders.order}'").replace(&i64::MIN.to_string(), &floor.to_string());
        let explain = AssertSqlSafe(format!("EXPLAIN (ANALYZE, BUFFERS, TIMING off) {paused}"));
        let rows = sqlx::raw_sql(explain).fetch_all(&mut connection).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        let pages = plan.iter().find_map(|line| line.split_once("shared hit=")).unwrap().1;
        let pages: u64 = pages.split(' ').next().unwrap().parse().unwrap();
        println!("{pages} pages");
        // From the root to a leaf, for each shard: not all leaves.
        assert!(pages <= 900, "{}", plan.join("\n"));
    });
}

async fn fill(relayed: &Relayed) {
    // The epoch in the parameters.
    relayed.lease("r1").await;
    let fill = "UPDATE messagekit.relay_shards SET epoch = 1;
        INSERT INTO messagekit.outbox_events (event_id, topic, aggregate_id, payload, available_at)
        SELECT 'e-' || n, 'orders.order', 'k-' || n % 1000, '{}', CASE WHEN n % 10 = 0 THEN now() + interval '1 h' END
        FROM generate_series(1, 100000) n";
    relayed.store.pool().execute(sqlx::raw_sql(fill)).await.unwrap();
}

/// Returns whether a plan scans a table, or an index from its beginning.
fn walks(plans: &str) -> bool {
    let ours = |line: &str| {
        ["outbox_pending", "outbox_events", "outbox_rejected"].iter().any(|table| line.contains(table))
    };
    let mut lines = plans.lines().peekable();
    while let Some(line) = lines.next() {
        let next = lines.peek().map_or("", |next| next.trim());
        let whole_index = line.contains("Index") && line.contains("Scan") && !next.starts_with("Index Cond");
        if ours(line) && (line.contains("Seq Scan") || line.contains("Bitmap") || whole_index) {
            return true;
        }
    }
    false
}

#[test]
fn plan_of_an_empty_outbox_is_not_kept_for_a_full_one() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        let mut connection = warmed_up(&relayed, relay_settings()).await;
        fill(&relayed).await;
        let plans = plans(&mut connection).await;
        assert!(plans.contains("actual rows=500"), "{plans}");
        assert!(!walks(&plans), "{plans}");
        // A page of events, and the few that were left out before them: not the later ones.
        let most = plans.lines().filter(|line| line.contains("outbox_")).filter_map(rows).max();
        assert!(most.is_some_and(|most| most <= 500), "{plans}");
    });
}

/// This is the reason for the settings of a relay's connections.
#[test]
fn plan_that_is_kept_would_walk_the_outbox() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        let mut connection = warmed_up(&relayed, "SET plan_cache_mode = force_generic_plan").await;
        fill(&relayed).await;
        let plans = plans(&mut connection).await;
        assert!(walks(&plans), "{plans}");
    });
}

/// Returns how many rows a step has returned in total.
fn rows(line: &str) -> Option<u64> {
    let (_, actual) = line.split_once("actual rows=")?;
    let (rows, loops) = actual.split_once(" loops=")?;
    Some(rows.parse::<f64>().ok()? as u64 * loops.trim_end_matches(')').parse::<u64>().ok()?)
}
