//! Consumers over HTTP in one group, over a server's database whose `messagekit admin` is killed.

use messagekit_testkit::block_on;
use messagekit_tests::Database;

use super::http_group::consume_under_kills;

#[test]
fn consumers_over_http_lose_nothing_when_their_server_is_killed() {
    let database = block_on(Database::fresh());
    consume_under_kills(database.url());
}
