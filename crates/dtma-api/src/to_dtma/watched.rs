//! Connections that know when they last wrote something, and that never write to a peer that has
//! closed its end.
//!
//! A request that is made on a pooled connection whose peer was just killed gets no answer, and as a
//! rule nobody can say whether it was carried out. Most of the time it can be said after all: the
//! kernel knew of the closed end before the request was written, and nothing was written on the
//! connection since the request was made. Such a request did not get anywhere and may be made again.
//!
//! "Since" is by a logical clock ([`Ticks`]): requests and writes take numbers from one counter.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::net::TcpStream;

/// A logical clock.
#[derive(Debug, Clone, Default)]
pub(super) struct Ticks(Arc<AtomicU64>);

impl Ticks {
    /// A number greater than every one before.
    pub(super) fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }
}

/// When a connection last wrote something; found in what hyper tells of a connection.
#[derive(Debug, Clone, Default)]
pub(super) struct LastWrite(Arc<AtomicU64>);

impl LastWrite {
    /// Whether something was written after `tick`.
    pub(super) fn is_after(&self, tick: u64) -> bool {
        self.0.load(Ordering::SeqCst) > tick
    }
}

/// Makes such connections.
#[derive(Debug, Clone)]
pub(super) struct WatchedConnector {
    pub(super) http: HttpConnector,
    pub(super) ticks: Ticks,
}

impl tower_service::Service<Uri> for WatchedConnector {
    type Response = Watched;
    type Error = <HttpConnector as tower_service::Service<Uri>>::Error;
    type Future = BoxFuture<'static, Result<Watched, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.http.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let ticks = self.ticks.clone();
        let connecting = self.http.call(uri);
        async move {
            Ok(Watched {
                io: connecting.await?,
                ticks,
                last_write: LastWrite::default(),
            })
        }
        .boxed()
    }
}

/// See the module's header.
#[derive(Debug)]
pub(super) struct Watched {
    io: TokioIo<TcpStream>,
    ticks: Ticks,
    last_write: LastWrite,
}

impl Watched {
    /// Writes, unless the peer is known to be gone.
    fn write(
        &mut self,
        write: impl FnOnce(Pin<&mut TokioIo<TcpStream>>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if has_left(self.io.inner().as_fd()) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let written = write(Pin::new(&mut self.io));
        if matches!(written, Poll::Ready(Ok(_))) {
            self.last_write.0.store(self.ticks.next(), Ordering::SeqCst);
        }
        written
    }
}

/// Whether the peer closed its end, whatever is still to be read from it: HTTP has no use for a
/// connection that is closed on one side.
pub(super) fn has_left(socket: BorrowedFd<'_>) -> bool {
    let mut asked = [PollFd::new(&socket, PollFlags::RDHUP)];
    let left = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
    let at_once = Timespec::default();
    poll(&mut asked, Some(&at_once)).is_ok() && asked[0].revents().intersects(left)
}

impl Connection for Watched {
    fn connected(&self) -> Connected {
        self.io.connected().extra(self.last_write.clone())
    }
}

impl Read for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl Write for Watched {
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
    use std::future::poll_fn;

    use tokio::net::TcpListener;
    use tower_service::Service as _;

    use super::*;

    #[tokio::test]
    async fn nothing_is_written_to_a_peer_that_has_left() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ticks = Ticks::default();
        let mut connector = WatchedConnector {
            http: HttpConnector::new(),
            ticks: ticks.clone(),
        };
        let uri = format!("http://{}", listener.local_addr().unwrap());
        let connecting = connector.call(uri.parse().unwrap());
        let (connection, accepted) = tokio::join!(connecting, listener.accept());
        let (mut connection, (peer, _)) = (connection.unwrap(), accepted.unwrap());
        let mut extras = http::Extensions::new();
        connection.connected().get_extras(&mut extras);
        let last_write = extras.get::<LastWrite>().unwrap();

        let first = ticks.next();
        assert!(!last_write.is_after(first), "nothing was written yet");
        let write = |cx: &mut Context<'_>, connection: &mut Watched| {
            Pin::new(connection).poll_write(cx, b"request")
        };
        let written = poll_fn(|cx| write(cx, &mut connection)).await;
        assert_eq!(written.unwrap(), 7);
        assert!(last_write.is_after(first));

        drop(peer);
        let second = ticks.next();
        let refused = poll_fn(|cx| write(cx, &mut connection)).await;
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert!(!last_write.is_after(second));
    }
}
