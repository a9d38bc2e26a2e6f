//! The cells of the benchmark that need no service.

mod cells;

use cells::{Needs, assert_all_sound};

#[test]
fn cells_of_embedded_databases_run() {
    assert_all_sound(Needs::Nothing);
}
