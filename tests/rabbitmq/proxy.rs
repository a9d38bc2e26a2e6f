//! A proxy to the broker with which a test can withhold answers and close connections.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use messagekit_rabbitmq::RabbitMq;
use messagekit_tests::services;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub(crate) struct Proxy {
    address: SocketAddr,
    /// Connections with a smaller number are silent.
    silent: watch::Sender<u64>,
    /// Connections with a smaller number are closed.
    cut: watch::Sender<u64>,
    opened: watch::Receiver<u64>,
}

impl Proxy {
    pub(crate) async fn start() -> Self {
        Self::with(Turning::default()).await
    }

    /// Closes each connection over which the broker sends these bytes, like a client that cannot read them.
    pub(crate) async fn that_breaks_at(bytes: &'static [u8]) -> Self {
        Self::with(Turning { breaks_at: bytes, ..Turning::default() }).await
    }

    /// Withholds the broker's bytes after the first match, on the connection that carries it.
    pub(crate) async fn that_falls_silent_behind(bytes: &'static [u8]) -> Self {
        Self::with(Turning { silent_behind: Arc::new(Mutex::new(bytes)), ..Turning::default() }).await
    }

    /// Drops every frame to the broker that contains one of these: the request is never answered.
    pub(crate) async fn that_swallows(frames_with: &[&[u8]]) -> Self {
        let swallows = frames_with.iter().map(|bytes| bytes.to_vec()).collect();
        Self::with(Turning { swallows, ..Turning::default() }).await
    }

    async fn with(turning: Turning) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (silent, _) = watch::channel(0);
        let silencing = silent.clone();
        let (cut, is_cut) = watch::channel(0);
        let (count, opened) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let number = *count.borrow();
                count.send_replace(number + 1);
                let carried = carry(client, number, silencing.clone(), turning.clone());
                let mut is_cut = is_cut.clone();
                tokio::spawn(async move {
                    tokio::select! {
                        () = carried => {}
                        _ = is_cut.wait_for(|cut| *cut > number) => {}
                    }
                });
            }
        });
        Self { address, silent, cut, opened }
    }

    /// Returns the broker through this proxy, without heartbeats: they would close a silent connection.
    pub(crate) fn rabbit(&self) -> RabbitMq {
        let url = services::amqp_url();
        let (login, rest) = url.split_once('@').unwrap();
        let vhost = rest.split_once('/').unwrap().1;
        RabbitMq::new(&format!("{login}@{}/{vhost}?heartbeat=0", self.address)).unwrap()
    }

    /// Withholds the broker's bytes on every open connection; the client's bytes still arrive.
    pub(crate) fn silence(&self) {
        self.silent.send_replace(self.opened());
    }

    /// Delivers the withheld bytes and all later ones.
    pub(crate) fn speak(&self) {
        self.silent.send_replace(0);
    }

    /// Closes every open connection without notice.
    pub(crate) fn cut(&self) {
        self.cut.send_replace(self.opened());
    }

    /// Returns the number of connections so far.
    pub(crate) fn opened(&self) -> u64 {
        *self.opened.borrow()
    }
}

/// The bytes that change the state of a connection.
#[derive(Clone, Default)]
struct Turning {
    breaks_at: &'static [u8],
    /// Empty once the bytes have been seen.
    silent_behind: Arc<Mutex<&'static [u8]>>,
    swallows: Vec<Vec<u8>>,
}

impl Turning {
    fn falls_silent(&self, said: &[u8]) -> bool {
        let mut behind = self.silent_behind.lock().unwrap_or_else(PoisonError::into_inner);
        let falls = holds(said, *behind);
        if falls {
            *behind = b"";
        }
        falls
    }
}

fn holds(said: &[u8], bytes: &[u8]) -> bool {
    !bytes.is_empty() && said.windows(bytes.len()).any(|window| window == bytes)
}

async fn carry(client: TcpStream, number: u64, silencing: watch::Sender<u64>, turning: Turning) {
    let mut silent = silencing.subscribe();
    let url = services::amqp_url();
    let host = url.split_once('@').unwrap().1.split('/').next().unwrap().to_owned();
    let broker = TcpStream::connect(host).await.unwrap();
    let ((from_client, mut to_client), (mut from_broker, to_broker)) =
        (client.into_split(), broker.into_split());
    let down = async {
        let mut buffer = vec![0; 16 * 1024];
        let mut last = Vec::new();
        loop {
            let count = from_broker.read(&mut buffer).await?;
            last.extend_from_slice(&buffer[..count]);
            if holds(&last, turning.breaks_at) {
                return Ok(());
            }
            let falls_silent = turning.falls_silent(&last);
            last.drain(..last.len().saturating_sub(turning.breaks_at.len()));
            if count == 0 || silent.wait_for(|silent| *silent <= number).await.is_err() {
                return Ok::<(), std::io::Error>(());
            }
            to_client.write_all(&buffer[..count]).await?;
            if falls_silent {
                silencing.send_replace(number + 1);
            }
        }
    };
    // The first side to close ends both directions.
    tokio::select! {
        _ = frames(from_client, to_broker, &turning.swallows) => {}
        _ = down => {}
    }
}

/// Forwards the client's bytes frame by frame, without the dropped frames.
async fn frames(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    swallows: &[Vec<u8>],
) -> std::io::Result<()> {
    // The protocol header comes first.
    let mut frame = vec![0; 8];
    from.read_exact(&mut frame).await?;
    to.write_all(&frame).await?;
    loop {
        // Type, channel and size. An end octet follows the payload.
        frame.resize(7, 0);
        from.read_exact(&mut frame).await?;
        let size = u32::from_be_bytes([frame[3], frame[4], frame[5], frame[6]]) as usize;
        frame.resize(7 + size + 1, 0);
        from.read_exact(&mut frame[7..]).await?;
        if !swallows.iter().any(|bytes| holds(&frame, bytes)) {
            to.write_all(&frame).await?;
        }
    }
}
