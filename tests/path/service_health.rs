//! Health and metrics of the services, and what a full run must not show.

use messagekit_testkit::{block_on, eventually};
use messagekit_tests::{Caller, Database, OtlpReceiver, Program, services};

use crate::billing::{PATIENCE, member_settings, number};
use crate::cdc::{Connector, messagekit, said};
use crate::console::Console;
use crate::names::Names;
use crate::orders::Order;
use crate::process::{Traced, launch};
use crate::shop::{Publisher, Shop};
use crate::turn;

/// Stands in payloads only.
const COUNTRY: &str = "Planted Country";
/// The key of an order.
const CUSTOMER: &str = "planted-customer";

fn connector(database: &Database) -> Publisher {
    Box::new(Connector::apply(database))
}

/// Returns status and body.
fn get(address: &str, path: &str) -> (u16, String) {
    Caller::of(address).answer(path).expect("the service answers")
}

/// Returns the value of a line of `/metrics`.
fn metric(address: &str, line: &str) -> Option<f64> {
    let (status, text) = get(address, "/metrics");
    assert_eq!(status, 200, "{text}");
    text.lines().find_map(|known| known.strip_prefix(line)?.trim().parse().ok())
}

fn place(shop: &Shop, id: &str, pence: i64) {
    let (id, customer) = (id.to_owned(), Some(CUSTOMER.to_owned()));
    let order = Order { id, customer, country: COUNTRY.to_owned(), pence };
    let answer = ureq::post(format!("{}/orders", shop.address)).send_json(&order).unwrap();
    assert_eq!(answer.status().as_u16(), 201);
}

#[test]
fn services_serve_their_own_health_and_metrics() {
    let _turn = turn::with_fixed_names();
    block_on(async {
        let shop = Shop::open_with(connector).await;
        let [shipping, billing] = [&shop.shipping, &shop.billing.members()[0]].map(Program::address);
        let other = shop.billing.members()[1].address();
        for order in 0..3 {
            place(&shop, &format!("o-{order}"), 990);
        }
        eventually("every bill is shipped", PATIENCE, async || {
            number(&shop.shipping_database, "SELECT count(*) FROM shipments").await == Some(3)
        })
        .await;
        for address in [&shop.address, &billing, &other, &shipping] {
            for path in ["/health/live", "/health/ready", "/health"] {
                // A busy machine may answer a probe late.
                eventually(&format!("{address}{path} is healthy"), PATIENCE, async || {
                    let (status, body) = get(address, path);
                    status == 200 && body.contains("\"healthy\"")
                })
                .await;
            }
        }
        assert_eq!(metric(&shop.address, "orders_total{outcome=\"placed\"}"), Some(3.0));
        let handled = |consumer: &str| {
            format!("messagekit_consumer_handled_total{{consumer=\"{consumer}\",outcome=\"handled\"}}")
        };
        let billed = handled(&shop.billing.names.billing);
        // A message is counted a moment after its effect can be seen.
        eventually("all are counted", PATIENCE, async || {
            let billed: f64 =
                [&billing, &other].into_iter().filter_map(|member| metric(member, &billed)).sum();
            (billed, metric(&shipping, &handled("shipping"))) == (3.0, Some(3.0))
        })
        .await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_without_its_broker_lives_and_is_not_ready() {
    let _turn = turn::with_fixed_names();
    let (database, names) = (Database::fresh().await, Names::make().await);
    let settings = member_settings(&database, &names, None);
    let mut settings: Vec<_> = settings.iter().map(|(key, value)| (*key, &**value)).collect();
    // No process listens on port 1.
    settings.retain(|(key, _)| *key != "MESSAGEKIT_KAFKA__BROKERS");
    settings.push(("MESSAGEKIT_KAFKA__BROKERS", "127.0.0.1:1"));
    let billing = launch("messagekit-billing", &[]).variables(settings).start();
    let address = billing.address();
    eventually("it is not ready", PATIENCE, async || get(&address, "/health/ready").0 == 503).await;
    assert_eq!(get(&address, "/health/live").0, 200);
    let (_, body) = get(&address, "/health/ready");
    assert!(body.contains(&names.billing) && body.contains("no broker answers"), "{body}");
}

#[test]
fn a_full_run_shows_no_payload_key_or_password() {
    // Every process that is started meanwhile exports to the receiver of this test.
    let _turn = turn::alone();
    block_on(async {
        let receiver = OtlpReceiver::start().await;
        let _traced = Traced::to(receiver.endpoint());
        let shop = Shop::open_with(connector).await;
        place(&shop, "o-good", 990);
        // Billing refuses a negative amount.
        place(&shop, "o-refused", -1);
        let billing = &shop.billing.database;
        eventually("one is shipped and one is dead", PATIENCE, async || {
            let dead = "SELECT count(*) FROM messagekit.failed_messages WHERE state = 'dead'";
            number(&shop.shipping_database, "SELECT count(*) FROM shipments").await == Some(1)
                && number(billing, dead).await == Some(1)
        })
        .await;
        let retried = messagekit(&["dlq", "retry", "--database", billing.url(), "1"]);
        assert!(retried.status.success(), "{}", said(&retried));

        let console = Console::open_for(billing, &["eve"], "viewer");
        let viewer = console.operator("eve");
        let event =
            viewer.shows("/api/v1/dlq/1")["failed_message"]["message_id"].as_str().expect("an id").to_owned();
        let mut shown = Vec::new();
        for path in ["dlq", "dlq/1", "dlq/groups", "status", "consumers", "audit", "replay", "events"] {
            shown.push((path.to_owned(), viewer.shows(&format!("/api/v1/{path}")).to_string()));
        }
        shown.push(("event".to_owned(), viewer.shows(&format!("/api/v1/events/{event}")).to_string()));
        let metrics = String::from_utf8(viewer.downloads("/metrics")).expect("text");
        shown.push(("metrics of the admin".to_owned(), metrics));
        let members = shop.billing.members();
        let programs =
            [&shop.orders, &shop.shipping, &shop.bridge.process, &console.process, &members[0], &members[1]];
        for (number, program) in programs.into_iter().enumerate() {
            shown.push((format!("log of program {number}"), program.log()));
        }
        let addresses = [&shop.shipping, &members[0], &members[1]].map(Program::address);
        for address in [&shop.address].into_iter().chain(&addresses) {
            for path in ["/metrics", "/health/ready", "/health/outbox"] {
                shown.push((format!("{address}{path}"), get(address, path).1));
            }
        }
        let logins = [login(billing.url()), login(&services::amqp_url())];
        let secrets = [COUNTRY.to_owned()].into_iter().chain(logins).collect::<Vec<_>>();
        for secret in &secrets {
            assert!(!receiver.contains(secret), "spans show {secret}");
            let places: Vec<_> = shown.iter().filter(|(_, text)| text.contains(&**secret)).collect();
            assert!(places.is_empty(), "{secret} is shown: {places:#?}");
        }
        // An operator sees keys; spans, logs and metrics have none.
        assert!(!receiver.contains(CUSTOMER), "spans show a key");
        let open = shown.iter().filter(|(place, _)| place.contains("log of") || place.contains("metrics"));
        assert!(open.clone().count() > 9, "logs and metrics are searched");
        assert!(open.into_iter().all(|(_, text)| !text.contains(CUSTOMER)), "a key is shown");
    });
}

/// Returns the password of a URL with the characters around it. Alone it is a word that stands in names.
fn login(url: &str) -> String {
    let (user, _) = url.split_once('@').expect("a URL with a user");
    format!(":{}@", user.rsplit_once(':').expect("a password").1)
}
