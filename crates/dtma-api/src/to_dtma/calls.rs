//! Calls of the MCP data path: HTTP/1.1, each on a connection of its own that the task that waits for the answer
//! drives (`agentopia-http1`): no other task has to be woken for it, as HTTP/2's connections need. Streams, which stay
//! open, share one connection ([`super::data_path`]).
//!
//! What [`super::watched`] says of requests that got nowhere holds here too: a connection whose peer has closed
//! its end is not written to. As a connection has one request at a time, nothing written since the last answer
//! says that the request got nowhere.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use agentopia_http1::{Body, Client, Connect, Error, Settings};
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::watched::has_left;
use crate::http::{CallError, Sent, chain};

const CONNECTIONS: Settings = Settings {
    // A DTMA lets them rest for as long as they like; they take memory on both sides.
    idle: Duration::from_secs(30),
    most_idle: 64,
};

/// See the module's header. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Calls {
    client: Client<Machine>,
    address: SocketAddr,
    host: HeaderValue,
}

impl Calls {
    /// # Errors
    /// Never in practice: an address is a fine header.
    pub(super) fn new(
        mut tls: ClientConfig,
        address: SocketAddr,
        limit: Duration,
    ) -> Result<Self, http::header::InvalidHeaderValue> {
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let machine = Machine {
            tls: Arc::new(tls),
            limit,
        };
        Ok(Self {
            client: Client::new(machine, CONNECTIONS),
            address,
            host: HeaderValue::try_from(address.to_string())?,
        })
    }

    /// Sends a request whose URI is a path.
    pub(super) async fn send(
        &self,
        who: &'static str,
        request: Request<Bytes>,
    ) -> Result<Response<Body<Machine>>, CallError> {
        let mut request = request.map(Full::new);
        request.headers_mut().insert(HOST, self.host.clone());
        let answer = self.client.send(&self.address, request).await;
        answer.map_err(|error| {
            let sent = match &error {
                Error::Connect(_) | Error::NotSent(_) => Sent::No,
                Error::Broken(broken) if is_unwritten(broken) => Sent::No,
                Error::Broken(_) => Sent::Perhaps,
            };
            CallError::Unreachable(who, chain(&error), sent)
        })
    }
}

/// Opens connections to a machine.
#[derive(Debug)]
pub(super) struct Machine {
    tls: Arc<ClientConfig>,
    limit: Duration,
}

impl Connect for Machine {
    type Target = SocketAddr;
    type Io = TlsStream<Careful>;

    async fn connect(&self, address: &SocketAddr) -> io::Result<Self::Io> {
        let opening = async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            // The certificate's name is checked by the configuration, whatever was dialled.
            let name = ServerName::from(address.ip());
            let connector = TlsConnector::from(Arc::clone(&self.tls));
            let mut stream = connector.connect(name, Careful::new(stream)).await?;
            stream.get_mut().0.has_written = false;
            Ok(stream)
        };
        let opened = timeout(self.limit, opening).await;
        opened.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }
}

/// A connection that does not write to a peer that has closed its end.
#[derive(Debug)]
pub(super) struct Careful {
    io: TcpStream,
    /// Since it last read something.
    has_written: bool,
}

/// The peer was gone before anything of the request was written.
#[derive(Debug)]
struct Unwritten;

impl fmt::Display for Unwritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection was closed before the request was written")
    }
}

impl std::error::Error for Unwritten {}

/// Whether an error comes of [`Unwritten`].
fn is_unwritten(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        if inner.is_some_and(|inner| inner.is::<Unwritten>()) {
            return true;
        }
        cause = error.source();
    }
    false
}

impl Careful {
    const fn new(io: TcpStream) -> Self {
        Self {
            io,
            has_written: false,
        }
    }

    fn write(
        &mut self,
        write: impl FnOnce(Pin<&mut TcpStream>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if has_left(self.io.as_fd()) {
            let error = match self.has_written {
                true => io::ErrorKind::BrokenPipe.into(),
                false => io::Error::new(io::ErrorKind::BrokenPipe, Unwritten),
            };
            return Poll::Ready(Err(error));
        }
        let written = write(Pin::new(&mut self.io));
        self.has_written |= matches!(written, Poll::Ready(Ok(1..)));
        written
    }
}

impl AsyncRead for Careful {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.has_written = false;
        }
        read
    }
}

impl AsyncWrite for Careful {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(|io| io.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(|io| io.poll_write_vectored(cx, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (Careful, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connecting = TcpStream::connect(listener.local_addr().unwrap());
        let (connection, accepted) = tokio::join!(connecting, listener.accept());
        (Careful::new(connection.unwrap()), accepted.unwrap().0)
    }

    #[tokio::test]
    async fn a_request_on_a_connection_whose_peer_has_left_got_nowhere() {
        let (mut connection, mut peer) = pair().await;
        connection.write_all(b"request").await.unwrap();
        peer.write_all(b"answer").await.unwrap();
        connection.read_exact(&mut [0; 6]).await.unwrap();
        drop(peer);
        let refused = connection.write_all(b"another").await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::BrokenPipe);
        assert!(is_unwritten(&refused));
    }

    #[tokio::test]
    async fn a_request_that_was_written_in_part_may_have_got_somewhere() {
        let (mut connection, peer) = pair().await;
        connection.write_all(b"one half").await.unwrap();
        drop(peer);
        let refused = connection.write_all(b"and the other").await.unwrap_err();
        assert!(!is_unwritten(&refused));
    }
}
