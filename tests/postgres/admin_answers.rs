//! What the admin answers over HTTP about a store.

use std::sync::Arc;

use messagekit::Shutdown;
use messagekit_admin::{Admin, Role, Token, Tokens};
use messagekit_postgres::PostgresStore;
use messagekit_tests::Caller;
use tokio::net::TcpListener;

/// Serves the store as `shop`, and returns the status and the body of each answer, one after another.
pub(crate) async fn answers<const N: usize>(store: &PostgresStore, paths: [&str; N]) -> [(u16, String); N] {
    let (token, mut tokens) = (Token::generate().unwrap(), Tokens::new());
    tokens.add("ann", Role::Viewer, token.hash()).unwrap();
    let admin = Admin::builder().tokens(tokens).database("shop", Arc::new(store.clone())).build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, shutdown) = (listener.local_addr().unwrap(), Shutdown::new());
    let serving = tokio::spawn(messagekit_admin::serve(listener, admin.router(), shutdown.clone()));
    let caller = Caller::with_token(&format!("http://{address}"), token.secret());
    let paths = paths.map(str::to_owned);
    let asked =
        tokio::task::spawn_blocking(move || paths.map(|path| caller.answer(&path).expect("it answers")));
    let answers = asked.await.unwrap();
    shutdown.request();
    serving.await.unwrap().unwrap();
    answers
}
