//! `messagekit status`.

use std::time::Duration;

use comfy_table::Table;
use jiff::SignedDuration;
use messagekit::operations::{ConsumerStatus, PublisherMode, PublisherState, StateCount};
use messagekit::{Error, ErrorKind, Shutdown};
use messagekit_admin::Service;
use messagekit_admin::documents::{DatabaseState, HeldBack, Status as Health, StatusDocument, Unreachable};

use crate::databases::Databases;
use crate::output::{cell, print, print_json, printable, table};
use crate::url::Url;

/// How often a watched screen is drawn again.
const REFRESH: Duration = Duration::from_secs(2);

/// The seconds of a day.
const DAY: u64 = 86_400;

/// Where counts stop.
const LIMIT: u64 = messagekit::operations::COUNT_LIMIT as u64;

/// Show everything on one screen: outboxes, consumers, failed messages, replays, running services.
#[derive(Debug, clap::Args)]
pub(crate) struct Status {
    #[command(flatten)]
    databases: Databases,
    /// A running service and the address of its health, for example billing=http://127.0.0.1:8081; may be given several times
    #[arg(long = "service", value_name = "NAME=URL")]
    services: Vec<Url>,
    /// Draw the screen again every 2 s, until it is interrupted
    #[arg(long, conflicts_with = "json")]
    watch: bool,
    /// One JSON document instead of a screen
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(crate) async fn run(self) -> Result<(), Error> {
        let services: Vec<Service> = self.services.iter().map(service).collect::<Result<_, _>>()?;
        let overview = self.databases.overview().await?.services(services);
        if self.json {
            return print_json(&overview.status().await?);
        }
        if !self.watch {
            return print(screen(&overview.status().await?));
        }
        let shutdown = Shutdown::on_signal()?;
        let mut ticks = tokio::time::interval(REFRESH);
        loop {
            tokio::select! {
                () = shutdown.requested() => return Ok(()),
                _ = ticks.tick() => {}
            }
            // A database that is away now may be back at the next look.
            let drawn = match overview.status().await {
                Ok(status) => screen(&status),
                Err(error) => printable(&messagekit::chain(&error)),
            };
            // Clears the screen and begins at its top. What was scrolled away is not ours.
            print(format_args!("\u{1b}[2J\u{1b}[H{drawn}"))?;
        }
    }
}

/// Parses `NAME=URL`. An error does not repeat the URL, because it may have a password.
fn service(text: &Url) -> Result<Service, Error> {
    let (name, url) = text.split_once('=').ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidConfiguration,
            "--service takes NAME=URL, such as billing=http://127.0.0.1:8081",
        )
    })?;
    Service::new(name, url)
}

/// Returns the tables of a status.
fn screen(status: &StatusDocument) -> String {
    let mut outboxes =
        table(&["database", "publisher", "pending", "oldest", "delayed", "rejected", "failed", "replays"]);
    let mut consumers = table(&[
        "database",
        "consumer",
        "last activity",
        "dedup window",
        "behind",
        "failed",
        "blocked keys",
        "due",
        "oldest failed",
    ]);
    for database in &status.databases {
        let outbox = &database.outbox;
        outboxes.add_row([
            printable(&database.database),
            publisher(&outbox.publisher),
            count(outbox.pending),
            outbox.oldest_seconds.map(|age| format!("{age:.0} s")).unwrap_or_default(),
            count(outbox.delayed),
            count(outbox.rejected),
            states(&database.failed_messages),
            count(outbox.running_replays),
        ]);
        for consumer in &database.consumers {
            consumers.add_row([
                printable(&consumer.database),
                printable(&consumer.consumer),
                cell(&consumer.last_activity_at),
                dedup_window(consumer.dedup_window),
                behind(consumer),
                states(&consumer.failed_messages),
                count(Some(consumer.blocked_keys)),
                count(Some(consumer.retries_due)),
                cell(&consumer.oldest_failed_at),
            ]);
        }
    }
    let tables = [consumers, unhandled(status), services(status)];
    let mut lines = vec![outboxes.to_string()];
    lines.extend(tables.iter().filter(|table| !table.is_empty()).map(Table::to_string));
    lines.extend(status.databases.iter().flat_map(problems));
    for Unreachable { database, error } in &status.unreachable {
        lines.push(format!("database {} {}", printable(database), printable(error)));
    }
    lines.join("\n")
}

/// Returns the table of the types that consumers have no handler for.
fn unhandled(status: &StatusDocument) -> Table {
    let mut rows =
        table(&["database", "consumer", "topic", "type without a handler", "messages", "last", "handles"]);
    for consumer in status.databases.iter().flat_map(|database| &database.consumers) {
        for of in &consumer.unhandled {
            rows.add_row([
                printable(&consumer.database),
                printable(&consumer.consumer),
                printable(&of.topic),
                printable(&of.event_type),
                of.messages.to_string(),
                of.last_at.to_string(),
                printable(&of.similar.join(", ")),
            ]);
        }
    }
    rows
}

/// `database shop: slot messagekit_shop is missing: …`.
fn problems(database: &DatabaseState) -> impl Iterator<Item = String> {
    let name = printable(&database.database);
    let missing = database.consumers_missing;
    let missing =
        missing.map(|why| format!("database {name}: its consumers are missing here: {}", printable(why)));
    let problems = database.outbox.problems.iter();
    problems.map(move |problem| format!("database {name}: {}", printable(problem))).chain(missing)
}

/// Returns the table of the services and their consumers.
fn services(status: &StatusDocument) -> Table {
    let mut rows =
        table(&["service", "status", "consumer", "lanes", "behind", "oldest", "held back by", "waits for"]);
    for service in &status.services {
        let mut cells: [String; 7] = Default::default();
        cells[0] = printable(&service.service);
        cells[1] = state(service.status, service.error.as_deref());
        cells[6] = held_back(service.held_back_by.as_ref());
        rows.add_row(cells);
        for consumer in &service.consumers {
            let lag = consumer.lag.as_ref();
            rows.add_row([
                String::new(),
                state(consumer.status, consumer.error.as_deref()),
                printable(&consumer.consumer),
                consumer.lanes.to_string(),
                lag.map(|lag| lag.messages.to_string()).unwrap_or_default(),
                lag.map(|lag| format!("{:.0} s", lag.seconds)).unwrap_or_default(),
                held_back(consumer.held_back_by.as_ref()),
                printable(&consumer.blocked_lanes.join(", ")),
            ]);
        }
    }
    rows
}

/// `unhealthy: no connection`.
fn state(status: Health, error: Option<&str>) -> String {
    let status = match status {
        Health::Healthy => "healthy",
        Health::Degraded => "degraded",
        Health::Unhealthy => "unhealthy",
    };
    let error = error.filter(|text| !text.is_empty());
    error.map_or_else(|| status.to_owned(), |error| format!("{status}: {}", printable(error)))
}

/// `rate limit, 12 s`.
fn held_back(gate: Option<&HeldBack>) -> String {
    let gate = gate.filter(|gate| !gate.gate.is_empty());
    gate.map(|gate| format!("{}, {} s", printable(&gate.gate), gate.seconds)).unwrap_or_default()
}

/// Returns a count, or that there are at least as many; empty if it could not be read.
fn count(count: Option<u64>) -> String {
    match count {
        Some(count) if count >= LIMIT => format!("{count} or more"),
        count => cell(&count),
    }
}

/// `14d`, or that there is none.
fn dedup_window(window: Option<Duration>) -> String {
    match window.map(|window| window.as_secs()) {
        None => "none".to_owned(),
        Some(seconds) if seconds % DAY == 0 => format!("{}d", seconds / DAY),
        Some(seconds) => {
            format!("{:#}", SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX)))
        }
    }
}

fn publisher(publisher: &PublisherState) -> String {
    match (publisher.mode, publisher.has_relay) {
        (None, _) => "none".to_owned(),
        (Some(PublisherMode::Relay), Some(false)) => "relay, none lives".to_owned(),
        (Some(mode), _) => mode.as_str().to_owned(),
    }
}

/// `2 dead, 1 blocked`.
fn states(counts: &[StateCount]) -> String {
    let counts = counts.iter().map(|one| format!("{} {}", count(Some(one.failed_messages)), one.state));
    counts.collect::<Vec<_>>().join(", ")
}

/// Returns the records of all partitions that are not settled, `?` if none is known, and `12 and ?` if some are.
fn behind(consumer: &ConsumerStatus) -> String {
    let all: Vec<Option<u64>> = consumer.positions.iter().map(|position| position.behind).collect();
    let known = all.iter().flatten().sum::<u64>();
    match (all.iter().any(Option::is_some), all.contains(&None)) {
        (false, false) => String::new(),
        (false, true) => "?".to_owned(),
        (true, false) => known.to_string(),
        (true, true) => format!("{known} and ?"),
    }
}
