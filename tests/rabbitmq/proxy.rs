//! A way to the broker on which a test can hold answers back and end connections.

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
    /// Connections with a smaller number have ended.
    cut: watch::Sender<u64>,
    opened: watch::Receiver<u64>,
}

impl Proxy {
    pub(crate) async fn start() -> Self {
        Self::with(Turning::default()).await
    }

    /// Ends each connection over which the broker sends these bytes, as a client does that cannot take them.
    pub(crate) async fn that_breaks_at(bytes: &'static [u8]) -> Self {
        Self::with(Turning { breaks_at: bytes, ..Turning::default() }).await
    }

    /// Holds back what the broker says behind the first of these bytes, on the connection over which they come.
    pub(crate) async fn that_falls_silent_behind(bytes: &'static [u8]) -> Self {
        Self::with(Turning { silent_behind: Arc::new(Mutex::new(bytes)), ..Turning::default() }).await
    }

    /// Lets no frame come to the broker that holds one of these: what it asks for is never answered.
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

    /// The broker by this way, without heartbeats: they would end a silent connection in the end.
    pub(crate) fn rabbit(&self) -> RabbitMq {
        let url = services::amqp_url();
        let (login, rest) = url.split_once('@').unwrap();
        let vhost = rest.split_once('/').unwrap().1;
        RabbitMq::new(&format!("{login}@{}/{vhost}?heartbeat=0", self.address)).unwrap()
    }

    /// Holds back what the broker says on every connection that is open; what the client says still arrives.
    pub(crate) fn silence(&self) {
        self.silent.send_replace(self.opened());
    }

    /// Lets through what was held back, and what comes.
    pub(crate) fn speak(&self) {
        self.silent.send_replace(0);
    }

    /// Ends every connection that is open without a word to either side.
    pub(crate) fn cut(&self) {
        self.cut.send_replace(self.opened());
    }

    /// How many connections there were.
    pub(crate) fn opened(&self) -> u64 {
        *self.opened.borrow()
    }
}

/// What either side must say for a connection to change.
#[derive(Clone, Default)]
struct Turning {
    breaks_at: &'static [u8],
    /// Empty when it has been said.
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
    // Whoever closes first ends both ways.
    tokio::select! {
        _ = frames(from_client, to_broker, &turning.swallows) => {}
        _ = down => {}
    }
}

/// Carries what a client says frame by frame, without those that are swallowed.
async fn frames(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    swallows: &[Vec<u8>],
) -> std::io::Result<()> {
    // The name and version of the protocol come first.
    let mut frame = vec![0; 8];
    from.read_exact(&mut frame).await?;
    to.write_all(&frame).await?;
    loop {
        // Type, channel and size; behind the payload an octet that ends the frame.
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
