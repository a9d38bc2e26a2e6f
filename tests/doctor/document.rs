//! The document of the command line and the answer of the admin.

use std::collections::BTreeSet;
use std::sync::Arc;

use messagekit::Shutdown;
use messagekit_admin::{Admin, Role, Token, Tokens};
use messagekit_postgres::PostgresStore;
use messagekit_testkit::{block_on, unique};
use messagekit_tests::Database;
use serde_json::Value;

use crate::stage::{Stage, run};

/// Returns the paths of all fields, with `[]` for the entries of a list.
fn fields(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                fields(value, &format!("{path}.{name}"), found);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| fields(value, &format!("{path}[]"), found)),
        _ => drop(found.insert(path.to_owned())),
    }
}

#[test]
fn the_admin_answers_what_the_command_prints() {
    block_on(async {
        let database = Database::fresh().await;
        run(database.url(), "SELECT messagekit.publish('orders.order', 'k', 'orders.order.placed', '{}')")
            .await;
        // A role that may not see the sessions of others, so that a check cannot be made.
        let role = unique("app").replace(['.', '-'], "_");
        let make = format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'messagekit'; GRANT USAGE ON SCHEMA messagekit TO {role};
             GRANT ALL ON ALL TABLES IN SCHEMA messagekit TO {role}"
        );
        run(database.url(), make).await;
        let url = database.url().replacen("messagekit:", &format!("{role}:"), 1);
        let printed = Stage::database(&url).look().json;

        let token = Token::generate().unwrap();
        let mut tokens = Tokens::new();
        tokens.add("mona", Role::Operator, token.hash()).unwrap();
        let store = Arc::new(PostgresStore::connect(&url).await.unwrap());
        let admin = Admin::builder().database(database.name(), store).tokens(tokens).build().unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/api/v1/doctor", listener.local_addr().unwrap());
        let (shutdown, bearer) = (Shutdown::new(), format!("Bearer {}", token.secret()));
        let serving = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { admin.serve(listener, shutdown).await }
        });
        let asked = tokio::task::spawn_blocking(move || {
            let mut answer = ureq::get(&url).header("Authorization", &bearer).call().unwrap();
            answer.body_mut().read_to_string().unwrap()
        });
        let answered: Value = serde_json::from_str(&asked.await.unwrap()).unwrap();
        shutdown.request();
        serving.await.unwrap().unwrap();

        let (mut of_command, mut of_admin) = (BTreeSet::new(), BTreeSet::new());
        fields(&printed, "", &mut of_command);
        fields(&answered, "", &mut of_admin);
        assert_eq!(of_command, of_admin);
        assert!(of_admin.contains(".findings[].repair[].text") && of_admin.contains(".unchecked[].reason"));
        assert_eq!(printed, answered, "one database in one state");
        run(database.url(), format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
    });
}
