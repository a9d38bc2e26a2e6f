//! The numbered programs beside this file are the examples. Each says in its first line how to run it, and
//! `tests/output.rs` compares its output.
//!
//! The library itself is empty. It compiles every Rust block of the project's pages. A test of the workspace compares this
//! list with the pages.

#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../README.md")]
    struct Readme;

    #[doc = include_str!("../docs/calling-other-services.md")]
    struct CallingOtherServices;

    #[doc = include_str!("../docs/cloudevents.md")]
    struct Cloudevents;

    #[doc = include_str!("../docs/catalog.md")]
    struct Catalog;

    #[doc = include_str!("../docs/event-bus.md")]
    struct EventBus;

    #[doc = include_str!("../docs/event-schemas.md")]
    struct EventSchemas;

    #[doc = include_str!("../docs/event-versions.md")]
    struct EventVersions;

    #[doc = include_str!("../docs/schema-registry.md")]
    struct SchemaRegistry;

    #[doc = include_str!("../docs/http-topics.md")]
    struct HttpTopics;

    #[doc = include_str!("../docs/observability.md")]
    struct Observability;

    #[doc = include_str!("../docs/operating.md")]
    struct Operating;

    #[doc = include_str!("../docs/ordering-and-failures.md")]
    struct OrderingAndFailures;

    #[doc = include_str!("../docs/ordered-replay.md")]
    struct OrderedReplay;

    #[doc = include_str!("../docs/pipelines.md")]
    struct Pipelines;

    #[doc = include_str!("../docs/priming.md")]
    struct Priming;

    #[doc = include_str!("../docs/table-changes.md")]
    struct TableChanges;

    #[doc = include_str!("../docs/testing.md")]
    struct Testing;

    #[doc = include_str!("../docs/topics.md")]
    struct Topics;

    #[doc = include_str!("../docs/without-an-outbox.md")]
    struct WithoutAnOutbox;

    #[doc = include_str!("../docs/wire-form.md")]
    struct WireForm;

    #[doc = include_str!("../docs/write-a-service.md")]
    struct WriteAService;
}
