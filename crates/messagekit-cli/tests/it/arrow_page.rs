//! The commands and programs of the page on Arrow, unchanged and in their order.

use crate::analysis::python;
use crate::page::Page;

/// Each command of the page, and what it must print.
const COMMANDS: &[(&str, &str)] = &[
    ("messagekit topics create orders", "topic orders created"),
    ("messagekit topics create bills", "topic bills created"),
    (r#"messagekit topics append orders '{"order": "o-1", "pence": 1250}'"#, "1\n"),
    (r#"messagekit topics append bills '{"order": "o-1", "paid": true}'"#, "2\n"),
    (
        "messagekit replay read --source orders:earliest --source bills:ago=1h",
        r#""value":{"order":"o-1","pence":1250},"topic":"orders","partition":0,"offset":0,"timestamp":"20"#,
    ),
    (
        "messagekit replay read --source orders:earliest --source bills:earliest --format parquet --output shop.parquet",
        "",
    ),
    (
        "messagekit replay read --source orders:earliest --columns headers,event-id --format arrow > orders.arrows",
        "",
    ),
    ("messagekit topics export orders --format csv --output orders.csv", ""),
];

/// What each program of the page prints.
const PROGRAMS: &[&str] = &[
    "1250 pence\n[('bills', 1), ('orders', 1)]\n['key', 'value', 'topic', 'partition', 'offset', 'timestamp', 'headers', 'event_id']\n",
    "2 records until 20",
];

#[test]
fn commands_and_programs_of_the_page_on_arrow_run() {
    let page = Page::open("arrow.md");
    page.run_commands(COMMANDS);
    let programs = page.blocks("python");
    assert_eq!(programs.len(), PROGRAMS.len());
    for (program, prints) in programs.iter().zip(PROGRAMS) {
        let printed = page.run(&python(), &["-W", "error", "-c", program]);
        assert!(printed.starts_with(prints), "{program}\n{printed}");
    }
}
