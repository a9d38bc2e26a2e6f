//! The transport suite over a source behind a registry that is slow and fails at first: each promise of a source holds
//! through it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{BufMut, BytesMut};
use messagekit::adapter::{BoxFuture, Capabilities, IntoSource, Published, Publisher};
use messagekit::{ErrorKind, Message};
use messagekit_memory::{MemoryLog, MemorySource};
use messagekit_schema_registry::{BoundSchemaSource, SchemaFormat, SchemaId, SchemaRegistry, Schemas};
use messagekit_testkit::transport::TransportFixture;

use crate::events::document;
use crate::slow_registry::SlowRegistry;

/// How many schemas the messages have, in turn.
const SCHEMAS: usize = 7;

struct Behind {
    log: MemoryLog,
    schemas: Schemas,
    ids: Arc<[SchemaId]>,
}

impl Behind {
    async fn new() -> Self {
        let registry = SlowRegistry::default();
        let mut ids = Vec::new();
        for number in 0..SCHEMAS {
            let schema =
                document(SchemaFormat::Json, &format!(r#"{{"type": "object", "title": "{number}"}}"#));
            ids.push(registry.register(&number.to_string(), &schema).await.unwrap());
        }
        registry.fail(2, ErrorKind::Unavailable);
        Self { log: MemoryLog::new(4), schemas: Schemas::new(registry), ids: ids.into() }
    }
}

impl TransportFixture for Behind {
    type Source = BoundSchemaSource<MemorySource>;

    fn capabilities(&self) -> Capabilities {
        use messagekit::adapter::Source;
        self.log.topics(["any"]).capabilities()
    }

    fn source(&self, topics: &[Arc<str>]) -> Self::Source {
        self.schemas.source(self.log.topics(topics.iter().cloned())).into_source(Vec::new())
    }

    fn publisher(&self) -> Box<dyn Publisher> {
        let (log, ids) = (self.log.clone(), Arc::clone(&self.ids));
        Box::new(Framing { log, ids, next: AtomicUsize::new(0) })
    }

    fn can_lose(&self) -> bool {
        true
    }

    async fn lose(&self, consumer: &str) {
        self.log.lose(consumer);
    }
}

/// Publishes each payload with the frame of the next schema.
struct Framing {
    log: MemoryLog,
    ids: Arc<[SchemaId]>,
    next: AtomicUsize,
}

impl Publisher for Framing {
    fn publish<'a>(&'a self, batch: &'a [Message]) -> BoxFuture<'a, Vec<Published>> {
        let framed = |message: &Message| {
            // The largest payload has no room for a frame.
            if message.payload.len() > self.max_bytes() - 5 {
                return message.clone();
            }
            let SchemaId(id) = self.ids[self.next.fetch_add(1, Ordering::Relaxed) % self.ids.len()];
            let mut payload = BytesMut::new();
            payload.put_u8(0);
            payload.put_u32(id);
            payload.put_slice(&message.payload);
            Message { payload: payload.freeze(), ..message.clone() }
        };
        Box::pin(async move {
            let batch: Vec<Message> = batch.iter().map(framed).collect();
            self.log.publish(&batch).await
        })
    }

    fn max_bytes(&self) -> usize {
        self.log.max_bytes()
    }
}

messagekit_testkit::transport_cases!(Behind::new().await);
