//! The cells of the benchmark that need a database server.

mod cells;

use cells::{Needs, assert_all_sound};

#[test]
fn cells_of_a_database_server_run() {
    assert_all_sound(Needs::Database);
}
