//! O1: a consumer with traces off and on.
//!
//! Each run is a process of its own, because a process has one exporter.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Bytes;
use messagekit::Message;
use messagekit::headers::TRACEPARENT;
use messagekit_telemetry::TelemetryGuard;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::{consume, embedded};
use crate::events::messages;
use crate::frame::{Better, Cell, Contender, Goal, Ledger, Measured, Outcome, Plan, Role, Target};
use crate::resources::Database;
use crate::settings::Settings;

pub(crate) const O1: Cell =
    Cell { id: "O1", title: "consume with traces", figure: "events/s", better: Better::Higher, plan };

const EVENTS: usize = 40_000;
const OFF: &str = "traces off";
const TENTH: &str = "one event in ten is recorded";
const EACH: &str = "every event is recorded";
const RECEIVED: &str = "bytes of spans";

/// The databases that are measured.
const GROUPS: [(&str, Kind); 2] =
    [("one SQLite file, NORMAL", Kind::File), ("PostgreSQL, 50 in a transaction, 8 lanes", Kind::Server)];

#[derive(Clone, Copy)]
enum Kind {
    File,
    Server,
}

fn plan(settings: Arc<Settings>) -> Plan {
    let events = settings.scaled(EVENTS);
    let (mut contenders, mut goals) = (Vec::new(), Vec::new());
    for (group, kind) in GROUPS {
        for (name, one_in) in [(OFF, None), (TENTH, Some(10)), (EACH, Some(1))] {
            let settings = Arc::clone(&settings);
            contenders.push(Contender::new(group, name, Role::Ours, move || {
                measure(Arc::clone(&settings), kind, events, one_in)
            }));
        }
        goals.push(Goal {
            group: group.to_owned(),
            figure: O1.figure,
            over: TENTH,
            under: Some(OFF),
            target: Target::AtLeast(0.95),
        });
    }
    let sizes = "1 KiB each; the writer decides which events are recorded; the receiver is on this machine"
        .to_owned();
    Plan { sizes, contenders, goals }
}

async fn measure(
    settings: Arc<Settings>,
    kind: Kind,
    events: usize,
    one_in: Option<usize>,
) -> Outcome<Measured> {
    match kind {
        Kind::File => {
            let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(&settings.folder)?;
            embedded::traced::fill(folder.path(), &stamped(events, one_in)?).await?;
            let database = folder.path().to_str().ok_or("--folder is not UTF-8")?;
            let run = in_a_process(database, events, one_in).await?;
            Ok(run.judged(embedded::traced::judge(folder.path(), events)?))
        }
        Kind::Server => {
            let database = Database::migrated(settings.database()?).await?;
            database.execute(consume::EFFECTS.to_owned()).await?;
            let run = in_a_process(&database.url, events, one_in).await?;
            Ok(run.judged(database.judge(events, consume::APPLIED).await?))
        }
    }
}

/// Returns events whose writer has recorded one in so many; one in ten while traces are off.
fn stamped(events: usize, one_in: Option<usize>) -> Outcome<Vec<Message>> {
    let stamped = messages(events)?.into_iter().enumerate().map(|(number, message)| {
        let flags = u8::from(number % one_in.unwrap_or(10) == 0);
        message.with_header(TRACEPARENT, format!("00-{:032x}-{:016x}-{flags:02x}", number + 1, number + 1))
    });
    Ok(stamped.collect())
}

/// The result of a process.
struct Ran {
    rate: f64,
    received: usize,
}

impl Ran {
    fn judged(self, ledger: Ledger) -> Measured {
        Measured::new(ledger).with(O1.figure, self.rate).with(RECEIVED, self.received as f64)
    }
}

async fn in_a_process(database: &str, events: usize, one_in: Option<usize>) -> Outcome<Ran> {
    let received = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&received);
    let accept = async move |body: Bytes| {
        count.fetch_add(body.len(), Ordering::Relaxed);
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let receiver = tokio::spawn(async move { axum::serve(listener, Router::new().fallback(accept)).await });

    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--traced", database, "--events", &events.to_string()]);
    command.env_remove("OTEL_EXPORTER_OTLP_ENDPOINT");
    if let Some(one_in) = one_in {
        command.args(["--one-in", &one_in.to_string()]).env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
    }
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    receiver.abort();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    let rate = String::from_utf8(output.stdout)?.trim().parse()?;
    Ok(Ran { rate, received: received.load(Ordering::Relaxed) })
}

/// Consumes as a program whose environment names a receiver or none, and returns the rate. `database` is a URL of PostgreSQL, or
/// the folder of a file with events.
pub(crate) async fn consume_traced(database: &str, events: usize, one_in: Option<usize>) -> Outcome<f64> {
    let telemetry = TelemetryGuard::from_env("bench")?;
    tracing_subscriber::registry().with(telemetry.layer()).try_init()?;
    let rate = if database.starts_with("postgres") {
        consume::traced(database, &stamped(events, one_in)?).await?
    } else {
        embedded::traced::consume(Path::new(database), events).await?
    };
    telemetry.shutdown()?;
    Ok(rate)
}
