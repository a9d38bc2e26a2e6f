//! Other projects that do the same work. Each has a small program around it under `benches/peers`.
//!
//! A program reads the environment variables `BENCH_DATABASE` (a URL of PostgreSQL), `BENCH_KAFKA` and `BENCH_TOPIC`.
//!
//! - `fill` moves the rows of `bench_source (number, account, payload)` into its outbox by the peer's own interface and exits.
//! - `relay` publishes until it is killed.
//! - `consume` reads the topic as group `BENCH_GROUP` until SIGTERM. In one transaction per message it adds the header `id` to
//!   `seen` and, when that is new, its account and number to `effects`.
//!
//! A peer that is not installed, or fails, is listed with the reason.

use std::process::Command;

use sqlx::Connection;

use crate::events::messages;
use crate::frame::Outcome;
use crate::resources::{Database, Program, Topic, folder};
use crate::settings::Settings;

/// A peer project.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Its name and version.
    pub(crate) name: &'static str,
    folder: &'static str,
    /// The program, as a path inside the folder or a name on the search path, and its first arguments.
    command: &'static [&'static str],
}

/// Peers that move an outbox of PostgreSQL to Kafka.
pub(crate) const RELAYS: [Peer; 6] = [
    Peer {
        name: "outbox-core 0.6 + outbox-kafka 0.2 (Rust)",
        folder: "outbox-core",
        command: &["target/release/peer-outbox-core"],
    },
    Peer {
        name: "faststream-outbox 0.19 (Python)",
        folder: "faststream-outbox",
        command: &[".venv/bin/python", "peer.py"],
    },
    Peer { name: "Watermill SQL forwarder 1.5 (Go)", folder: "watermill", command: &["peer"] },
    Peer {
        name: "messagekit for Python, its algorithm written again",
        folder: "messagekit-python",
        command: &[".venv/bin/python", "peer.py"],
    },
    Peer { name: "River 0.51, a worker that publishes (Go)", folder: "river", command: &["peer"] },
    Peer { name: "Namastack 1.6 (Java)", folder: "namastack", command: &["target/peer.jar"] },
];

/// Peers that read Kafka and deduplicate in PostgreSQL.
pub(crate) const CONSUMERS: [Peer; 2] = [
    Peer {
        name: "Watermill router 1.5, deduplication by hand (Go)",
        folder: "watermill",
        command: &["peer"],
    },
    Peer {
        name: "messagekit for Python, its algorithm written again",
        folder: "messagekit-python",
        command: &[".venv/bin/python", "peer.py"],
    },
];

/// Creates a topic, and a database whose outbox the peer has filled with events.
pub(crate) async fn backlog(settings: &Settings, peer: &Peer, events: usize) -> Outcome<(Database, Topic)> {
    let (database, topic) =
        (Database::empty(settings.database()?).await?, Topic::make(settings.kafka()?).await?);
    let mut connection = sqlx::PgConnection::connect(&database.url).await?;
    let create =
        "CREATE TABLE bench_source (number bigint PRIMARY KEY, account text NOT NULL, payload text NOT NULL)";
    sqlx::raw_sql(create).execute(&mut connection).await?;
    for (first, chunk) in (0_i64..).step_by(1_000).zip(messages(events)?.chunks(1_000)) {
        let accounts = chunk.iter().map(crate::raw::outbox::key).collect::<Outcome<Vec<_>>>()?;
        let payloads: Vec<&str> =
            chunk.iter().map(|message| std::str::from_utf8(&message.payload)).collect::<Result<_, _>>()?;
        sqlx::query("INSERT INTO bench_source SELECT $1 + n - 1, account, payload FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS s (account, payload, n)")
            .bind(first).bind(accounts).bind(payloads).execute(&mut connection).await?;
    }
    Program::finish(peer.command(settings, &database, &topic, "fill")?).await?;
    database.settle().await?;
    Ok((database, topic))
}

impl Peer {
    /// Returns the command of its program, with the variables that it reads.
    pub(crate) fn command(
        &self,
        settings: &Settings,
        database: &Database,
        topic: &Topic,
        what: &str,
    ) -> Outcome<Command> {
        let mut command = self.program(what)?;
        command
            .env("BENCH_DATABASE", plain(&database.url))
            .env("BENCH_KAFKA", settings.kafka()?)
            .env("BENCH_TOPIC", &topic.name)
            .env("BENCH_GROUP", &topic.name);
        Ok(command)
    }

    /// Returns the command of its program, without the variables.
    pub(crate) fn program(&self, what: &str) -> Outcome<Command> {
        let place = folder("peers").join(self.folder);
        let (program, arguments) = self.command.split_first().ok_or("a peer without a program")?;
        let program = place.join(program);
        if !program.exists() {
            return Err(format!("not installed: see benches/peers/{}/README.md", self.folder).into());
        }
        let mut command = match program.extension() {
            Some(extension) if extension == "jar" => {
                let mut java = Command::new("java");
                java.arg("-jar").arg(program);
                java
            }
            _ => Command::new(program),
        };
        command.args(arguments).arg(what).current_dir(place);
        Ok(command)
    }
}

/// Returns a URL without the parameters of sqlx, which other clients would send to the server.
pub(crate) fn plain(url: &str) -> &str {
    url.split_once('?').map_or(url, |(url, _)| url)
}
