//! A process of a small shop, for tests that kill it: the order service, billing, printing, or an operator, on one SQLite file.
//!
//! The commands are `worker orders FILE --from N --count N --seed S`, `worker billing FILE --deadly N`, `worker parking FILE`
//! (billing that keeps the order of each customer), `worker calling FILE` (billing that calls a payment service first), `worker printing FILE`, `worker claiming FILE` (claims jobs), `worker holding FILE`
//! (claims some and keeps them), `worker piping FILE --deadly N` (runs a pipeline whose function hangs at N), `worker migrating FILE`
//! (gives the numbers another form), and `worker operator FILE`
//! (discards dead failed messages). Each exits when its standard input closes, so none outlives its test, and prints `ready` once the file is open, or once it has its claim.
//! The order service prints a line for each step, for a ledger that another process keeps; see `orders`.
#![allow(clippy::print_stderr, reason = "a program of the tests tells its reader why it ended")]

mod arguments;
mod billing;
mod calling;
mod claiming;
mod events;
mod migrating;
mod operator;
mod orders;
mod piping;
mod printing;
mod say;
mod tables;

use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;

use messagekit::{OnFailure, Shutdown, chain};
use messagekit_sqlite::SqliteStore;

use self::arguments::{Arguments, Role};
use self::say::say;

/// The writer may hold its lock, and another one wait for it, for longer than usual: a busy machine must not look like a
/// misbehaving handler here.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let arguments = match Arguments::read(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("worker: {problem}");
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match runtime.expect("a runtime can be made").block_on(run(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("worker: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), messagekit::Error> {
    let shutdown = Shutdown::new();
    until_input_closes(&shutdown);
    let store = SqliteStore::options()
        .transaction_timeout(TRANSACTION_TIMEOUT)
        .busy_timeout(TRANSACTION_TIMEOUT)
        .open(&arguments.file)
        .await?;
    tables::create(&store).await?;
    if !matches!(arguments.role, Role::Claiming { holds: true }) {
        say("ready");
    }
    match arguments.role {
        Role::Orders(plan) => orders::run(&store, plan, &shutdown).await?,
        Role::Billing { calls: true, .. } => calling::run(&store, &arguments.file, shutdown).await?,
        Role::Billing { deadly, parks, .. } => {
            let policy = if parks { OnFailure::ParkKey } else { OnFailure::DeadLetter };
            billing::run(&store, deadly, policy, shutdown).await?;
        }
        Role::Claiming { holds } => claiming::run(&store, holds, shutdown).await?,
        Role::Migrating => migrating::run(&store).await?,
        Role::Piping { hangs } => piping::run(&store, &arguments.file, hangs, shutdown).await?,
        Role::Operator => operator::run(&store, &shutdown).await?,
        Role::Printing => printing::run(&store, shutdown).await?,
    }
    Ok(store.close().await?)
}

/// Waits for the end of stdin: the kernel closes the pipe when the test exits or crashes.
fn until_input_closes(shutdown: &Shutdown) {
    let shutdown = shutdown.clone();
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        while input.read(&mut [0; 64]).is_ok_and(|bytes| bytes > 0) {}
        shutdown.request();
    });
}
