use messagekit_testkit::block_on;
use messagekit_testkit::crash::Ended;

use crate::TURNS;
use crate::stage::Stage;

#[test]
fn wrong_settings_end_it_with_code_2_and_every_problem() {
    let _turn = TURNS.together();
    block_on(async {
        let stage = Stage::new(1).await;
        let text = "[bridge]\nname = \"a b\"\nbogus = 1\n[kafka]\n[rabbitmq]\nurl = \"http://u:hunter2@h\"\n\
                    [[rule]]\ntopics = [\"x\"]\nexchange = \"e\"\nrouting_key = \"{\"\n";
        let mut bridge = stage.start_with(text, &[]);
        bridge.process.ends(Ended::Exited(Some(2))).await;
        let said = bridge.process.log();
        for problem in ["bridge.name", "bridge.bogus", "kafka.brokers", "rabbitmq.url", "routing_key"] {
            assert!(said.contains(problem), "{problem} is not in {said}");
        }
        assert!(!said.contains("hunter2"), "{said}");
    });
}

#[test]
fn missing_exchanges_end_it_with_code_2_and_all_their_names() {
    let _turn = TURNS.together();
    block_on(async {
        let stage = Stage::new(1).await;
        let other = stage.queue("absent-too");
        stage.rabbit.delete_exchange(&stage.exchange).await;
        let settings =
            stage.settings("") + &format!("[[rule]]\ntopics = [\"orders.other\"]\nexchange = \"{other}\"\n");
        let mut bridge = stage.start_with(&settings, &[]);
        bridge.process.ends(Ended::Exited(Some(2))).await;
        let said = bridge.process.log();
        assert!(said.contains(&stage.exchange) && said.contains(&other), "{said}");
    });
}

#[test]
fn a_broker_that_is_away_at_the_start_is_waited_for() {
    let _turn = TURNS.together();
    block_on(async {
        let stage = Stage::new(1).await;
        let url = messagekit_tests::services::amqp_url();
        let away = stage.settings("").replace(&url, "amqp://u:p@127.0.0.1:1");
        let mut bridge = stage.start_with(&away, &[]);
        bridge.reports("it says that it starts", |text| text.contains("\"starting\"")).await;
        bridge.process.stop().await;
    });
}
