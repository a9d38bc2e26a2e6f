//! A proxy to the server on which every statement waits for permission.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::mutants::Rewrite;

/// A statement or step that waits for permission.
pub(super) struct Waiting {
    /// The waiting role.
    pub(super) role: u64,
    /// The session whose next statement waits, or `None` for a role that begins a step.
    pub(super) session: Option<i32>,
    /// Grants the permission. Sending fails if the process has crashed meanwhile.
    pub(super) leave: oneshot::Sender<Leave>,
}

/// What happens to a statement that may go on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    Answered,
    /// The server gets it, and its process never hears of it.
    Overtaken,
}

/// Messages of proxies and roles to the schedule.
pub(super) enum News {
    Waits(Waiting),
    /// A process has a session.
    Opened {
        role: u64,
        session: i32,
    },
    /// The server has answered a statement, or has ended its session, or has got a statement that is overtaken.
    Answered {
        session: i32,
    },
    /// A role has ended.
    Ended {
        role: u64,
        how: super::schedule::Ending,
    },
}

/// The forwarding mode of a proxy.
#[derive(Clone)]
pub(super) struct Way {
    pub(super) role: u64,
    /// `None` for a proxy on which nothing waits.
    pub(super) news: Option<mpsc::UnboundedSender<News>>,
    pub(super) rewrites: &'static [Rewrite],
    /// Set when a statement was rewritten.
    pub(super) struck: Arc<AtomicBool>,
}

impl Way {
    /// Returns the mode of a process that no schedule stops.
    pub(super) fn without_stops(rewrites: &'static [Rewrite]) -> Self {
        Self { role: 0, news: None, rewrites, struck: Arc::default() }
    }
}

/// The proxy of one process. A drop cuts it: the server notices at the end of its statement.
pub(super) struct Wire {
    address: SocketAddr,
    _connections: JoinSet<()>,
}

impl Wire {
    pub(super) async fn to(server: &str, way: Way) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (server, mut connections) = (server.to_owned(), JoinSet::new());
        connections.spawn(async move {
            let mut carried = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                for stream in [&client, &server] {
                    stream.set_nodelay(true).unwrap();
                }
                carried.spawn(carry(client, server, way.clone()));
            }
        });
        Self { address, _connections: connections }
    }

    /// Returns the URL of a database through this proxy.
    pub(super) fn url(&self, url: &str) -> String {
        format!("{}?sslmode=disable", url.replace(&crate::proxy::server_of(url), &self.address.to_string()))
    }
}

/// A whole protocol message, which begins with its type.
struct Frame(Vec<u8>);

impl Frame {
    async fn read(stream: &mut TcpStream) -> Option<Self> {
        let kind = stream.read_u8().await.ok()?;
        let length = stream.read_u32().await.ok()?;
        let mut frame = vec![kind];
        frame.extend(length.to_be_bytes());
        frame.resize(length as usize + 1, 0);
        stream.read_exact(&mut frame[5..]).await.ok()?;
        Some(Self(frame))
    }

    fn kind(&self) -> u8 {
        self.0[0]
    }

    fn body(&self) -> &[u8] {
        &self.0[5..]
    }

    fn number(&self) -> i32 {
        i32::from_be_bytes(self.0[5..9].try_into().unwrap())
    }

    /// Replaces parts of the text of a prepared statement.
    fn rewrite(&mut self, way: &Way) {
        if self.kind() != b'P' {
            return;
        }
        let body = self.body();
        let name = body.iter().position(|byte| *byte == 0).unwrap() + 1;
        let end = name + body[name..].iter().position(|byte| *byte == 0).unwrap();
        let mut text = String::from_utf8(body[name..end].to_vec()).unwrap();
        for rewrite in way.rewrites {
            if text.contains(rewrite.from) {
                text = text.replace(rewrite.from, rewrite.to);
                way.struck.store(true, Ordering::Relaxed);
            }
        }
        let body = [&body[..name], text.as_bytes(), &body[end..]].concat();
        let length = u32::try_from(body.len() + 4).unwrap();
        self.0 = [&[b'P'][..], &length.to_be_bytes(), &body].concat();
    }
}

/// Forwards a session until one of its ends is gone.
async fn carry(mut client: TcpStream, mut server: TcpStream, way: Way) -> Option<()> {
    let session = log_in(&mut client, &mut server).await?;
    if let Some(news) = &way.news {
        news.send(News::Opened { role: way.role, session }).ok()?;
    }
    loop {
        let mut unit = Vec::new();
        let last = loop {
            let mut frame = Frame::read(&mut client).await?;
            frame.rewrite(&way);
            unit.extend(&frame.0);
            if let kind @ (b'S' | b'Q' | b'X') = frame.kind() {
                break kind;
            }
        };
        if let (Some(news), true) = (&way.news, last != b'X') {
            let (leave, left) = oneshot::channel();
            let waiting = Waiting { role: way.role, session: Some(session), leave };
            news.send(News::Waits(waiting)).ok()?;
            if left.await.ok()? == Leave::Overtaken {
                // A session that was ended gets nothing, and is gone as well.
                let _ = server.write_all(&unit).await;
                news.send(News::Answered { session }).ok()?;
                return None;
            }
        }
        let answered = pass_on(&mut client, &mut server, &unit).await;
        if let Some(news) = &way.news {
            news.send(News::Answered { session }).ok()?;
        }
        answered?;
    }
}

/// Forwards one unit, and its answer back. Returns `None` when the session has ended.
async fn pass_on(client: &mut TcpStream, server: &mut TcpStream, unit: &[u8]) -> Option<()> {
    server.write_all(unit).await.ok()?;
    loop {
        let frame = Frame::read(server).await?;
        client.write_all(&frame.0).await.ok()?;
        if frame.kind() == b'Z' {
            return Some(());
        }
    }
}

/// Forwards the login, which never waits, and returns the number of the session.
async fn log_in(client: &mut TcpStream, server: &mut TcpStream) -> Option<i32> {
    let length = client.read_u32().await.ok()?;
    let mut first = length.to_be_bytes().to_vec();
    first.resize(length as usize, 0);
    client.read_exact(&mut first[4..]).await.ok()?;
    server.write_all(&first).await.ok()?;
    let mut session = None;
    loop {
        let frame = Frame::read(server).await?;
        client.write_all(&frame.0).await.ok()?;
        match frame.kind() {
            // The client answers with a password, or with the steps of an exchange that proves it.
            b'R' if matches!(frame.number(), 3 | 5 | 10 | 11) => {
                let answer = Frame::read(client).await?;
                server.write_all(&answer.0).await.ok()?;
            }
            b'K' => session = Some(frame.number()),
            b'Z' => return session,
            _ => {}
        }
    }
}
