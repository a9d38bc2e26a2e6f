//! The description of this process in what it exports.

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::EnvResourceDetector;
use uuid::Uuid;

/// Names the process among those of its service.
const INSTANCE: &str = "service.instance.id";

/// Returns the name of the service and the attributes of `OTEL_RESOURCE_ATTRIBUTES`.
pub(crate) fn of_service(service: &str) -> Resource {
    let resource = Resource::builder_empty()
        .with_service_name(service.to_owned())
        .with_detector(Box::new(EnvResourceDetector::new()));
    match std::env::var("OTEL_SERVICE_NAME") {
        Ok(name) if !name.is_empty() => resource.with_service_name(name),
        _ => resource,
    }
    .build()
}

/// As [`of_service`], with an id of the process, unless the environment names one: two processes of a service that count the same
/// things would be one series otherwise, which jumps from one to the other.
pub(crate) fn of_instance(service: &str) -> Resource {
    let resource = of_service(service);
    if resource.iter().any(|(name, _)| name.as_str() == INSTANCE) {
        return resource;
    }
    let attributes = resource.iter().map(|(name, value)| KeyValue::new(name.clone(), value.clone()));
    let instance = KeyValue::new(INSTANCE, Uuid::now_v7().to_string());
    Resource::builder_empty().with_attributes(attributes.chain([instance])).build()
}
