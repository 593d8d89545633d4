//! An HTTP/1.1 client for the data path: the task that waits for an answer drives the connection that it
//! comes on.
//!
//! hyper's own clients run each connection in a task of its own. For a gateway that is a detour: every
//! request wakes that task and every answer wakes the caller's, often on another processor. Here both are
//! one task, and an answer is passed on in the same poll that read it (docs/benchmarks.md has what that is
//! worth). Parsing and framing are hyper's.
//!
//! * [`Client`] keeps idle connections and sends requests;
//! * [`Connect`] opens connections, [`Tcp`] plain ones;
//! * [`Body`] is an answer's body; when it ends its connection is kept for the next request, when it is
//!   dropped before that the connection is closed, which is how a server learns that nobody listens;
//! * [`Error`] says whether the server may have got the request.

mod body;
mod connect;
mod driver;
mod idle;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};

pub use body::Body;
use body::Drivers;
pub use connect::{Connect, Tcp};
use driver::Driver;
use idle::Idle;

/// What an error of a body may be.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a request's body can be.
pub trait Content:
    http_body::Body<Data: Send, Error: Into<BoxError>> + Send + Unpin + 'static
{
}

impl<B> Content for B where
    B: http_body::Body<Data: Send, Error: Into<BoxError>> + Send + Unpin + 'static
{
}

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
    Connect(#[source] std::io::Error),
    /// Nothing of the request was written: it may be sent again.
    #[error("the connection was closed before the request was sent: {0}")]
    NotSent(#[source] hyper::Error),
    /// It broke off when the server may have had the request already.
    #[error("the connection broke off: {0}")]
    Broken(#[source] hyper::Error),
}

/// Sends requests to many targets. Cheap to clone; clones share connections.
pub struct Client<C: Connect, B: Content> {
    shared: Arc<Shared<C, B>>,
}

impl<C: Connect, B: Content> fmt::Debug for Client<C, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("connect", &self.shared.connect)
            .finish_non_exhaustive()
    }
}

impl<C: Connect, B: Content> Clone for Client<C, B> {
    fn clone(&self) -> Self {
        let shared = Arc::clone(&self.shared);
        Self { shared }
    }
}

struct Shared<C: Connect, B: Content> {
    connect: C,
    idle: Arc<Drivers<C, B>>,
}

impl<C: Connect, B: Content> Client<C, B> {
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
    pub async fn send(
        &self,
        target: &C::Target,
        mut request: Request<B>,
    ) -> Result<Response<Body<C, B>>, Error> {
        let Shared { connect, idle } = &*self.shared;
        while let Some(mut driver) = idle.take(target) {
            if !driver.is_free() {
                continue;
            }
            match driver.send(request).await {
                Ok(response) => return Ok(self.with_body(target, driver, response)),
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(Error::Broken(failed.into_error())),
                },
            }
        }
        let io = connect.connect(target).await.map_err(Error::Connect)?;
        let mut driver = Driver::new(io).await.map_err(Error::NotSent)?;
        match driver.send(request).await {
            Ok(response) => Ok(self.with_body(target, driver, response)),
            Err(mut failed) => Err(match failed.take_message() {
                Some(_) => Error::NotSent(failed.into_error()),
                None => Error::Broken(failed.into_error()),
            }),
        }
    }

    fn with_body(
        &self,
        target: &C::Target,
        driver: Driver<C::Io, B>,
        response: Response<hyper::body::Incoming>,
    ) -> Response<Body<C, B>> {
        let idle = Arc::clone(&self.shared.idle);
        response.map(|incoming| Body::new(incoming, driver, idle, target.clone()))
    }
}
