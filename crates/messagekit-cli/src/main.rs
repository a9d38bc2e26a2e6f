//! The command line of messagekit.
//!
//! Exit codes: 0 done, 1 failed, 2 usage error. Tables are for people; `--json` prints one JSON document on standard
//! output and nothing else there.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line prints")]

mod admin;
mod audit;
mod bookkeeper;
mod bridge;
mod catalog;
mod cleanup;
mod completions;
mod confirm;
mod connector;
mod database;
mod databases;
mod dlq;
mod doctor;
mod events;
mod input;
mod listen;
mod log;
mod man;
mod migrate;
mod operator;
mod outbox;
mod output;
mod page;
mod progress;
mod relay;
mod replay;
mod rows;
mod schema;
mod sections;
mod sql;
mod status;
mod topics;
mod url;

#[cfg(test)]
mod secret_tests;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use messagekit::{ErrorKind, chain};

/// Transactional outbox, idempotent consumers, repairable failed messages.
#[derive(Debug, Parser)]
#[command(name = "messagekit", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a year of orders through one file while killing the consumer, and check each guarantee
    Demo(messagekit_demo::Options),
    /// Apply schema migrations, or print them
    Migrate(migrate::Migrate),
    /// Render, apply, watch and delete the connector that publishes the outbox
    Connector(connector::Connector),
    /// List, group, show, retry and discard failed messages
    // The commonest slip of the hand would be taken for `sql`.
    #[command(alias = "dql")]
    Dlq(dlq::Dlq),
    /// Show an event with its publication, consumers, causes and effects, and find events
    Events(events::Events),
    /// Show all databases on one screen: outboxes, consumers, failed messages, replays
    Status(status::Status),
    /// List what operators did
    Audit(audit::Audit),
    /// Read topics in the order of their time; list stored events, and publish them again
    Replay(replay::Replay),
    /// Serve failed messages, replay, health and metrics over HTTP
    Admin(admin::Admin),
    /// Record dead letters of RabbitMQ and Kafka, and redeliver them on request
    Bookkeeper(bookkeeper::Bookkeeper),
    /// Publish the events of an outbox to Kafka or RabbitMQ
    Relay(relay::Relay),
    /// Forward records of Kafka to exchanges of RabbitMQ
    Bridge(bridge::Bridge),
    /// List unpublished events, and list, retry and discard those that the broker has rejected
    Outbox(outbox::Outbox),
    /// Delete expired rows in small batches; run it nightly
    Cleanup(cleanup::Cleanup),
    /// Manage and use the typed topics of a database
    Topics(topics::Topics),
    /// Run SQL statements about topics, table sources and groups
    Sql(sql::Sql),
    /// Compare the schemas of a service's events with a baseline, and extend it
    Schema(schema::Schema),
    /// Describe the events of several services, and find what no service writes
    Catalog(catalog::Catalog),
    /// Find faults in the setup of databases and brokers, and print the repair of each
    Doctor(doctor::Doctor),
    /// Print the completions of commands and options for a shell
    Completions(completions::Completions),
    /// Print the man page of the program, or write a page for each command
    Man(man::Man),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return not_understood(&error),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return failed(&messagekit::Error::new(ErrorKind::Unavailable, "runtime").caused_by(error));
        }
    };
    match arguments.command {
        Command::Demo(options) => runtime.block_on(messagekit_demo::run(options, &["demo"])),
        Command::Migrate(migrate) => finish(runtime.block_on(migrate.run())),
        Command::Connector(connector) => finish(runtime.block_on(connector.run())),
        Command::Dlq(dlq) => finish(runtime.block_on(dlq.run())),
        Command::Events(events) => finish(runtime.block_on(events.run())),
        Command::Status(status) => finish(runtime.block_on(status.run())),
        Command::Audit(audit) => finish(runtime.block_on(audit.run())),
        Command::Replay(replay) => finish(runtime.block_on(replay.run())),
        Command::Admin(admin) => finish(runtime.block_on(admin.run())),
        Command::Bookkeeper(bookkeeper) => finish(runtime.block_on(bookkeeper.run())),
        Command::Relay(relay) => finish(runtime.block_on(relay.run())),
        Command::Bridge(bridge) => {
            let outcome = runtime.block_on(bridge.run());
            // A closing connection must not delay the end.
            runtime.shutdown_background();
            finish(outcome)
        }
        Command::Outbox(outbox) => finish(runtime.block_on(outbox.run())),
        Command::Cleanup(cleanup) => finish(runtime.block_on(cleanup.run())),
        Command::Topics(topics) => finish(runtime.block_on(topics.run())),
        Command::Sql(sql) => finish(runtime.block_on(sql.run())),
        Command::Schema(schema) => finish(schema.run()),
        Command::Catalog(catalog) => finish(catalog.run()),
        Command::Doctor(doctor) => finish(runtime.block_on(doctor.run())),
        Command::Completions(completions) => finish(completions.run(Arguments::command())),
        Command::Man(man) => finish(man.run(Arguments::command())),
    }
}

/// Prints help and version on standard output, and a usage error as one line.
fn not_understood(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        return finish(output::print(error.to_string().trim_end()));
    }
    if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        eprint!("{error}");
        return ExitCode::from(2);
    }
    let text = error.to_string();
    let told = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let mut one = String::new();
    for line in told.filter(|line| !line.is_empty() && !line.starts_with("For more information")) {
        let apart = if one.is_empty() {
            ""
        } else if line.starts_with("tip:") {
            "; "
        } else {
            " "
        };
        one.extend([apart, line]);
    }
    if error.kind() == clap::error::ErrorKind::MissingRequiredArgument {
        let variables =
            [("--database", database::URL_VARIABLE), ("--connect", connector::target::URL_VARIABLE)];
        for (option, variable) in variables {
            let option = format!("{option} <URL>");
            one = one.replace(&option, &format!("{option} (or {variable})"));
        }
    }
    let one = output::printable(one.trim_start_matches("error: "));
    eprintln!("messagekit: {one}; see {} --help", command());
    ExitCode::from(2)
}

/// Returns the command of this process, as far as its words are known: that of a usage error.
fn command() -> String {
    let (mut known, mut words) = (Arguments::command(), vec!["messagekit".to_owned()]);
    for word in std::env::args().skip(1) {
        let Some(next) = known.find_subcommand(&word) else { break };
        known = next.clone();
        words.push(word);
    }
    words.join(" ")
}

fn finish(outcome: Result<(), messagekit::Error>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

/// Prints one line: the failure, its value, the cure.
fn failed(error: &messagekit::Error) -> ExitCode {
    eprintln!("messagekit: {}", output::printable(&chain(error)));
    ExitCode::from(if error.kind() == ErrorKind::InvalidConfiguration { 2 } else { 1 })
}
