//! A worker that runs a pipeline: it notes each call of its function in a file beside the database.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use messagekit::{Error, Shutdown};
use messagekit_sqlite::SqliteStore;
use messagekit_topics::Topics;
use serde_json::{Value, json};

use crate::say::say;

/// Runs the pipeline until the shutdown. The call for the number `hangs` says so and never returns.
pub(crate) async fn run(
    store: &SqliteStore,
    file: &Path,
    hangs: Option<u64>,
    shutdown: Shutdown,
) -> Result<(), Error> {
    let topics = Topics::of(store.clone());
    let numbers = topics.untyped("numbers.number").open().await.map_err(core)?;
    let doubles = topics.untyped("numbers.double").open().await.map_err(core)?;
    let calls = file.with_extension("calls");
    let pipeline = numbers.pipe(move |record: Value| double(calls.clone(), record, hangs)).to(&doubles);
    tokio::select! {
        ended = pipeline.serve() => ended.map(drop).map_err(core),
        () = shutdown.requested() => Ok(()),
    }
}

async fn double(calls: PathBuf, record: Value, hangs: Option<u64>) -> Result<Value, Error> {
    let n = record["n"].as_u64().unwrap_or_default();
    let mut calls = OpenOptions::new().append(true).create(true).open(calls).expect("calls can be noted");
    // One write for each line: several processes append.
    calls.write_all(format!("{n}\n").as_bytes()).expect("a call can be noted");
    if hangs == Some(n) {
        say("ready");
        std::future::pending::<()>().await;
    }
    Ok(json!({ "n": 2 * n }))
}

fn core(error: messagekit_topics::Error) -> Error {
    Error::new(error.kind(), "pipeline of the worker ended").caused_by(error)
}
