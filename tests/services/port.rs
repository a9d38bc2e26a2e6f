//! A port that no other process gets.

use std::net::SocketAddr;

use tokio::net::TcpSocket;

/// A port of this machine, reserved by a socket that does not listen. The system gives the port to no other socket and refuses
/// connections until a program listens on it. Programs set the option to share an address without a listener.
#[derive(Debug)]
pub struct Port {
    _kept: TcpSocket,
    number: u16,
}

impl Port {
    /// Reserves a free port. A drop releases it.
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
