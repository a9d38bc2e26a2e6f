//! A port that nobody else is given.

use std::net::SocketAddr;

use tokio::net::TcpSocket;

/// A port of this machine, kept by a socket that listens to nobody. The system gives it to no other socket and refuses whoever
/// connects, until a program listens there that was told its number: programs ask to share an address that nobody listens on.
#[derive(Debug)]
pub struct Port {
    _kept: TcpSocket,
    number: u16,
}

impl Port {
    /// Takes a free one; it is given back when this is dropped.
    pub fn free() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket can be made");
        socket.set_reuseaddr(true).expect("an address can be shared");
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port is free");
        let number = socket.local_addr().expect("it has an address").port();
        Self { _kept: socket, number }
    }

    /// Returns its number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Returns the address.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.number)
    }
}
