//! The client's side: connections to many targets, kept while they are idle.
//!
//! The task that waits for an answer moves the connection that it comes on (`connection`); [`Body`] is an
//! answer's body, `outgoing` a request on its way, `idle` those that wait for the next request, `connect` how they come about.

mod body;
mod connect;
mod connection;
mod idle;
mod outgoing;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};

use crate::BoxError;
pub use body::Body;
use body::Connections;
pub use connect::{Connect, Tcp};
use connection::{Connection, Failed};
use idle::Idle;
use outgoing::Outgoing;

/// What a request's body can be.
pub trait Content: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin {}

impl<B> Content for B where B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin {}

/// How connections are kept.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// So long one may be idle. Less than what servers allow: they close theirs without a word.
    pub idle: Duration,
    /// So many may be idle for one target.
    pub most_idle: usize,
}

/// A request that got no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no connection to be had.
    #[error("can not connect: {0}")]
    Connect(#[source] io::Error),
    /// Nothing of the request was written: it may be sent again.
    #[error("the connection was closed before the request was sent: {0}")]
    NotSent(#[source] io::Error),
    /// It broke off when the server may have had the request already.
    #[error("the connection broke off: {0}")]
    Broken(#[source] io::Error),
}

/// Sends requests to many targets. Cheap to clone; clones share connections.
pub struct Client<C: Connect> {
    shared: Arc<Shared<C>>,
}

impl<C: Connect> fmt::Debug for Client<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("connect", &self.shared.connect)
            .finish_non_exhaustive()
    }
}

impl<C: Connect> Clone for Client<C> {
    fn clone(&self) -> Self {
        let shared = Arc::clone(&self.shared);
        Self { shared }
    }
}

struct Shared<C: Connect> {
    connect: C,
    idle: Arc<Connections<C>>,
}

impl<C: Connect> Client<C> {
    /// A client without connections.
    #[must_use]
    pub fn new(connect: C, settings: Settings) -> Self {
        let idle = Arc::new(Idle::new(settings));
        let shared = Arc::new(Shared { connect, idle });
        Self { shared }
    }

    /// Sends a request, whose URI is a path and which has a `Host`, and waits for the head of its answer.
    /// Where an idle connection proves to be closed before anything was written, another one is taken.
    ///
    /// # Errors
    /// When there is no answer; see [`Error`].
    pub async fn send<B: Content>(
        &self,
        target: &C::Target,
        request: Request<B>,
    ) -> Result<Response<Body<C>>, Error> {
        let Shared { connect, idle } = &*self.shared;
        let (head, body) = request.into_parts();
        let mut request = Outgoing::new(head, body);
        while let Some(mut connection) = idle.take(target) {
            if !connection.is_free() {
                continue;
            }
            match connection.send(&mut request).await {
                Ok(answer) => return Ok(self.with_body(target, connection, answer)),
                Err(Failed::Before(_)) => {}
                Err(Failed::After(error)) => return Err(Error::Broken(error)),
            }
        }
        let io = connect.connect(target).await.map_err(Error::Connect)?;
        let mut connection = Connection::new(io);
        match connection.send(&mut request).await {
            Ok(answer) => Ok(self.with_body(target, connection, answer)),
            Err(Failed::Before(error)) => Err(Error::NotSent(error)),
            Err(Failed::After(error)) => Err(Error::Broken(error)),
        }
    }

    fn with_body(
        &self,
        target: &C::Target,
        connection: Connection<C::Io>,
        answer: connection::Answer,
    ) -> Response<Body<C>> {
        let idle = Arc::clone(&self.shared.idle);
        let body = Body::new(&answer, connection, idle, target);
        let mut response = Response::new(body);
        *response.status_mut() = answer.head.status;
        *response.version_mut() = answer.head.version;
        *response.headers_mut() = answer.head.headers;
        response
    }
}
