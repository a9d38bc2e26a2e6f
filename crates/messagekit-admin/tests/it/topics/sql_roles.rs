//! Who may run which statement.

use messagekit_admin::Role;
use serde_json::json;

use super::shop::Shop;

const FOR_SERVICES: [&str; 2] =
    ["CONSUME FROM shop.orders GROUP 'g' FROM EARLIEST", "ACK shop.orders GROUP 'g' UPTO OFFSET 0"];

const FOR_ADMINISTRATORS: [&str; 14] = [
    "CREATE TOPIC shop.new",
    "ALTER TOPIC shop.new ADD SOURCE parcels ON INSERT",
    "ALTER TOPIC shop.new DROP SOURCE parcels",
    "ALTER TOPIC shop.new SET RETENTION WITH (retention_seconds = 60)",
    "ALTER TOPIC shop.new CLEAR RETENTION",
    "CLEAR TOPIC shop.new",
    "RESET CONSUMER GROUP 'g' ON shop.new TO EARLIEST",
    "DROP CONSUMER GROUP 'g' ON shop.new",
    "SHOW TOPICS",
    "SHOW ROUTES",
    "SELECT * FROM system.topics",
    "SELECT * FROM system.topic_offsets",
    "SELECT * FROM system.routes",
    "DROP TOPIC shop.new",
];

#[tokio::test]
async fn a_service_consumes_and_acknowledges_and_no_more() {
    let shop = Shop::with(1, 0..1).await;
    shop.change("CREATE TABLE parcels (id INTEGER PRIMARY KEY)").await;
    for statement in FOR_SERVICES.iter().chain(&FOR_ADMINISTRATORS) {
        for role in Role::ALL {
            let is_allowed = match role {
                Role::Admin => true,
                Role::Service => FOR_SERVICES.contains(statement),
                _ => false,
            };
            let answer = shop.console.tell(role, "POST /v1/api/sql", json!({ "sql": statement })).await;
            assert_eq!(
                answer.status,
                if is_allowed { 200 } else { 403 },
                "{role} {statement}: {}",
                answer.text()
            );
            if !is_allowed {
                let body = answer.json();
                let code = if role == Role::Service { &body["error"]["code"] } else { &body["code"] };
                assert_eq!(code, "FORBIDDEN", "{body}");
            }
        }
    }
}

#[tokio::test]
async fn a_script_with_a_foreign_statement_does_nothing() {
    let shop = Shop::with(1, 0..1).await;
    let script = format!("{}; DROP TOPIC shop.orders", FOR_SERVICES[0]);
    let answer = shop.console.tell(Role::Service, "POST /v1/api/sql", json!({ "sql": script })).await;
    assert_eq!((answer.status, &answer.json()["results"]), (403, &json!([])));
    assert_eq!(shop.rows("SELECT * FROM system.topic_offsets").await, json!([]), "nothing was claimed");
}
