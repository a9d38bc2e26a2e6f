//! A database with failed messages and events, and an admin that serves it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use messagekit::adapter::{FailedMessageRows, Failure, FailureKind, OutboxRows, ReceivedMessage};
use messagekit::{Message, MessageId, Shutdown, Store, headers};
use messagekit_admin::{Admin, READ_LIMIT, Role, Token, Tokens};
use messagekit_postgres::PostgresStore;
use messagekit_tests::{Caller, Database};

/// An admin on a socket. A drop ends it.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    tokens: Vec<(Role, Token)>,
    shutdown: Shutdown,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    /// Serves a database, on its own runtime.
    pub(crate) fn over(database: &Database) -> Self {
        let tokens: Vec<(Role, Token)> =
            Role::ALL.into_iter().map(|role| (role, Token::generate().unwrap())).collect();
        let mut known = Tokens::new();
        for (role, token) in &tokens {
            known.add(role.as_str(), *role, token.hash()).unwrap();
        }
        let (shutdown, url) = (Shutdown::new(), database.url().to_owned());
        let (tell, told) = std::sync::mpsc::channel();
        let asked = shutdown.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let store =
                    Arc::new(PostgresStore::options().read_timeout(READ_LIMIT).connect(&url).await.unwrap());
                let admin = Admin::builder().database("shop", store).tokens(known).build().unwrap();
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                admin.serve(listener, asked).await.unwrap();
            });
        });
        let address = told.recv().expect("the admin starts");
        Self { address, tokens, shutdown, thread: Some(thread) }
    }

    /// Returns its OpenAPI document, which a service may not ask for.
    pub(crate) fn document(&self) -> String {
        let document = self.caller(Role::Admin).downloads("/openapi.json");
        String::from_utf8(document).expect("the document is text")
    }

    /// Returns a client with the token of a role.
    pub(crate) fn caller(&self, role: Role) -> Caller {
        Caller::with_token(&format!("http://{}", self.address), self.secret(role))
    }

    pub(crate) fn secret(&self, role: Role) -> &str {
        let token = self.tokens.iter().find(|(known, _)| *known == role);
        token.expect("every role has one").1.secret()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.shutdown.request();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the admin failed");
        }
    }
}

pub(crate) async fn failed_messages(store: &PostgresStore, consumer: &str, count: usize) {
    let mut tx = store.begin().await.unwrap();
    for number in 1..=count {
        let message = Message::new("orders.order", format!(r#"{{"number":{number}}}"#))
            .with_key(format!("k-{number}"))
            .with_header(headers::EVENT_TYPE, "orders.order.placed");
        let received = ReceivedMessage { id: MessageId::new(), message, position: None };
        let failure = Failure::permanent(FailureKind::Permanent, format!("order {number} has no customer"));
        store.set_aside(&mut tx, consumer, &received, &failure).await.unwrap();
    }
    store.commit(tx).await.unwrap();
}

pub(crate) async fn events(store: &PostgresStore, count: usize) {
    let messages: Vec<Message> = (1..=count)
        .map(|number| {
            let id = MessageId::new();
            let payload =
                format!(r#"{{"eventId":"{id}","eventType":"orders.order.placed","number":{number}}}"#);
            Message::new("orders.order", payload)
                .with_key(format!("k-{number}"))
                .with_header(headers::ID, id.as_str().to_owned())
                .with_header(headers::EVENT_TYPE, "orders.order.placed")
                .with_header(headers::CONTENT_TYPE, headers::JSON)
        })
        .collect();
    let mut tx = store.begin().await.unwrap();
    store.write(&mut tx, &messages).await.unwrap();
    store.commit(tx).await.unwrap();
}
