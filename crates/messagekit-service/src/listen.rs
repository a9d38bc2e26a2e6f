//! The port of a service.

use std::net::SocketAddr;

use messagekit::{Error, ErrorKind};
use tokio::net::TcpListener;

/// Listens, and returns the actual address too: port 0 takes any free port. `setting` names what sets the address.
pub(crate) async fn listen(address: SocketAddr, setting: &str) -> Result<(TcpListener, SocketAddr), Error> {
    let refused = |error: std::io::Error| {
        let text = format!("cannot listen: end what has this address, or set another in {setting}");
        Error::new(ErrorKind::Unavailable, text).with("address", address).caused_by(error)
    };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let actual = listener.local_addr().map_err(refused)?;
    Ok((listener, actual))
}
