//! C2: writers during a cleanup of old events and markers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use messagekit::adapter::Markers;
use messagekit::cleanup::{CleanupTarget, Retention, clean};
use messagekit::{Outbox, Store};
use messagekit_postgres::{PostgresStore, SchemaName, partitioning};
use sqlx::Connection;

use crate::events::Made;
use crate::frame::{
    Better, Cell, Contender, Goal, Ledger, Measured, Meter, Outcome, Plan, Role, Target, quantile,
};
use crate::resources::Database;
use crate::settings::Settings;

pub(crate) const C2: Cell =
    Cell { id: "C2", title: "writers beside a cleanup", figure: P99, better: Better::Lower, plan };

/// The number of old events, and of old markers.
const OLD: usize = 1_000_000;
const WRITERS: usize = 4;
/// The pause of a writer between two events.
const BETWEEN: Duration = Duration::from_millis(10);
const TIME: Duration = Duration::from_secs(20);
const P99: &str = "p99 ms";
const LOCK: &str = "longest lock wait ms";
const ALONE: &str = "writers alone";
const BESIDE: &str = "writers beside messagekit cleanup";
const BY_DAY: &str = "writers beside messagekit cleanup, tables divided by day";

/// The rows that the writers have written, without the old ones.
const WRITTEN: &str = "
SELECT aggregate_id, (convert_from(payload, 'UTF8')::json ->> 'number')::bigint FROM messagekit.outbox_events
WHERE created_at > now() - interval '1 day' ORDER BY seq";

fn plan(settings: Arc<Settings>) -> Plan {
    let (old, time) = (settings.scaled(OLD), settings.watched(TIME));
    let contender = |name: &str, role, how| {
        let settings = Arc::clone(&settings);
        Contender::new("", name, role, move || write(Arc::clone(&settings), old, time, how))
    };
    let contenders = vec![
        contender(ALONE, Role::Limit, How::NotAtAll),
        contender(BESIDE, Role::Ours, How::RowByRow),
        contender(BY_DAY, Role::Ours, How::ByDay),
    ];
    let goal = |over, figure, under, most| Goal {
        group: String::new(),
        figure,
        over,
        under,
        target: Target::AtMost(most),
    };
    let of = |over| [goal(over, P99, Some(ALONE), 2.0), goal(over, LOCK, None, 50.0)];
    let goals = [BESIDE, BY_DAY].into_iter().flat_map(of).collect();
    let sizes = format!(
        "{old} old events and as many old markers; {WRITERS} writers, an event each {} ms and writer, {time:?} or until all is clean",
        BETWEEN.as_millis()
    );
    Plan { sizes, contenders, goals }
}

/// How old rows are removed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    NotAtAll,
    RowByRow,
    ByDay,
}

async fn write(settings: Arc<Settings>, old: usize, time: Duration, how: How) -> Outcome<Measured> {
    let database = Database::for_relay(settings.database()?).await?;
    if how == How::ByDay {
        partitioning::divide(&database.url, &SchemaName::default(), Duration::from_secs(30)).await?;
    }
    let store = database.store().await?;
    // The filled-in events count as published: disable the trigger that would make them pending.
    database
        .execute(format!(
            "SET session_replication_role = replica;
             CREATE FUNCTION old_id(number bigint) RETURNS text LANGUAGE sql AS $$
               SELECT lpad(to_hex(t.millis >> 16), 8, '0') || '-' || lpad(to_hex(t.millis & 65535), 4, '0') || '-7000-8000-'
                 || lpad(to_hex(number), 12, '0')
               FROM (SELECT (extract(epoch FROM now() - interval '30 days') * 1000)::bigint AS millis) t $$;
             INSERT INTO messagekit.outbox_events (event_id, topic, aggregate_id, payload, created_at)
               SELECT old_id(n), 'bench.event', 'account-' || n % 10000, convert_to(repeat(md5(n::text), 8), 'UTF8'),
                 now() - interval '30 days' FROM generate_series(1, {old}) n;
             INSERT INTO messagekit.processed_messages (consumer, message_id, day, outcome, processed_at)
               SELECT 'bench', old_id(n), messagekit.day_of(old_id(n)), 'done', now() - interval '30 days'
               FROM generate_series(1, {old}) n;"
        ))
        .await?;
    store.note_window("bench", Some(Duration::from_secs(7 * 24 * 3_600))).await?;
    database.settle().await?;

    let meter = Meter::start(settings.parts());
    let ended = Arc::new(AtomicBool::new(false));
    let cleaning = tokio::spawn(clean_or_not(store.clone(), old, time, how, Arc::clone(&ended)));
    let locks = tokio::spawn(longest_lock_wait(database.url.clone(), Arc::clone(&ended)));
    let began = Instant::now();
    let next = Arc::new(AtomicU64::new(0));
    let outbox = Outbox::new(store.clone(), "bench")?;
    let writers = (0..WRITERS).map(|_| {
        let (outbox, next, ended) = (outbox.clone(), Arc::clone(&next), Arc::clone(&ended));
        tokio::spawn(steadily(store.clone(), outbox, next, ended))
    });
    let written = try_join_all(writers).await?.into_iter().collect::<Outcome<Vec<_>>>()?;
    let seconds = began.elapsed().as_secs_f64();
    let removed = cleaning.await??;
    let mut took: Vec<f64> = written.into_iter().flatten().collect();
    took.sort_by(f64::total_cmp);
    let commits = took.len();
    // Writers of a key do not wait for each other here, so there is no order to check.
    let Ledger { lost, doubled, .. } = database.judge(commits, WRITTEN).await?;
    let mut measured = Measured::new(Ledger { lost, doubled, out_of_order: 0 })
        .with("p50 ms", quantile(&took, 0.5))
        .with(P99, quantile(&took, 0.99))
        .with("commits/s", commits as f64 / seconds)
        .with(LOCK, locks.await??)
        .with_all(meter.per_100k(commits));
    if how != How::NotAtAll {
        measured = measured.with("rows cleaned/s", removed.0 as f64 / removed.1);
    }
    Ok(measured)
}

/// Returns how many rows were removed, and in how many seconds, once the writers have been watched for a time.
async fn clean_or_not(
    store: PostgresStore,
    old: usize,
    time: Duration,
    how: How,
    ended: Arc<AtomicBool>,
) -> Outcome<(u64, f64)> {
    let began = Instant::now();
    let mut removed = 0;
    if how != How::NotAtAll {
        let done = clean(&store, &Retention::default(), false, std::future::pending::<()>()).await?;
        for kind in &done {
            // All of them have the same day.
            let expected = match (kind.what, how) {
                (CleanupTarget::FailedMessages, _) => (0, 0),
                (_, How::ByDay) => (0, 1),
                _ => (old as u64, 0),
            };
            if (kind.removed, kind.days) != expected {
                return Err(format!(
                    "of {expected:?} {} and days of them {} and {} were removed",
                    kind.what, kind.removed, kind.days
                )
                .into());
            }
            removed += if kind.what == CleanupTarget::FailedMessages { 0 } else { old as u64 };
        }
    }
    let took = began.elapsed();
    tokio::time::sleep(time.saturating_sub(took)).await;
    ended.store(true, Ordering::Relaxed);
    Ok((removed, took.as_secs_f64()))
}

/// Commits an event at a steady pace, and returns the milliseconds of each commit.
async fn steadily(
    store: PostgresStore,
    outbox: Outbox<PostgresStore>,
    next: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
) -> Outcome<Vec<f64>> {
    let mut took = Vec::new();
    let text: String = "0123456789".repeat(80);
    let mut tick = tokio::time::interval(BETWEEN);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if ended.load(Ordering::Relaxed) {
            return Ok(took);
        }
        let number = next.fetch_add(1, Ordering::Relaxed);
        let made = Made { account: format!("account-{}", number % 10_000), number, text: text.clone() };
        let began = Instant::now();
        let mut tx = store.begin().await?;
        outbox.add(&mut tx, made).await?;
        outbox.commit(tx).await?;
        took.push(began.elapsed().as_secs_f64() * 1_000.0);
    }
}

/// Polls lock waits continuously, and returns the longest one in milliseconds.
async fn longest_lock_wait(url: String, ended: Arc<AtomicBool>) -> Outcome<f64> {
    let look = "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - l.waitstart)), 0)::float8 * 1000
        FROM pg_locks l JOIN pg_stat_activity a USING (pid)
        WHERE NOT l.granted AND l.waitstart IS NOT NULL AND a.datname = current_database()";
    let mut connection = sqlx::PgConnection::connect(&url).await?;
    let mut longest = 0.0_f64;
    while !ended.load(Ordering::Relaxed) {
        longest = longest.max(sqlx::query_scalar(look).fetch_one(&mut connection).await?);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(longest)
}
