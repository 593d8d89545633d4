//! How connections come about.

use std::fmt;
use std::hash::Hash;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Opens connections.
pub trait Connect: fmt::Debug + Send + Sync + 'static {
    /// What connections are kept by: those with equal ones can take each other's place.
    type Target: Clone + Eq + Hash + fmt::Debug + Send + Sync + Unpin + 'static;
    /// A connection.
    type Io: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// Opens one.
    ///
    /// # Errors
    /// When that can't be done; it says why, for people.
    fn connect(&self, target: &Self::Target) -> impl Future<Output = io::Result<Self::Io>> + Send;
}

/// Plain TCP, without delay for small packets.
#[derive(Debug, Clone, Copy)]
pub struct Tcp {
    /// How long a connection may take to come about.
    pub limit: Duration,
}

impl Connect for Tcp {
    type Target = SocketAddr;
    type Io = TcpStream;

    async fn connect(&self, target: &SocketAddr) -> io::Result<TcpStream> {
        let connecting = tokio::time::timeout(self.limit, TcpStream::connect(target));
        let stream = connecting
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}
