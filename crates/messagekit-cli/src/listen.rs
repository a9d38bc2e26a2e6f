//! The listening address of a program.

use std::net::SocketAddr;

use messagekit::{Error, ErrorKind};
use tokio::net::TcpListener;

pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|error| {
        let text = "cannot listen: is another program there, or the address not of this machine?";
        Error::new(ErrorKind::Unavailable, text).with("address", address).caused_by(error)
    })
}

/// Returns the address with the actual port.
pub(crate) fn address(listener: &TcpListener) -> Result<SocketAddr, Error> {
    listener
        .local_addr()
        .map_err(|error| Error::new(ErrorKind::Unavailable, "the address cannot be read").caused_by(error))
}
