//! The commands of the page on reading by time, unchanged and in their order.

use crate::page::Page;

/// Each command of the page, and what it must print.
const COMMANDS: &[(&str, &str)] = &[
    ("messagekit topics create orders", "topic orders created"),
    ("messagekit topics create bills", "topic bills created"),
    (r#"messagekit topics append orders '{"order": "o-1", "pence": 1250}'"#, "1\n"),
    (r#"messagekit topics append bills '{"order": "o-1", "paid": true}'"#, "2\n"),
    (
        "messagekit replay bench --source orders:earliest --source bills:earliest --plot shop.svg",
        "violations                    ┆ 0",
    ),
    ("messagekit replay bench --source orders:earliest --batch-size 500 --json", r#""batch_size":500"#),
];

#[test]
fn commands_of_the_page_on_reading_by_time_run() {
    let page = Page::open("ordered-replay.md");
    page.run_commands(COMMANDS);
    assert!(std::fs::read_to_string(page.path("shop.svg")).unwrap().starts_with("<svg "));
}
