//! A proxy between client and server that can lose an answer, or fall silent.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use messagekit_tests::Database;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Forwards connections to the database, and cuts the next commit on request.
pub(crate) struct Proxy {
    address: SocketAddr,
    server: Arc<Mutex<String>>,
    cut: Arc<AtomicBool>,
    silent: Arc<AtomicBool>,
    limit: Arc<Limit>,
}

/// The number of bytes that may still pass, in both directions together.
struct Limit {
    left: AtomicI64,
    struck: AtomicU64,
}

/// More than ever pass.
const ALL: i64 = i64::MAX / 2;

impl Limit {
    /// Returns how many of these bytes may pass: fewer than all when the connection is cut now.
    fn pass(&self, count: usize) -> usize {
        let count = i64::try_from(count).expect("a few bytes");
        let left = self.left.fetch_sub(count, Ordering::SeqCst);
        if left >= count {
            return usize::try_from(count).expect("as before");
        }
        // Later bytes pass, on this connection or on a new one.
        self.left.store(ALL, Ordering::SeqCst);
        self.struck.fetch_add(1, Ordering::SeqCst);
        usize::try_from(left.max(0)).expect("not negative")
    }
}

impl Proxy {
    pub(crate) async fn to(database: &Database) -> Self {
        Self::before(database.url()).await
    }

    /// Stands before the server of a URL.
    pub(crate) async fn before(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let server = Arc::new(Mutex::new(server_of(url)));
        let servers = Arc::clone(&server);
        let [cut, silent] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let (cuts, falls_silent) = (Arc::clone(&cut), Arc::clone(&silent));
        let limit = Arc::new(Limit { left: AtomicI64::new(ALL), struck: AtomicU64::new(0) });
        let limits = Arc::clone(&limit);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = servers.lock().expect("no test panics with it").clone();
                let server = TcpStream::connect(server).await.expect("PostgreSQL answers");
                let (cuts, falls_silent) = (Arc::clone(&cuts), Arc::clone(&falls_silent));
                tokio::spawn(forward(client, server, cuts, falls_silent, Arc::clone(&limits)));
            }
        });
        Self { address, server, cut, silent, limit }
    }

    /// Returns the database's URL through this proxy.
    pub(crate) fn url(&self, database: &Database) -> String {
        self.through(database.url())
    }

    /// Returns a URL with this proxy in the place of its server.
    pub(crate) fn through(&self, url: &str) -> String {
        url.replace(&server_of(url), &self.address.to_string())
    }

    /// Leads later connections to the server of another URL.
    pub(crate) fn lead_to(&self, url: &str) {
        *self.server.lock().expect("no test panics with it") = server_of(url);
    }

    /// Cuts the connection of the next COMMIT between the server's answer and the client.
    pub(crate) fn cut_next_commit(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }

    /// Cuts a connection after this many more bytes, wherever in a message that is.
    pub(crate) fn cut_after(&self, bytes: u32) {
        self.limit.left.store(i64::from(bytes), Ordering::SeqCst);
    }

    /// Disables every cut.
    pub(crate) fn spare(&self) {
        self.limit.left.store(ALL, Ordering::SeqCst);
    }

    /// Returns how many connections were cut by the byte limit.
    pub(crate) fn struck(&self) -> u64 {
        self.limit.struck.load(Ordering::SeqCst)
    }

    /// Forwards nothing from now on, and closes nothing.
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
    limit: Arc<Limit>,
) {
    let (mut sent, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut sent) => {
                let Ok(count @ 1..) = read else { return };
                if silent.load(Ordering::SeqCst) {
                    return std::future::pending().await;
                }
                let passed = limit.pass(count);
                // A connection that the server has closed accepts no bytes.
                if server.write_all(&sent[..passed]).await.is_err() || passed < count {
                    return;
                }
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
                let passed = limit.pass(count);
                if client.write_all(&answered[..passed]).await.is_err() || passed < count {
                    return;
                }
            }
        }
    }
}
