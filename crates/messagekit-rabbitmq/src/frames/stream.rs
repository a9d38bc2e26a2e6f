//! The stream under the client library: the connection to the broker with its frames checked first.

use std::io::{self, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use async_rs::traits::Reactor;
use async_rs::util::RuntimeParts;
use async_rs::{Runtime, Tokio};
use futures_io::{AsyncRead, AsyncWrite};
use futures_util::Stream;
use lapin::tcp::{AMQPUriTcpExt, OwnedTLSConfig};
use lapin::uri::AMQPUri;
use lapin::{AsyncTcpStream, Connection, ConnectionProperties};

use super::reader::FrameReader;

/// The most bytes that are read at once. With one content header, it limits the bytes that wait here.
const READ: usize = 64 * 1024;

/// Opens a connection whose frames are checked before the client reads them, inside TLS if the address requires it.
///
/// # Errors
/// Fails if the broker is unreachable or refuses the connection.
pub(crate) async fn connect(
    uri: AMQPUri,
    tls: OwnedTLSConfig,
    properties: ConnectionProperties,
) -> lapin::Result<Connection> {
    let tokio = Tokio::current();
    let network = Runtime::new(tokio.clone());
    let runtime = Runtime::new(RuntimeParts::new(tokio.clone(), Network(tokio)));
    let open = async move |uri: AMQPUri, _| {
        let stream = uri.connect_with_config_async(tls.as_ref(), &network).await?;
        Ok(AsyncTcpStream::Plain(FramedStream::new(stream, uri.query.frame_max.unwrap_or_default())))
    };
    Connection::connector(uri, runtime, open, properties).await
}

/// A stream of the client's own type, including TLS.
type Wire = AsyncTcpStream<<Tokio as Reactor>::TcpStream>;

/// A stream that yields only frames that the client can read.
pub(super) struct FramedStream {
    wire: Wire,
    reader: FrameReader,
    /// The bytes that the client may read, and how many of them it has read.
    ready: Vec<u8>,
    taken: usize,
}

impl FramedStream {
    fn new(wire: Wire, frame_max: u32) -> Self {
        Self { wire, reader: FrameReader::new(frame_max), ready: Vec::new(), taken: 0 }
    }
}

impl AsyncRead for FramedStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        loop {
            let waiting = &this.ready[this.taken..];
            if !waiting.is_empty() || buffer.is_empty() {
                let count = waiting.len().min(buffer.len());
                buffer[..count].copy_from_slice(&waiting[..count]);
                this.taken += count;
                return Poll::Ready(Ok(count));
            }
            this.ready.clear();
            this.taken = 0;
            let most = buffer.len().min(READ);
            let count = ready!(Pin::new(&mut this.wire).poll_read(cx, &mut buffer[..most]))?;
            if count == 0 {
                return Poll::Ready(Ok(0));
            }
            this.reader.push(&buffer[..count], &mut this.ready);
        }
    }
}

impl AsyncWrite for FramedStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().wire).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().wire).poll_write_vectored(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().wire).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().wire).poll_close(cx)
    }
}

/// Tokio's reactor with [`FramedStream`] as its stream type: the client accepts another stream type only this way.
#[derive(Clone, Debug)]
struct Network(Tokio);

impl Reactor for Network {
    type TcpStream = FramedStream;
    type Sleep = <Tokio as Reactor>::Sleep;

    /// Other streams that the client opens contain no frames.
    fn register<H: Read + Write + Send + 'static>(
        &self,
        _socket: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        Err::<FramedStream, _>(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.0.sleep(duration)
    }

    fn interval(&self, duration: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(duration)
    }

    fn tcp_connect_addr(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        let connecting = self.0.tcp_connect_addr(address);
        async move { Ok(FramedStream::new(AsyncTcpStream::Plain(connecting.await?), 0)) }
    }
}
