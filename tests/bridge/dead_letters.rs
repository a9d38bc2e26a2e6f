use std::collections::BTreeSet;

use lapin::types::AMQPValue;
use messagekit::{Message, headers};
use messagekit_testkit::{block_on, eventually};

use crate::TURNS;
use crate::rabbit::id_of;
use crate::records::{ids, order, orders, publish, read};
use crate::stage::{PATIENCE, Stage};

fn kind(dead_letter: &Message) -> (&str, &str) {
    (
        dead_letter.headers.text(headers::ID).unwrap_or_default(),
        dead_letter.headers.text(headers::DEAD_KIND).unwrap(),
    )
}

#[test]
fn a_binding_that_is_deleted_in_the_middle_loses_nothing() {
    let _turn = TURNS.together();
    block_on(async {
        let stage = Stage::new(2).await;
        let queue = stage.bound_queue("all").await;
        let mut bridge = stage.start("");
        bridge.ready().await;
        let before = orders(&stage.topic, 20, 10);
        publish(&before).await;
        stage.all_settled(before.len()).await;
        stage.rabbit.unbind(&queue, &stage.exchange, "#").await;
        let unwanted: Vec<Message> = (0..20).map(|n| order(&stage.topic, "unwanted", n)).collect();
        publish(&unwanted).await;
        stage.all_settled(before.len() + unwanted.len()).await;
        stage.rabbit.bind(&queue, &stage.exchange, "#").await;
        let after: Vec<Message> = (0..20).map(|n| order(&stage.topic, "after", n)).collect();
        publish(&after).await;
        stage.all_settled(before.len() + unwanted.len() + after.len()).await;
        let dead_letters = read(&stage.dead(), unwanted.len()).await;
        assert_eq!(ids(&dead_letters), ids(&unwanted));
        for dead_letter in &dead_letters {
            let (id, kind) = kind(dead_letter);
            assert_eq!(kind, "unroutable", "{id}");
            let original = unwanted.iter().find(|message| message.headers.text("id") == Some(id)).unwrap();
            assert_eq!((&dead_letter.payload, &dead_letter.key), (&original.payload, &original.key));
        }
        // After the repair the retries are published from the retry topic.
        let retry = stage.retry();
        let copies: Vec<Message> = dead_letters
            .into_iter()
            .map(|dead_letter| Message { topic: retry.as_str().into(), ..dead_letter })
            .collect();
        publish(&copies).await;
        let mut found = BTreeSet::new();
        eventually("everything is in the queue", PATIENCE, async || {
            found.extend(stage.rabbit.drain(&queue).await.iter().map(id_of));
            found.len() == before.len() + unwanted.len() + after.len()
        })
        .await;
        bridge.process.stop().await;
    });
}

#[test]
fn deleted_exchange_makes_dead_letters_and_harms_no_other() {
    let _turn = TURNS.together();
    block_on(async {
        let stage = Stage::new(1).await;
        let queue = stage.bound_queue("all").await;
        let (other_topic, other_exchange) = (stage.queue("payments"), stage.queue("other"));
        crate::records::make_topic(&other_topic, 1).await;
        stage.rabbit.exchange(&other_exchange).await;
        let other_queue = stage.queue("payments-queue");
        stage.rabbit.queue(&other_queue, &other_exchange, "#", &[]).await;
        let settings = stage.settings("")
            + &format!("[[rule]]\ntopics = [\"{other_topic}\"]\nexchange = \"{other_exchange}\"\n");
        let mut bridge = stage.start_with(&settings, &[]);
        bridge.ready().await;
        publish(&[order(&stage.topic, "a", 0)]).await;
        stage.all_settled(1).await;
        stage.rabbit.delete_exchange(&stage.exchange).await;
        let unwanted: Vec<Message> = (1..6).map(|n| order(&stage.topic, "a", n)).collect();
        publish(&unwanted).await;
        let payments: Vec<Message> = (0..50).map(|n| order(&other_topic, &format!("p{n}"), 0)).collect();
        publish(&payments).await;
        stage.all_settled(6).await;
        let dead_letters = read(&stage.dead(), 5).await;
        assert_eq!(ids(&dead_letters), ids(&unwanted));
        assert!(dead_letters.iter().all(|dead_letter| kind(dead_letter).1 == "unroutable"));
        let mut found = BTreeSet::new();
        eventually("the payments are there", PATIENCE, async || {
            found.extend(stage.rabbit.drain(&other_queue).await.iter().map(id_of));
            found == ids(&payments)
        })
        .await;
        let found: BTreeSet<String> = stage.rabbit.drain(&queue).await.iter().map(id_of).collect();
        assert_eq!(found, BTreeSet::from(["a-0".to_owned()]));
        bridge.process.stop().await;
    });
}

#[test]
fn a_full_queue_holds_its_own_keys_only_and_nothing_is_dead() {
    let _turn = TURNS.together();
    block_on(async {
        let stage = Stage::new(1).await;
        let (full, roomy) = (stage.queue("full"), stage.queue("roomy"));
        let limit = [
            ("x-max-length", AMQPValue::LongInt(5)),
            ("x-overflow", AMQPValue::LongString("reject-publish".into())),
        ];
        stage.rabbit.queue(&full, &stage.exchange, "full.#", &limit).await;
        stage.rabbit.queue(&roomy, &stage.exchange, "roomy.#", &[]).await;
        let settings = stage.settings("") + "routing_key = \"{lane}.{key}\"\n";
        let mut bridge = stage.start_with(&settings, &[]);
        bridge.ready().await;
        let lane = |lane: &'static str| {
            orders(&stage.topic, 10, 10).into_iter().map(move |message| {
                let id = format!("{lane}-{}", message.headers.text("id").unwrap());
                let key = format!("{lane}-{}", String::from_utf8_lossy(message.key.as_ref().unwrap()));
                message.with_key(key).with_header("id", id).with_header("lane", lane)
            })
        };
        let (to_full, to_roomy): (Vec<Message>, Vec<Message>) =
            (lane("full").collect(), lane("roomy").collect());
        publish(&to_full).await;
        publish(&to_roomy).await;
        let mut found = BTreeSet::new();
        eventually("the other queue has everything", PATIENCE, async || {
            found.extend(stage.rabbit.drain(&roomy).await.iter().map(id_of));
            found == ids(&to_roomy)
        })
        .await;
        bridge.reports("it says what is wrong", |text| text.contains("queue_full")).await;
        let mut found = BTreeSet::new();
        eventually("with room everything comes", PATIENCE, async || {
            found.extend(stage.rabbit.drain(&full).await.iter().map(id_of));
            found == ids(&to_full)
        })
        .await;
        stage.all_settled(200).await;
        let metrics = bridge.get("/metrics").unwrap();
        assert!(!metrics.contains("messagekit_bridge_dead_lettered_total{"), "{metrics}");
        bridge.process.stop().await;
    });
}

#[test]
fn what_is_too_large_or_malformed_is_a_dead_letter_in_full() {
    let _turn = TURNS.together();
    block_on(async {
        let stage = Stage::new(1).await;
        let queue = stage.bound_queue("all").await;
        let large = Message { payload: vec![b'x'; 1_000_000].into(), ..order(&stage.topic, "large", 0) };
        let mut many = order(&stage.topic, "many", 0);
        (0..250).for_each(|n| many.headers.set(&format!("h{n}"), "x".repeat(400)));
        let nameless = Message::new(stage.topic.as_str(), "{}").with_key("nameless");
        let typeless =
            Message::new(stage.topic.as_str(), "{}").with_key("typeless").with_header("id", "typeless-0");
        let sent = [large, many, nameless, typeless, order(&stage.topic, "good", 0)];
        publish(&sent).await;
        let mut bridge = stage.start("");
        bridge.ready().await;
        stage.all_settled(sent.len()).await;
        let dead_letters = read(&stage.dead(), 4).await;
        let mut kinds: Vec<(&str, &str)> = dead_letters.iter().map(kind).collect();
        kinds.sort_unstable();
        let expected = [
            ("", "missing_id"),
            ("large-0", "too_large"),
            ("many-0", "too_large"),
            ("typeless-0", "unroutable"),
        ];
        assert_eq!(kinds, expected);
        for original in &sent[..4] {
            let dead_letter =
                dead_letters.iter().find(|dead_letter| dead_letter.key == original.key).unwrap();
            assert_eq!(dead_letter.payload, original.payload);
            assert!(
                original.headers.iter().all(|(name, value)| dead_letter.headers.get(name) == Some(value))
            );
        }
        let found: Vec<String> = stage.rabbit.drain(&queue).await.iter().map(id_of).collect();
        assert_eq!(found, ["good-0"]);
        bridge.process.stop().await;
    });
}
