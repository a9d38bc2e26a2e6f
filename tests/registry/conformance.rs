//! What every registry promises, of the one in memory and of a server.

use messagekit::ErrorKind;
use messagekit_schema_registry::{
    MemoryRegistry, SchemaDocument, SchemaFormat, SchemaId, SchemaReference, SchemaRegistry,
};
use messagekit_testkit::{block_on, unique};

use crate::apicurio::Apicurio;

fn record(name: &str, fields: &str) -> SchemaDocument {
    let text =
        format!(r#"{{"type": "record", "name": "{name}", "namespace": "shop", "fields": [{fields}]}}"#);
    SchemaDocument { format: SchemaFormat::Avro, text, references: Vec::new() }
}

/// Returns a name that no other test has, for records too.
fn fresh(name: &str) -> String {
    unique(name).replace(['.', '-'], "_")
}

async fn a_schema_has_one_id_wherever_it_is_registered(registry: &dyn SchemaRegistry) {
    let schema = record(&fresh("Order"), r#"{"name": "order_id", "type": "string"}"#);
    let (one, other) = (fresh("one"), fresh("other/ä"));
    let id = registry.register(&one, &schema).await.unwrap();
    assert_eq!(registry.register(&one, &schema).await.unwrap(), id);
    assert_eq!(registry.register(&other, &schema).await.unwrap(), id);
    assert_eq!(registry.find(&other, &schema).await.unwrap(), id);
    let found = registry.schema(id).await.unwrap();
    assert_eq!((found.document, found.dependencies), (schema, Vec::new()));
}

async fn what_is_unknown_is_not_found(registry: &dyn SchemaRegistry) {
    let schema = record(&fresh("Order"), "");
    let subject = fresh("unknown");
    let kind = |found: Result<SchemaId, messagekit::Error>| found.expect_err("is unknown").kind();
    assert_eq!(registry.schema(SchemaId(4_000_000)).await.expect_err("unknown").kind(), ErrorKind::NotFound);
    assert_eq!(kind(registry.find(&subject, &schema).await), ErrorKind::NotFound);
    registry.register(&subject, &schema).await.unwrap();
    let other = record(&fresh("Other"), "");
    assert_eq!(kind(registry.find(&subject, &other).await), ErrorKind::NotFound);
}

async fn a_version_that_cannot_read_the_one_before_is_refused(registry: &dyn SchemaRegistry) {
    let (name, subject) = (fresh("Order"), fresh("orders"));
    let first = record(&name, r#"{"name": "order_id", "type": "string"}"#);
    let wider = record(
        &name,
        r#"{"name": "order_id", "type": "string"}, {"name": "note", "type": "string", "default": ""}"#,
    );
    let narrow =
        record(&name, r#"{"name": "order_id", "type": "string"}, {"name": "pence", "type": "long"}"#);
    assert_eq!(registry.incompatibilities(&subject, &first).await.unwrap().len(), 0);
    let id = registry.register(&subject, &first).await.unwrap();
    assert_eq!(registry.incompatibilities(&subject, &wider).await.unwrap().len(), 0);
    assert!(!registry.incompatibilities(&subject, &narrow).await.unwrap().is_empty());
    let error = registry.register(&subject, &narrow).await.expect_err("is refused");
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::SchemaMismatch, false), "{error}");
    assert_ne!(registry.register(&subject, &wider).await.unwrap(), id);
}

async fn a_text_that_is_no_schema_is_refused(registry: &dyn SchemaRegistry) {
    let broken = SchemaDocument { text: r#"{"type": "record""#.to_owned(), ..record("Broken", "") };
    let error = registry.register(&fresh("broken"), &broken).await.expect_err("is refused");
    assert_eq!(error.kind(), ErrorKind::InvalidConfiguration, "{error}");
}

async fn a_schema_of_json_is_known_as_one(registry: &dyn SchemaRegistry) {
    let text = format!(
        r#"{{"type":"object","title":"{}","properties":{{"order_id":{{"type":"string"}}}}}}"#,
        fresh("t")
    );
    let schema = SchemaDocument { format: SchemaFormat::Json, text, references: Vec::new() };
    let id = registry.register(&fresh("json"), &schema).await.unwrap();
    assert_eq!(registry.schema(id).await.unwrap().document, schema);
}

async fn dependencies_come_before_what_depends_on_them(registry: &dyn SchemaRegistry) {
    let names = ["Currency", "Money", "Order"].map(fresh);
    let mut before: Option<(String, String)> = None;
    let mut texts = Vec::new();
    let mut last = None;
    for name in &names {
        let field = match &before {
            Some((of, _)) => format!(r#"{{"name": "f", "type": "shop.{of}"}}"#),
            None => r#"{"name": "f", "type": "string"}"#.to_owned(),
        };
        let mut schema = record(name, &field);
        schema.references = before
            .iter()
            .map(|(of, subject)| SchemaReference {
                name: format!("shop.{of}"),
                subject: subject.clone(),
                version: 1,
            })
            .collect();
        let subject = fresh("subject");
        last = Some(registry.register(&subject, &schema).await.unwrap());
        texts.push(schema.text);
        before = Some((name.clone(), subject));
    }
    let found = registry.schema(last.unwrap()).await.unwrap();
    assert_eq!(found.document.text, texts[2]);
    assert_eq!(found.dependencies, texts[..2]);
    messagekit_schema_registry::AvroSchema::parse(&found.document.text, &found.dependencies).unwrap();
}

macro_rules! conformance {
    ($($promise:ident,)*) => {
        mod memory {
            use super::*;

            $(#[test]
            fn $promise() {
                block_on(async { super::$promise(&MemoryRegistry::new()).await });
            })*
        }

        mod server {
            use super::*;

            /// In one test: a server takes seconds to start.
            #[test]
            fn keeps_every_promise() {
                block_on(async {
                    let apicurio = Apicurio::start().await;
                    let registry = apicurio.registry();
                    $(super::$promise(&registry).await;)*
                });
            }
        }
    };
}

conformance! {
    a_schema_has_one_id_wherever_it_is_registered,
    what_is_unknown_is_not_found,
    a_version_that_cannot_read_the_one_before_is_refused,
    a_text_that_is_no_schema_is_refused,
    a_schema_of_json_is_known_as_one,
    dependencies_come_before_what_depends_on_them,
}
