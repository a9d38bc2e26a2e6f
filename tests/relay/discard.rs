//! An event that is discarded on the command line.

use messagekit_testkit::{DEADLINE, block_on, eventually};
use messagekit_tests::command;

use crate::TURNS;
use crate::command::{asked, messagekit};
use crate::stage::{POISON, Stage};

#[test]
fn a_rejected_event_is_discarded_by_an_operator_and_others_flow() {
    let _turn = TURNS.together();
    block_on(async {
        let stage = Stage::new(1).await;
        let url = stage.database.url();
        let event = |id: &str| stage.event("k", id, b"{}".to_vec());
        stage.write(&[event("first"), stage.poison("k"), event("second"), event("third")]).await;
        let mut relay = stage.relay("relay");
        eventually("it is set aside", DEADLINE, async || stage.rejected().await == 3).await;

        let list = asked(&["outbox", "rejected", "list", "--waiting", "--json"], url);
        let ids: Vec<_> = list["events"].as_array().unwrap().iter().map(|event| &event["event_id"]).collect();
        assert_eq!(ids, [POISON, "second", "third"], "{list}");
        let id = list["events"][0]["id"].to_string();
        let discard = ["outbox", "rejected", "discard", &id, "--database", url];
        let output = command("messagekit").args(discard).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("write --yes to confirm"), "{said}");
        assert_eq!(stage.rejected().await, 3);

        let told = messagekit(&["outbox", "rejected", "discard", &id, "--yes"], url);
        assert!(told.contains("it is never published; 2 that waited go on"), "{told}");
        stage.until_published().await;
        assert_eq!(messagekit(&["outbox", "rejected", "list"], url), "no rejected events\n");
        relay.stop().await;
        let mut found: Vec<String> = stage.topic.read().iter().map(|record| record.id()).collect();
        let mut seen = std::collections::BTreeSet::new();
        found.retain(|id| seen.insert(id.clone()));
        assert_eq!(found, ["first", "second", "third"]);
    });
}
