//! Each example prints what its page promises.

use std::process::Command;

fn output_of(program: &str) -> String {
    let output = Command::new(program).output().expect("the example starts");
    let text = String::from_utf8(output.stdout).expect("examples print text");
    assert!(output.status.success(), "{program} failed:\n{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn outbox_in_memory_bills_the_committed_order_once() {
    assert_eq!(
        output_of(env!("CARGO_BIN_EXE_01-outbox-in-memory")),
        "published: 1\n\
         billing o-1 for 1250 pence\n\
         duplicates suppressed: 1\n\
         billed: 1250 pence\n"
    );
}

#[test]
fn consumer_on_sqlite_writes_its_row_and_the_next_event_together() {
    assert_eq!(
        output_of(env!("CARGO_BIN_EXE_02-consumer-on-sqlite")),
        "bill 1 for o-1, caused by an event: true\n\
         ordered 1250 pence, billed 1250 pence\n"
    );
}

#[test]
fn dead_letter_is_applied_once_after_the_repair() {
    assert_eq!(
        output_of(env!("CARGO_BIN_EXE_03-dead-letter-fix-retry")),
        "dead after 3 runs: product \"lamp\" is not in the catalogue\n\
         letter is resolved\n\
         a second retry says: letter 1 is resolved: only a dead one can be retried\n\
         1 bill of 1250 pence\n"
    );
}
