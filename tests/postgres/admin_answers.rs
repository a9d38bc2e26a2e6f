//! What the admin answers over HTTP about a store.

use std::sync::Arc;

use messagekit::Shutdown;
use messagekit_admin::{Admin, Role, Token, Tokens};
use messagekit_postgres::PostgresStore;
use messagekit_testkit::DEADLINE;
use tokio::net::TcpListener;

/// Serves the store as `shop`, and returns the status and the body of each answer, one after another.
pub(crate) async fn answers<const N: usize>(store: &PostgresStore, paths: [&str; N]) -> [(u16, String); N] {
    let (token, mut tokens) = (Token::generate().unwrap(), Tokens::new());
    tokens.add("ann", Role::Viewer, token.hash()).unwrap();
    let admin = Admin::builder().tokens(tokens).database("shop", Arc::new(store.clone())).build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, shutdown) = (listener.local_addr().unwrap(), Shutdown::new());
    let serving = tokio::spawn(messagekit_admin::serve(listener, admin.router(), shutdown.clone()));
    let bearer = format!("Bearer {}", token.secret());
    let urls = paths.map(|path| format!("http://{address}{path}"));
    let asked = tokio::task::spawn_blocking(move || {
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(DEADLINE));
        let agent: ureq::Agent = config.build().into();
        urls.map(|url| {
            let mut answer = agent.get(url).header("authorization", &bearer).call().expect("it answers");
            (answer.status().as_u16(), answer.body_mut().read_to_string().expect("a text"))
        })
    });
    let answers = asked.await.unwrap();
    shutdown.request();
    serving.await.unwrap().unwrap();
    answers
}
