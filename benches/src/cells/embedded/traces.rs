//! O1: the consumer of one file with traces off and on.
//!
//! Each run is a process of its own, because a process has one exporter.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Bytes;
use messagekit::headers::TRACEPARENT;
use messagekit_sqlite::Synchronous;
use messagekit_telemetry::TelemetryGuard;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::consume;
use super::fixture::{judge_effects, open};
use super::run::Run;
use crate::events::messages;
use crate::frame::{Better, Cell, Contender, Goal, Measured, Outcome, Plan, Role, Target};
use crate::settings::Settings;

pub(crate) const O1: Cell = Cell {
    id: "O1",
    title: "one file: consume with traces",
    figure: "events/s",
    better: Better::Higher,
    plan,
};

const EVENTS: usize = 40_000;
const OFF: &str = "traces off";
const TENTH: &str = "one event in ten is recorded";
const EACH: &str = "every event is recorded";
const RECEIVED: &str = "bytes of spans";

fn plan(settings: Arc<Settings>) -> Plan {
    let events = settings.scaled(EVENTS);
    let contenders = [(OFF, None), (TENTH, Some(10)), (EACH, Some(1))].map(|(name, one_in)| {
        let settings = Arc::clone(&settings);
        Contender::new("", name, Role::Ours, move || measure(Arc::clone(&settings), events, one_in))
    });
    let goal = Goal {
        group: String::new(),
        figure: O1.figure,
        over: TENTH,
        under: Some(OFF),
        target: Target::AtLeast(0.95),
    };
    let sizes = "1 KiB each, commit mode NORMAL; the writer decides which events are recorded".to_owned();
    Plan { sizes, contenders: contenders.into(), goals: vec![goal] }
}

async fn measure(settings: Arc<Settings>, events: usize, one_in: Option<usize>) -> Outcome<Measured> {
    let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(&settings.folder)?;
    let run = Run { folder: folder.path(), synchronous: Synchronous::Normal, events };
    let all = messages(events)?.into_iter().enumerate().map(|(number, message)| {
        let flags = u8::from(number % one_in.unwrap_or(10) == 0);
        message.with_header(TRACEPARENT, format!("00-{:032x}-{:016x}-{flags:02x}", number + 1, number + 1))
    });
    consume::fill_with(&run, &all.collect::<Vec<_>>()).await?.close().await?;

    let received = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&received);
    let accept = async move |body: Bytes| {
        count.fetch_add(body.len(), Ordering::Relaxed);
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let receiver = tokio::spawn(async move { axum::serve(listener, Router::new().fallback(accept)).await });
    let rate = in_a_process(folder.path().to_owned(), events, one_in.map(|_| endpoint)).await?;
    receiver.abort();
    let measured = Measured::new(judge_effects(&run)?).with(O1.figure, rate);
    Ok(measured.with(RECEIVED, received.load(Ordering::Relaxed) as f64))
}

async fn in_a_process(folder: PathBuf, events: usize, endpoint: Option<String>) -> Outcome<f64> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--traced").arg(folder).arg("--events").arg(events.to_string());
    command.env_remove("OTEL_EXPORTER_OTLP_ENDPOINT");
    command.envs(endpoint.map(|endpoint| ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)));
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// Consumes the file of a folder as a program whose environment names a receiver or none, and returns the rate.
pub(crate) async fn consume(folder: &Path, events: usize) -> Outcome<f64> {
    let telemetry = TelemetryGuard::from_env("bench")?;
    tracing_subscriber::registry().with(telemetry.layer()).try_init()?;
    let store = open(&Run { folder, synchronous: Synchronous::Normal, events }).await?;
    let rate = consume::consume(store, events, false).await?;
    telemetry.shutdown()?;
    Ok(rate)
}
