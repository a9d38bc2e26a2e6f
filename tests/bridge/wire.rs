//! The connection between a bridge and RabbitMQ, which a test cuts, stalls and restores.

use std::io::ErrorKind;
use std::sync::{Arc, Mutex};

use messagekit_tests::services;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::TURNS;

pub(crate) struct Wire {
    /// The URL of the broker through this connection.
    pub(crate) url: String,
    way: watch::Sender<Way>,
    connections: Arc<Mutex<JoinSet<()>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Open,
    /// Connections stay open, and no byte is forwarded.
    Stalled,
    Cut,
}

impl Wire {
    pub(crate) async fn start() -> Self {
        let url = services::amqp_url();
        let (login, rest) = url.split_once('@').unwrap();
        let (host, vhost) = rest.split_once('/').unwrap();
        let wire = Self::to(host).await;
        Self { url: format!("{login}@{}/{vhost}", wire.url), ..wire }
    }

    /// Its URL has only the address.
    async fn to(broker: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (broker, url) = (broker.to_owned(), listener.local_addr().unwrap().to_string());
        let (way, seen) = watch::channel(Way::Open);
        let connections = Arc::<Mutex<JoinSet<()>>>::default();
        let carried = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                carried.lock().unwrap().spawn(carry(client, broker.clone(), seen.clone()));
            }
        });
        Self { url, way, connections }
    }

    /// Closes every connection, and each new one at once. Bytes in a stalled connection are lost.
    pub(crate) fn cut(&self) {
        self.way.send_replace(Way::Cut);
        self.connections.lock().unwrap().abort_all();
    }

    /// Keeps the connections and forwards nothing in either direction, like a silent broker.
    pub(crate) fn stall(&self) {
        self.way.send_replace(Way::Stalled);
    }

    pub(crate) fn mend(&self) {
        self.way.send_replace(Way::Open);
    }
}

async fn carry(client: TcpStream, broker: String, way: watch::Receiver<Way>) {
    if *way.borrow() == Way::Cut {
        return;
    }
    // Either side may close a connection at any time.
    let Ok(broker) = TcpStream::connect(broker).await else { return };
    let ((from_client, to_client), (from_broker, to_broker)) = (client.into_split(), broker.into_split());
    let _ = tokio::try_join!(copy(from_client, to_broker, way.clone()), copy(from_broker, to_client, way));
}

async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut way: watch::Receiver<Way>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        // The test that stalled it may be over. Its bytes must not get through when it is cut: its task ends a moment later.
        let now = way.wait_for(|way| *way != Way::Stalled).await.map(|way| *way);
        if matches!(now, Ok(Way::Cut)) {
            return Err(ErrorKind::ConnectionAborted.into());
        }
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..read]).await?;
    }
}

/// Runs a test beside the proxy, which forwards while the test waits for an answer on its own thread.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.unwrap().block_on(test);
}

#[test]
fn what_a_stalled_wire_holds_is_lost_when_it_is_cut() {
    let _turn = TURNS.together();
    run(async {
        for _ in 0..500 {
            let broker = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let wire = Wire::to(&broker.local_addr().unwrap().to_string()).await;
            let mut client = TcpStream::connect(&wire.url).await.unwrap();
            let (mut behind, _) = broker.accept().await.unwrap();
            client.write_all(b"a").await.unwrap();
            assert_eq!(behind.read_u8().await.unwrap(), b'a');
            wire.stall();
            client.write_all(b"b").await.unwrap();
            tokio::task::yield_now().await;
            wire.cut();
            let mut rest = Vec::new();
            let _ = behind.read_to_end(&mut rest).await;
            assert!(rest.is_empty(), "it was carried all the same");
        }
    });
}
