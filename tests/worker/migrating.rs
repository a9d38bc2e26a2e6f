//! A worker that gives the numbers of a topic another form.

use std::convert::Infallible;

use messagekit::Error;
use messagekit_sqlite::SqliteStore;
use messagekit_topics::Topics;
use serde_json::{Value, json};

/// Migrates the topic: `n` becomes `number`.
pub(crate) async fn run(store: &SqliteStore) -> Result<(), Error> {
    let topics = Topics::of(store.clone());
    let numbers = topics.untyped("numbers.number").open().await.map_err(core)?;
    let renames = async |old: Value| Ok::<_, Infallible>(json!({ "number": old["n"] }));
    let form = json!({ "type": "object", "required": ["number"], "properties": { "number": { "type": "integer" } } });
    let migration = numbers.migrate::<Value, _, _, _>(renames).described(form).dedup(["number"]);
    migration.run().await.map(drop).map_err(core)
}

fn core(error: messagekit_topics::Error) -> Error {
    Error::new(error.kind(), "migration of the worker ended").caused_by(error)
}
