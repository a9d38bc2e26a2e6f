//! Calls that keep to a limit for each tenant.

use std::sync::{Arc, Mutex};

use messagekit::gate::KeyedRateLimit;
use messagekit::{Consumer, Envelope, HandlerError};
use messagekit_memory::MemoryTx;
use tokio::time::Instant;

use crate::fixture::{CONSUMER, FIFTY, Placed, Script, World, apply, seconds, start, until};

/// A provider that wants one call in ten seconds of each tenant.
struct Provider {
    limit: KeyedRateLimit<String>,
    began: Instant,
    script: Arc<Script>,
    /// The tenants that were called for, and after how many seconds.
    calls: Mutex<Vec<(String, u64)>>,
}

impl Provider {
    async fn call(&self, order: Envelope<Placed>) -> Result<(), HandlerError> {
        self.limit.take(&order.data.order).await;
        let call = (order.data.order, self.began.elapsed().as_secs());
        self.calls.lock().expect("calls").push(call);
        Ok(())
    }

    async fn book(&self, tx: &mut MemoryTx, order: Envelope<Placed>, _: &()) -> Result<(), HandlerError> {
        apply(&self.script, tx, order).await
    }

    fn calls_of(&self, tenant: &str) -> Vec<u64> {
        let calls = self.calls.lock().expect("calls");
        calls.iter().filter(|(of, _)| of == tenant).map(|(_, second)| *second).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_tenant_waits_for_its_limit_and_the_others_do_not() {
    let world = World::new(1);
    let (limit, calls) = (KeyedRateLimit::per(1, seconds(10)), Mutex::default());
    let provider = Provider { limit, began: Instant::now(), script: Arc::clone(&world.script), calls };
    let provider = Arc::new(provider);
    world.push_all("busy", 4).await;
    world.push_all("quiet", 1).await;
    let billing = Consumer::builder(CONSUMER, world.store.clone()).from(world.topics()).batch(FIFTY);
    let billing = billing.deadline(seconds(15));
    let consumer = start(billing.on_call_with(provider.clone(), Provider::call, Provider::book));
    until(|| world.committed(0) == 5).await;
    assert_eq!(provider.calls_of("quiet"), [0], "beside those that wait");
    let busy = provider.calls_of("busy");
    assert!(busy.windows(2).all(|two| two[1] - two[0] >= 9) && busy.len() == 4, "{busy:?}");
    assert!(world.failed_messages().await.is_empty(), "waiting for a limit fails nothing");
    consumer.stop().await;
}
