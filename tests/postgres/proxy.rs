//! A wire between client and server that can lose an answer, or fall silent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use messagekit_tests::Database;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Forwards connections to the database until it is told to cut the next commit.
pub(crate) struct Proxy {
    address: SocketAddr,
    cut: Arc<AtomicBool>,
    silent: Arc<AtomicBool>,
}

impl Proxy {
    pub(crate) async fn to(database: &Database) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let server = server_of(database.url());
        let [cut, silent] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let (cuts, falls_silent) = (Arc::clone(&cut), Arc::clone(&silent));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.expect("PostgreSQL answers");
                tokio::spawn(forward(client, server, Arc::clone(&cuts), Arc::clone(&falls_silent)));
            }
        });
        Self { address, cut, silent }
    }

    /// Returns the database's URL through this wire.
    pub(crate) fn url(&self, database: &Database) -> String {
        database.url().replace(&server_of(database.url()), &self.address.to_string())
    }

    /// Cuts the connection of the next COMMIT between the server's answer and the client.
    pub(crate) fn cut_next_commit(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }

    /// Passes nothing on from now on, and closes nothing.
    pub(crate) fn fall_silent(&self) {
        self.silent.store(true, Ordering::SeqCst);
    }
}

pub(crate) fn server_of(url: &str) -> String {
    let (_, place) = url.rsplit_once('@').expect("the URL names a user");
    place.split(['/', '?']).next().expect("the URL names a server").to_owned()
}

async fn forward(
    mut client: TcpStream,
    mut server: TcpStream,
    cut: Arc<AtomicBool>,
    silent: Arc<AtomicBool>,
) {
    let (mut sent, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut sent) => {
                let Ok(count @ 1..) = read else { return };
                if silent.load(Ordering::SeqCst) {
                    return std::future::pending().await;
                }
                server.write_all(&sent[..count]).await.expect("the server takes it");
                let commits = sent[..count].windows(6).any(|window| window == b"COMMIT");
                if commits && cut.swap(false, Ordering::SeqCst) {
                    // The server answers after it has committed.
                    let answer = server.read(&mut answered).await.expect("the server answers");
                    assert!(answer > 0, "the server has closed the connection before it answered");
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Ok(count @ 1..) = read else { return };
                if client.write_all(&answered[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}
