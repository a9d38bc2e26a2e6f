//! Consumers over HTTP in one group, over a file whose server is killed.

use messagekit_sqlite::SqliteStore;
use messagekit_testkit::block_on;

use crate::http_group::consume_under_kills;

#[test]
fn consumers_over_http_lose_nothing_when_their_server_is_killed() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("shop.db");
    block_on(async { SqliteStore::open(&file).await.unwrap().close().await.unwrap() });
    consume_under_kills(&format!("sqlite:{}", file.display()));
}
