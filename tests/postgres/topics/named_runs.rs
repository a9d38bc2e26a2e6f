//! The session that runs a pipeline, as another process sees it.

use messagekit_testkit::{DEADLINE, block_on, eventually};
use messagekit_tests::Database;
use messagekit_topic_store::PipelineStore;

#[test]
fn the_session_that_runs_a_pipeline_is_named() {
    block_on(async {
        let database = Database::fresh().await;
        let (store, other) = (database.store().await, database.store().await);
        assert_eq!(other.worker_of("items").await, None);
        let held = store.work_alone("items").await.unwrap();
        let worker = other.worker_of("items").await.expect("it is held");
        let number = worker.strip_prefix("session ").and_then(|rest| rest.split(' ').next());
        assert!(number.is_some_and(|number| number.parse::<u32>().is_ok()), "{worker}");
        assert_eq!(other.worker_of("other").await, None);
        drop(held);
        let is_free = async || other.worker_of("items").await.is_none();
        eventually("the lock ends with its session", DEADLINE, is_free).await;
    });
}
