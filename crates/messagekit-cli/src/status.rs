//! `messagekit status`.

use std::time::Duration;

use messagekit::{Error, ErrorKind, Shutdown};
use messagekit_admin::Service;
use serde_json::Value;

use crate::databases::Databases;
use crate::document::{list, text};
use crate::output::{print, printable, table};
use crate::url::Url;

/// How often a watched screen is drawn again.
const REFRESH: Duration = Duration::from_secs(2);

/// The seconds of a day.
const DAY: i64 = 86_400;

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
            return print(overview.status().await?);
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
fn screen(status: &Value) -> String {
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
    let mut has_consumer = false;
    for database in list(status, "databases") {
        let outbox = &database["outbox"];
        outboxes.add_row([
            text(&database["database"]),
            publisher(&outbox["publisher"]),
            count(&outbox["pending"]),
            outbox["oldest_seconds"].as_f64().map(|age| format!("{age:.0} s")).unwrap_or_default(),
            count(&outbox["delayed"]),
            count(&outbox["rejected"]),
            states(database),
            count(&outbox["running_replays"]),
        ]);
        for consumer in list(database, "consumers") {
            has_consumer = true;
            consumers.add_row([
                text(&database["database"]),
                text(&consumer["consumer"]),
                text(&consumer["last_activity_at"]),
                dedup_window(&consumer["dedup_window_seconds"]),
                behind(consumer),
                states(consumer),
                count(&consumer["blocked_keys"]),
                count(&consumer["retries_due"]),
                text(&consumer["oldest_failed_at"]),
            ]);
        }
    }
    let mut lines = vec![outboxes.to_string()];
    lines.extend(has_consumer.then(|| consumers.to_string()));
    lines.extend(unhandled(status));
    lines.extend(services(status));
    lines.extend(list(status, "databases").flat_map(problems));
    for one in list(status, "unreachable") {
        lines.push(format!("database {} {}", text(&one["database"]), text(&one["error"])));
    }
    lines.join("\n")
}

/// Returns the table of what consumers have passed over, if there is any.
fn unhandled(status: &Value) -> Option<String> {
    let mut rows =
        table(&["database", "consumer", "topic", "type without a handler", "messages", "last", "handles"]);
    let mut is_empty = true;
    for consumer in list(status, "databases").flat_map(|database| list(database, "consumers")) {
        for of in list(consumer, "unhandled") {
            is_empty = false;
            rows.add_row([
                text(&consumer["database"]),
                text(&consumer["consumer"]),
                text(&of["topic"]),
                text(&of["event_type"]),
                text(&of["messages"]),
                text(&of["last_at"]),
                list(of, "similar").map(text).collect::<Vec<_>>().join(", "),
            ]);
        }
    }
    (!is_empty).then(|| rows.to_string())
}

/// `database shop: slot messagekit_shop is missing: …`.
fn problems(database: &Value) -> impl Iterator<Item = String> {
    let name = text(&database["database"]);
    let missing = database["consumers_missing"].as_str();
    let missing =
        missing.map(|why| format!("database {name}: its consumers are missing here: {}", printable(why)));
    let problems = list(&database["outbox"], "problems")
        .map(move |problem| format!("database {name}: {}", text(problem)));
    problems.chain(missing)
}

/// Returns the table of the services and their consumers, if there are any.
fn services(status: &Value) -> Option<String> {
    let mut rows =
        table(&["service", "status", "consumer", "lanes", "behind", "oldest", "held back by", "waits for"]);
    let mut is_empty = true;
    for service in list(status, "services") {
        is_empty = false;
        let gate = held_back(service);
        rows.add_row([
            text(&service["service"]),
            state(service),
            "".into(),
            "".into(),
            "".into(),
            "".into(),
            gate,
        ]);
        for consumer in list(service, "consumers") {
            let lag = &consumer["lag"];
            rows.add_row([
                String::new(),
                state(consumer),
                text(&consumer["consumer"]),
                text(&consumer["lanes"]),
                text(&lag["messages"]),
                lag["seconds"].as_f64().map(|age| format!("{age:.0} s")).unwrap_or_default(),
                held_back(consumer),
                list(consumer, "blocked_lanes").map(text).collect::<Vec<_>>().join(", "),
            ]);
        }
    }
    (!is_empty).then(|| rows.to_string())
}

/// `unhealthy: no connection`.
fn state(of: &Value) -> String {
    match text(&of["error"]) {
        none if none.is_empty() => text(&of["status"]),
        error => format!("{}: {error}", text(&of["status"])),
    }
}

/// `rate limit, 12 s`.
fn held_back(of: &Value) -> String {
    let gate = &of["held_back_by"];
    match text(&gate["gate"]) {
        none if none.is_empty() => none,
        name => format!("{name}, {} s", text(&gate["seconds"])),
    }
}

/// Returns a count, or that there are at least as many.
fn count(value: &Value) -> String {
    match value.as_u64() {
        Some(count) if count >= LIMIT => format!("{count} or more"),
        _ => text(value),
    }
}

/// `14d`, or that there is none.
fn dedup_window(seconds: &Value) -> String {
    match seconds.as_i64() {
        None => "none".to_owned(),
        Some(seconds) if seconds % DAY == 0 => format!("{}d", seconds / DAY),
        Some(seconds) => format!("{:#}", jiff::SignedDuration::from_secs(seconds)),
    }
}

fn publisher(publisher: &Value) -> String {
    match (publisher["mode"].as_str(), publisher["has_relay"].as_bool()) {
        (None, _) => "none".to_owned(),
        (Some("relay"), Some(false)) => "relay, none lives".to_owned(),
        (Some(mode), _) => mode.to_owned(),
    }
}

/// `2 dead, 1 blocked`.
fn states(of: &Value) -> String {
    let counts = list(of, "failed_messages");
    let counts = counts.map(|one| format!("{} {}", count(&one["failed_messages"]), text(&one["state"])));
    counts.collect::<Vec<_>>().join(", ")
}

/// Returns the records of all partitions that are not settled, `?` if none is known, and `12 and ?` if some are.
fn behind(consumer: &Value) -> String {
    let all: Vec<Option<u64>> =
        list(consumer, "positions").map(|position| position["behind"].as_u64()).collect();
    let known = all.iter().flatten().sum::<u64>();
    match (all.iter().any(Option::is_some), all.contains(&None)) {
        (false, false) => String::new(),
        (false, true) => "?".to_owned(),
        (true, false) => known.to_string(),
        (true, true) => format!("{known} and ?"),
    }
}
