//! What operators did.

use messagekit_admin::Role;
use serde_json::{Value, json};

use crate::ask::Console;
use crate::stock::Stores;

#[tokio::test]
async fn audit_of_all_databases_is_filtered_and_paged() {
    let stores = Stores::with(2, 0).await;
    let [memory, sqlite] = stores.each();
    let console = Console::of([("shop", memory), ("billing", sqlite)]);
    for line in ["1/discard?database=shop", "2/discard?database=billing", "1/undo?database=shop"] {
        assert_eq!(
            console.ask(Role::Operator, &format!("POST /api/v1/dlq/{line}")).await.status,
            202,
            "{line}"
        );
    }
    let seen = |page: &Value| -> Vec<(Value, Value)> {
        let actions = page["actions"].as_array().unwrap().iter();
        actions.map(|action| (action["database"].clone(), action["action"].clone())).collect()
    };
    let row = |database: &str, action: &str| (json!(database), json!(action));
    let all = [row("shop", "undo"), row("billing", "discard"), row("shop", "discard")];
    assert_eq!(seen(&console.get("/api/v1/audit").await), all);
    assert_eq!(seen(&console.get("/api/v1/audit?action=undo").await), all[..1]);
    assert_eq!(seen(&console.get("/api/v1/audit?failed_message=2&database=billing").await), all[1..2]);
    assert_eq!(seen(&console.get("/api/v1/audit?operator=nemo").await), []);
    let first = console.get("/api/v1/audit?operator=the-operator&limit=2").await;
    assert_eq!(seen(&first), all[..2]);
    let next = first["next"].as_str().unwrap();
    let rest = console.get(&format!("/api/v1/audit{next}")).await;
    assert_eq!((seen(&rest), rest.get("next")), (all[2..].to_vec(), None));
    for query in ["operator=a&operator=b", "action=RETRY", "since=soon", "failed_message=0", "by=ann"] {
        let answer = console.ask(Role::Viewer, &format!("GET /api/v1/audit?{query}")).await;
        assert!([400, 422].contains(&answer.status), "{query}: {}", answer.text());
    }
}
