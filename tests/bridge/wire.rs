//! The way of a bridge to RabbitMQ, which a test cuts, stalls and mends.

use std::sync::{Arc, Mutex};

use messagekit_tests::services;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) struct Wire {
    /// The broker's URL by this way.
    pub(crate) url: String,
    way: watch::Sender<Way>,
    connections: Arc<Mutex<JoinSet<()>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Open,
    /// Connections stay, and nothing is carried.
    Stalled,
    Cut,
}

impl Wire {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (url, address) = (services::amqp_url(), listener.local_addr().unwrap());
        let (login, rest) = url.split_once('@').unwrap();
        let (host, vhost) = rest.split_once('/').unwrap();
        let (broker, url) = (host.to_owned(), format!("{login}@{address}/{vhost}"));
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

    /// Ends every connection, and each new one at once; what a stalled one held is lost.
    pub(crate) fn cut(&self) {
        self.way.send_replace(Way::Cut);
        self.connections.lock().unwrap().abort_all();
    }

    /// Keeps the connections and carries nothing in either direction: the broker has become silent.
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
    // Either side may end a connection at any time.
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
        // The test that stalled it may be over.
        let _ = way.wait_for(|way| *way != Way::Stalled).await;
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..read]).await?;
    }
}

/// Runs a test beside the wire, which carries while the test waits for an answer on its own thread.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.unwrap().block_on(test);
}
