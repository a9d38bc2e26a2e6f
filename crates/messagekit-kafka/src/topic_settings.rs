//! The settings of topics, as the brokers state them.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use messagekit::{Error, ErrorKind};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, ConfigResourceResult, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use tokio::sync::oneshot;

use crate::error::{unavailable, unusable_settings};

/// The time limit of an answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// Returns the settings of topics in the order of the topics, from a client that ends with the answer.
///
/// # Errors
/// Transient if no broker answers. A topic that is not there, or whose settings this client may not read, has an
/// error of its own.
///
/// # Cancel safety
/// Nothing is lost; the question goes on without a reader.
pub(crate) async fn of(
    config: ClientConfig,
    topics: Vec<Arc<str>>,
) -> Result<Vec<ConfigResourceResult>, Error> {
    let (answer, answered) = oneshot::channel();
    // A client without reachable brokers may take seconds to end, so the caller must not wait for it.
    thread::Builder::new()
        .name("kafka-settings".to_owned())
        .spawn(move || {
            let asked = client(&config)
                .map(|client| (answered_by(&client, topics.iter().map(|topic| &**topic)), client));
            match asked {
                Ok((answers, client)) => {
                    let _ = answer.send(answers);
                    drop(client);
                }
                Err(error) => drop(answer.send(Err(error))),
            }
        })
        .map_err(|error| not_asked().caused_by(error))?;
    answered.await.unwrap_or_else(|_| Err(not_asked()))
}

/// As [`of`], for a thread that may wait.
pub(crate) fn ask<'a>(
    config: &ClientConfig,
    topics: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<ConfigResourceResult>, Error> {
    answered_by(&client(config)?, topics)
}

fn client(config: &ClientConfig) -> Result<AdminClient<DefaultClientContext>, Error> {
    config.create().map_err(|error| unusable_settings("client", error))
}

fn answered_by<'a>(
    client: &AdminClient<DefaultClientContext>,
    topics: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<ConfigResourceResult>, Error> {
    let asked: Vec<_> = topics.into_iter().map(ResourceSpecifier::Topic).collect();
    let options = AdminOptions::new().request_timeout(Some(DEADLINE));
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(|error| not_asked().caused_by(error))?;
    let answers = runtime.block_on(client.describe_configs(&asked, &options));
    answers.map_err(|error| unavailable("no broker stated the settings of topics", error))
}

/// Returns the value of a setting; `None` without settings: the topic does not exist or is not visible to this client.
pub(crate) fn value<'a>(answer: &'a ConfigResource, name: &str) -> Option<&'a str> {
    answer.get(name).and_then(|entry| entry.value.as_deref())
}

fn not_asked() -> Error {
    Error::new(ErrorKind::Unavailable, "the settings of topics were not asked for")
}
