//! `messagekit audit list`.

use serde_json::json;

use crate::command::on;
use crate::console::{Console, message};

#[tokio::test]
async fn actions_are_listed_newest_first_filtered_and_paged() {
    let console = Console::with((0..3).map(|_| message(None, b"{}"))).await;
    let file = console.file();
    assert_eq!(on(&file, &["audit", "list"]).text(), "no actions\n");
    for arguments in [["dlq", "discard", "1"], ["dlq", "undo", "1"], ["dlq", "discard", "3"]] {
        on(&file, &[&arguments[..], &["--yes"]].concat()).text();
    }
    let all = on(&file, &["audit", "list", "--json"]).json();
    let actions: Vec<_> =
        all["actions"].as_array().unwrap().iter().map(|action| action["action"].clone()).collect();
    assert_eq!(actions, ["discard", "undo", "discard"]);
    assert_eq!(
        (&all["actions"][0]["failed_messages"], &all["actions"][0]["through"]),
        (&json!([3]), &json!("cli"))
    );

    let of_one = on(&file, &["audit", "list", "--failed-message", "1", "--action", "undo", "--json"]).json();
    assert_eq!(of_one["actions"].as_array().unwrap().len(), 1);
    let page = on(&file, &["audit", "list", "--limit", "2"]).text();
    let before = page.lines().last().unwrap().strip_prefix("more: --before ").expect(&page);
    let rest = on(&file, &["audit", "list", "--before", before, "--json"]).json();
    assert_eq!((rest["actions"].as_array().unwrap().len(), &rest["actions"][0]["id"]), (1, &json!(1)));
    on(&file, &["audit", "list", "--before", "soon"]).refused(2, &["before is not a number"]);
    on(&file, &["audit", "list", "--since", "tomorrow"]).refused(2, &["2h for two hours ago"]);
}
