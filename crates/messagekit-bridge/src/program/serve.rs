//! Builds and runs a bridge from its settings.

use std::sync::Arc;

use messagekit::gate::{CircuitBreaker, RateLimit};
use messagekit::{Error, ErrorKind, Shutdown};
use messagekit_prometheus::Metrics;
use messagekit_rabbitmq::RabbitMqPublisher;
use messagekit_telemetry::MetricsGuard;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::Settings;
use super::connections::{database, verify_exchanges};
use super::health::{Health, Running};
use crate::{Bridge, ProcessedIds, Rule};

/// The name of the program in what it exports.
pub(super) const SERVICE: &str = "messagekit-bridge";

/// Runs a bridge with its port for health and metrics until `shutdown`, then drains it.
///
/// Waits for a broker or a database that does not answer, also at the start. Exports its metrics where the environment names a receiver of
/// OpenTelemetry.
///
/// # Errors
/// [`ErrorKind::InvalidConfiguration`] with every missing exchange; [`ErrorKind::Unavailable`] if the port is in use;
/// the errors of [`Bridge::run`].
pub async fn serve(settings: Settings, shutdown: Shutdown) -> Result<(), Error> {
    let registry = Registry::new();
    let metrics = Metrics::new(&registry)?;
    let _exported = MetricsGuard::from_env(SERVICE, &registry)?;
    let listener = TcpListener::bind(settings.listen).await.map_err(|error| {
        Error::new(ErrorKind::Unavailable, "port for health and metrics is not free")
            .with("address", settings.listen)
            .caused_by(error)
    })?;
    let (running, is_running) = watch::channel(None);
    let health = Health { name: settings.name.as_str().into(), registry, running: is_running };
    let port = tokio::spawn(axum::serve(listener, health.router()).into_future());
    let outcome = tokio::select! {
        biased;
        started = start(&settings, &metrics) => match started {
            Ok((bridge, breaker)) => {
                running.send_replace(Some(Running { stats: bridge.stats(), breaker }));
                tracing::info!(bridge = settings.name, listen = %settings.listen, "bridge starts");
                bridge.run(shutdown).await
            }
            Err(error) => Err(error),
        },
        () = shutdown.requested() => Ok(()),
    };
    port.abort();
    outcome
}

type Started = (Bridge<messagekit_kafka::KafkaSource>, Option<CircuitBreaker>);

async fn start(settings: &Settings, metrics: &Metrics) -> Result<Started, Error> {
    verify_exchanges(settings).await?;
    let mut source = settings.kafka.topics(settings.topics());
    if let Some(instance) = &settings.instance_id {
        source = source.instance_id(instance);
    }
    let dead_letters = settings.kafka_for_dead_letters.publisher()?.without_limits();
    let mut bridge = Bridge::builder(settings.name.as_str())
        .from(source)
        .retry_topic(settings.retry_topic.as_str())
        .dead_letters(Arc::new(dead_letters), settings.dead_letters.as_str())
        .unconfirmed(settings.unconfirmed)
        .drain(settings.drain)
        .metrics(metrics);
    let rabbitmq = settings.rabbitmq.clone().window(settings.unconfirmed.get());
    let mut publishers: Vec<(&str, RabbitMqPublisher)> = Vec::new();
    for rule in &settings.rules {
        let known = publishers.iter().find(|(exchange, _)| *exchange == rule.exchange);
        let publisher = match known {
            Some((_, publisher)) => publisher.clone(),
            None => {
                let publisher = rabbitmq.publisher_to(&rule.exchange);
                publishers.push((&rule.exchange, publisher.clone()));
                publisher
            }
        };
        let topics = rule.topics.iter().map(String::as_str);
        bridge = bridge.rule(
            Rule::new(topics, Arc::new(publisher)).routing_key(&*rule.routing_key).named(&*rule.exchange),
        );
    }
    if let Some((messages, per)) = settings.limit {
        bridge = bridge.gate(RateLimit::per(messages.get(), per));
    }
    let breaker = settings.breaker.map(|(failures, open_for)| CircuitBreaker::new(failures.get(), open_for));
    if let Some(breaker) = &breaker {
        bridge = bridge.gate(breaker.clone());
    }
    if let Some(url) = &settings.duplicates {
        let store = database(url).await?;
        bridge = bridge.duplicates(Arc::new(ProcessedIds::new(store, settings.name.as_str())));
    }
    Ok((bridge.build()?, breaker))
}
