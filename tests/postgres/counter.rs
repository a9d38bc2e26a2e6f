//! A proxy between client and server that records executed statements.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use messagekit_tests::Database;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::proxy::server_of;

/// Forwards connections to the database. The test server refuses TLS, which makes everything readable.
pub(crate) struct Counter {
    address: std::net::SocketAddr,
    said: Arc<Mutex<Vec<String>>>,
}

impl Counter {
    pub(crate) async fn to(database: &Database) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let server = server_of(database.url());
        let said = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&said);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.expect("PostgreSQL answers");
                for stream in [&client, &server] {
                    stream.set_nodelay(true).expect("a socket");
                }
                let ((from_client, mut to_client), (mut from_server, to_server)) =
                    (client.into_split(), server.into_split());
                tokio::spawn(async move { drop(tokio::io::copy(&mut from_server, &mut to_client).await) });
                tokio::spawn(forward(from_client, to_server, Arc::clone(&notes)));
            }
        });
        Self { address, said }
    }

    /// Returns the database's URL through this proxy.
    pub(crate) fn url(&self, database: &Database) -> String {
        let url = database.url().replace(&server_of(database.url()), &self.address.to_string());
        format!("{url}?sslmode=disable")
    }

    /// Returns the text of each statement that was executed since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.said.lock().unwrap())
    }
}

/// Forwards whole protocol messages, and records those that execute something. Returns at the end of the connection.
async fn forward(mut client: OwnedReadHalf, mut server: OwnedWriteHalf, said: Arc<Mutex<Vec<String>>>) {
    let (mut statements, mut portals) = (HashMap::new(), HashMap::new());
    // The first message has no type.
    let mut has_type = false;
    loop {
        let kind = if has_type { client.read_u8().await.ok() } else { Some(0) };
        let (Some(kind), Ok(length)) = (kind, client.read_u32().await) else { return };
        let mut body = vec![0; length as usize - 4];
        if client.read_exact(&mut body).await.is_err() {
            return;
        }
        match kind {
            b'Q' => said.lock().unwrap().push(text(&body, 0).0),
            b'P' => {
                let (name, end) = text(&body, 0);
                statements.insert(name, text(&body, end).0);
            }
            b'B' => {
                let (portal, end) = text(&body, 0);
                portals.insert(portal, text(&body, end).0);
            }
            b'E' => {
                let statement = portals.get(&text(&body, 0).0).and_then(|name| statements.get(name));
                said.lock().unwrap().push(statement.expect("it was prepared and bound").clone());
            }
            _ => {}
        }
        let mut message = if has_type { vec![kind] } else { Vec::new() };
        message.extend(length.to_be_bytes());
        message.append(&mut body);
        if server.write_all(&message).await.is_err() {
            return;
        }
        has_type = true;
    }
}

/// Returns the text at an offset, and the offset of the next one.
fn text(body: &[u8], at: usize) -> (String, usize) {
    let length = body[at..].iter().position(|byte| *byte == 0).expect("texts end with a zero");
    (String::from_utf8_lossy(&body[at..at + length]).into_owned(), at + length + 1)
}
