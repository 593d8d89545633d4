//! One connection, and the poll that moves it.

use std::fmt;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Connection, SendRequest, handshake};

use crate::Content;

/// A connection. It moves when it is polled, and at no other time.
pub(crate) struct Driver<I, B>
where
    I: hyper::rt::Read + hyper::rt::Write + 'static,
    B: Content,
{
    sender: SendRequest<B>,
    /// Boxed once, and handed on with its answers.
    connection: Pin<Box<Connection<I, B>>>,
}

impl<I, B> fmt::Debug for Driver<I, B>
where
    I: hyper::rt::Read + hyper::rt::Write + 'static,
    B: Content,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

impl<I, B> Driver<I, B>
where
    I: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
    B: Content,
{
    pub(crate) async fn new(io: I) -> hyper::Result<Self> {
        let (sender, connection) = handshake(io).await?;
        Ok(Self {
            sender,
            connection: Box::pin(connection),
        })
    }

    /// Sends a request and waits for the head of its answer. What is on its way back to us inside of
    /// hyper needs no waker: the connection, which puts it there, is polled just before.
    pub(crate) async fn send(
        &mut self,
        request: Request<B>,
    ) -> Result<Response<Incoming>, TrySendError<Request<B>>> {
        let Self { sender, connection } = self;
        let mut answer = pin!(sender.try_send_request(request));
        std::future::poll_fn(|cx| {
            // Also where it ended: then that is the answer.
            let _moved = connection.as_mut().poll(cx);
            answer
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
        })
        .await
    }

    /// Moves it on. Ready when it has ended.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.connection.as_mut().poll(cx)
    }

    /// Whether it can take a request: the server has not closed it, and the last answer is all read.
    pub(crate) fn is_free(&mut self) -> bool {
        let moved = self.poll(&mut Context::from_waker(Waker::noop()));
        moved.is_pending() && self.sender.is_ready()
    }
}
