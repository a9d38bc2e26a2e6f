//! The health of a bridge whose gates hold it back.

use std::collections::BTreeSet;

use messagekit_testkit::eventually;

use crate::TURNS;
use crate::rabbit::id_of;
use crate::records::{ids, orders, publish};
use crate::stage::{PATIENCE, Stage};
use crate::wire::{Wire, run};

#[test]
fn an_open_breaker_is_503_by_name_until_the_broker_is_back() {
    let _turn = TURNS.together();
    run(async {
        let (wire, mut stage) = (Wire::start().await, Stage::new(1).await);
        stage.amqp.clone_from(&wire.url);
        let queue = stage.bound_queue("all").await;
        let mut bridge = stage.start("[bridge.breaker]\nfailures = 3\nopen_for = \"2s\"");
        bridge.ready().await;
        assert!(!bridge.get("/health/ready").unwrap().contains("held_back_by"), "nothing waits");

        wire.cut();
        let sent = orders(&stage.topic, 20, 5);
        publish(&sent).await;
        let mut told = None;
        eventually("it says that the breaker is open", PATIENCE, async || {
            bridge.process.is_alive_still();
            told = bridge.answer("/health/ready").filter(|(_, text)| text.contains("breaker_open"));
            told.is_some()
        })
        .await;
        let (status, text) = told.unwrap();
        assert_eq!(status, 503, "{text}");
        assert!(text.contains("publishing is held back after failures in a row"), "{text}");
        let holds = r#""held_back_by":{"gate":"circuit_breaker","seconds":"#;
        bridge.reports("it says which gate holds it", |text| text.contains(holds)).await;

        wire.mend();
        stage.all_settled(sent.len()).await;
        let mut well = None;
        eventually("it is well again", PATIENCE, async || {
            well = bridge.answer("/health/ready").filter(|(status, _)| *status == 200);
            well.is_some()
        })
        .await;
        let (_, text) = well.unwrap();
        assert!(text.contains(r#""problems":[]"#) && !text.contains("held_back_by"), "{text}");
        let found: BTreeSet<String> = stage.rabbit.drain(&queue).await.iter().map(id_of).collect();
        assert_eq!(found, ids(&sent));
        bridge.process.stop().await;
    });
}

#[test]
fn a_limit_that_holds_the_bridge_back_is_named_and_stays_200() {
    let _turn = TURNS.together();
    run(async {
        let stage = Stage::new(1).await;
        stage.bound_queue("all").await;
        let mut bridge = stage.start("[bridge.limit]\nmessages = 5\nper = \"1h\"");
        bridge.ready().await;
        let sent = orders(&stage.topic, 20, 1);
        publish(&sent).await;
        let holds = r#""held_back_by":{"gate":"rate_limit","seconds":"#;
        bridge.reports("it says which gate holds it", |text| text.contains(holds)).await;
        let (status, text) = bridge.answer("/health/ready").unwrap();
        assert!(status == 200 && text.contains(r#""status":"ready""#) && text.contains(holds), "{text}");
        bridge.process.stop().await;
    });
}
