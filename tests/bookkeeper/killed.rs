//! A bookkeeper that is killed at each of its crash points.

use messagekit::operations::{Action, ActionResult, FailedMessageState};
use messagekit_testkit::{block_on, eventually};
use messagekit_tests::{Launch, Program, services};

use crate::rabbit::{header, order};
use crate::stage::{PATIENCE, Stage};

/// Starts a bookkeeper, with a crash point if there is one.
fn start(stage: &Stage, at: Option<&str>) -> Program {
    let (rabbit, dead) = (services::amqp_url(), stage.dead());
    let variables =
        [("NAME", &*stage.name), ("DATABASE", stage.database.url()), ("RABBITMQ", &rabbit), ("QUEUE", &dead)];
    Launch::of("bookkeeper").variables(variables).crash_at(at).start()
}

#[test]
fn crash_while_recording_leaves_one_failed_message_per_death() {
    block_on(async {
        for at in ["bookkeeper.kept:2", "consumer.advanced", "consumer.committed"] {
            let stage = Stage::new().await;
            let billing = stage.of("billing");
            stage.rabbit.queue_into(&billing, &stage.dead(), &[]).await;
            for n in 1..=3 {
                stage.rabbit.publish("", &billing, order(&format!("m-{n}")), b"{}").await;
                stage.rabbit.reject(&billing).await;
            }
            start(&stage, Some(at)).dies().await;
            let _second = start(&stage, None);
            let failed_messages = stage.until_failed_messages(3).await;
            let ids: Vec<_> =
                failed_messages.iter().map(|failed_message| failed_message.message_id.as_str()).collect();
            assert_eq!(ids, ["m-1", "m-2", "m-3"], "{at}");
            eventually("everything is acknowledged", PATIENCE, async || {
                stage.rabbit.count(&stage.dead()).await == 0
            })
            .await;
        }
    });
}

#[test]
fn a_redelivery_killed_midway_repeats_the_same_message_only() {
    block_on(async {
        for (at, copies) in [("bookkeeper.returned", 2), ("bookkeeper.resolved", 1)] {
            let stage = Stage::new().await;
            let billing = stage.of("billing");
            stage.rabbit.queue_into(&billing, &stage.dead(), &[]).await;
            stage.rabbit.publish("", &billing, order("m-1"), b"\xff any bytes").await;
            stage.rabbit.reject(&billing).await;
            let mut first = start(&stage, Some(at));
            let failed_message = stage.until_failed_messages(1).await.remove(0).head.id;
            assert_eq!(stage.act(Action::Retry, failed_message).await, ActionResult::Done);
            first.dies().await;
            // Let the lease of the crashed process expire.
            sqlx::query("UPDATE messagekit.failed_messages SET due = now() WHERE due IS NOT NULL")
                .execute(stage.store.pool())
                .await
                .unwrap();
            let _second = start(&stage, None);
            stage.until_state(failed_message, FailedMessageState::Resolved).await;
            assert_eq!(stage.rabbit.count(&billing).await, copies, "{at}");
            for _ in 0..copies {
                let copy = stage.rabbit.next(&billing).await;
                assert_eq!(copy.data, b"\xff any bytes");
                assert_eq!(copy.properties.message_id().as_ref().map(|id| id.as_str()), Some("m-1"));
                assert_eq!(header(&copy, "x-messagekit-returns").as_deref(), Some("1"));
            }
            assert_eq!(stage.failed_messages().await.len(), 1);
        }
    });
}
