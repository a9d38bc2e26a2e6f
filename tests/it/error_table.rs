//! The table of what errors do stands in the documentation as it does in the reference.

use std::fs;

use crate::tree::root;

#[test]
fn the_table_of_errors_is_the_same_wherever_it_stands() {
    let table = fs::read_to_string(root().join("crates/messagekit/src/handler/error_table.md")).unwrap();
    let page = fs::read_to_string(root().join("docs/ordering-and-failures.md")).unwrap();
    assert!(table.lines().count() > 10);
    assert!(page.contains(&table), "copy the table of error_table.md to the page");
}
