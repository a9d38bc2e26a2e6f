//! `--json` prints the documents that the admin serves over HTTP.

use std::fs;

use messagekit::{Event, Outbox, Store};
use messagekit_sqlite::SqliteStore;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::command::{messagekit, on};
use crate::console::{Console, message};
use crate::server::{Server, get};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", key = "order_id")]
struct OrderPlaced {
    order_id: String,
}

/// Writes three events into the file of failed messages.
async fn events(console: &Console) {
    let store = SqliteStore::open(console.file()).await.unwrap();
    let outbox = Outbox::new(store.clone(), "shop").unwrap();
    let mut tx = store.begin().await.unwrap();
    for number in 0..3 {
        outbox.add(&mut tx, OrderPlaced { order_id: format!("o-{number}") }).await.unwrap();
    }
    outbox.commit(tx).await.unwrap();
    store.close().await.unwrap();
}

/// Takes the next page out of a document: a position here, a link there.
fn next(document: &mut Value) -> String {
    let next = document.as_object_mut().unwrap().remove("next");
    next.map_or_else(String::new, |next| next.as_str().unwrap().to_owned())
}

#[tokio::test]
async fn commands_print_the_documents_of_http() {
    let keys: [&[u8]; 2] = [b"c-7", b"\xfe\x01"];
    let console = Console::with(keys.map(|key| message(Some(key), b"{\"pence\":7}"))).await;
    events(&console).await;
    let file = console.file();
    on(&file, &["replay", "start", "--key", "o-1", "--yes"]).text();
    on(&file, &["replay", "start", "--key", "o-2", "--yes"]).text();

    let made = messagekit(&["admin", "token", "--name", "mona", "--role", "operator", "--json"]).json();
    let tokens = file.with_file_name("tokens");
    fs::write(&tokens, made["line"].as_str().unwrap()).unwrap();
    let database = format!("shop=sqlite:{}", file.display());
    let tokens = tokens.to_str().unwrap();
    let mut server = Server::start(
        &["admin", "--listen", "127.0.0.1:0", "--database", &database, "--tokens", tokens],
        &[],
    );
    let address = server.says("listening on ");
    let http = |path: &str| -> Value {
        get(&format!("{address}{path}"), made["token"].as_str()).body_mut().read_json().unwrap()
    };
    for (command, path) in [
        ("dlq list --state open --json", "/api/v1/dlq?state=open"),
        ("dlq list --all --limit 1 --json", "/api/v1/dlq?limit=1"),
        ("dlq groups --json", "/api/v1/dlq/groups"),
        ("dlq show 1 --json", "/api/v1/dlq/1"),
        ("dlq show 2 --json", "/api/v1/dlq/2"),
        ("replay events --json --limit 2", "/api/v1/replay/events?limit=2"),
        ("replay list --json --limit 1", "/api/v1/replay?limit=1"),
        ("replay show 1 --json", "/api/v1/replay/1"),
        ("audit list --json --limit 1", "/api/v1/audit?limit=1"),
    ] {
        let (mut printed, mut served) =
            (on(&file, &command.split(' ').collect::<Vec<_>>()).json(), http(path));
        // Of lists of failed messages only the command counts what lies beyond the page.
        printed.as_object_mut().unwrap().remove("totals");
        let (position, link) = (next(&mut printed), next(&mut served));
        assert_eq!(printed, served, "{command}");
        assert_eq!(position.is_empty(), link.is_empty(), "{command}: {position} {link}");
        let reached = link.rsplit('=').next().unwrap().replace("%2F", "/");
        assert_eq!(position, reached, "{command}");
    }
    let shown = http("/api/v1/dlq/2");
    assert_eq!(shown["failed_message"]["key"], json!({ "base64": "/gE=" }));
    assert_eq!(server.stop("TERM").0, Some(0));
}
