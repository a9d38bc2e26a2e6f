//! A bridge whose topic is deleted and made again under its name.

use messagekit_testkit::block_on;
use messagekit_testkit::crash::Ended;
use messagekit_tests::services;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;

use crate::TURNS;
use crate::rabbit::id_of;
use crate::records::{self, ids, orders, publish};
use crate::stage::{PATIENCE, Stage};

#[test]
fn a_recreated_topic_stops_the_bridge_or_is_forwarded_whole() {
    let _turn = TURNS.together();
    block_on(async {
        for setting in ["", "read_from_start"] {
            let stage = Stage::new(1).await;
            let queue = stage.bound_queue("all").await;
            publish(&orders(&stage.topic, 1, 6)).await;
            let settings = stage.settings("");
            let settings = match setting {
                "" => settings,
                setting => {
                    settings.replace("[kafka]\n", &format!("[kafka]\non_recreated_topic = \"{setting}\"\n"))
                }
            };
            let mut bridge = stage.start_with(&settings, &[]);
            bridge.ready().await;
            stage.all_settled(6).await;

            let admin: AdminClient<DefaultClientContext> =
                ClientConfig::new().set("bootstrap.servers", services::kafka()).create().unwrap();
            let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
            admin.delete_topics(&[&*stage.topic], &options).await.unwrap()[0].as_ref().unwrap();
            records::make_topic(&stage.topic, 1).await;
            let again = orders(&stage.topic, 2, 6);
            publish(&again).await;
            if setting.is_empty() {
                assert_ne!(bridge.process.ended().await, Ended::Exited(Some(0)));
                assert!(
                    bridge.process.log().contains("topic was deleted and made again"),
                    "{}",
                    bridge.process.log()
                );
                assert_eq!(
                    stage.rabbit.drain(&queue).await.len(),
                    6,
                    "no record of the new topic is forwarded"
                );
            } else {
                stage.all_settled(12).await;
                let found = stage.rabbit.drain(&queue).await;
                let forwarded = found.iter().skip(6).map(id_of).collect();
                assert_eq!(ids(&again), forwarded);
                bridge.process.stop().await;
            }
        }
    });
}
