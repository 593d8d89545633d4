//! Requests to addresses that people entered.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use agentopia_http1::{Body, Client, Error, Settings};
use bytes::{Bytes, BytesMut};
use http::header::HOST;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use tokio::sync::OnceCell;

use crate::connect::{Guarded, Origin};
use crate::error::{Refusal, RemoteError, chain};
use crate::policy::RemotePolicy;
use crate::resolve::{Resolve, SystemResolver};
use crate::url::RemoteUrl;

/// Shorter than the 5 seconds after which many servers close a silent connection.
const SETTINGS: Settings = Settings {
    idle: Duration::from_secs(4),
    most_idle: 8,
};
/// What the client calls itself.
const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("agentopia/", env!("CARGO_PKG_VERSION")));

/// An answer's body, as it streams in. Dropping it closes the connection, unless it was read.
pub type RemoteBody = UnsyncBoxBody<Bytes, io::Error>;

/// See the crate's header. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct RemoteClient {
    http: Client<Connector>,
    guarded: Arc<Guarded>,
}

impl fmt::Debug for RemoteClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteClient")
            .field("policy", &self.guarded.policy)
            .finish_non_exhaustive()
    }
}

/// The guard, shared by the connections and by [`RemoteClient::check`].
#[derive(Debug)]
struct Connector(Arc<Guarded>);

impl agentopia_http1::Connect for Connector {
    type Target = Origin;
    type Io = <Guarded as agentopia_http1::Connect>::Io;

    async fn connect(&self, origin: &Origin) -> io::Result<Self::Io> {
        self.0.connect(origin).await
    }
}

impl RemoteClient {
    /// A client that keeps to `policy`. Nothing is read or sent yet.
    #[must_use]
    pub fn new(policy: RemotePolicy) -> Self {
        Self::with_resolver(policy, Arc::new(SystemResolver))
    }

    /// The same with names looked up elsewhere.
    #[must_use]
    pub fn with_resolver(policy: RemotePolicy, resolver: Arc<dyn Resolve>) -> Self {
        let guarded = Arc::new(Guarded {
            policy,
            resolver,
            tls: OnceCell::new(),
        });
        Self {
            http: Client::new(Connector(Arc::clone(&guarded)), SETTINGS),
            guarded,
        }
    }

    /// Whether `url` may be called as things stand. For early answers only: it is asked again for
    /// each connection.
    ///
    /// # Errors
    /// [`RemoteError::Refused`]; [`RemoteError::Unreachable`] where its name has no address.
    pub async fn check(&self, url: &RemoteUrl) -> Result<(), RemoteError> {
        let origin = url.origin();
        let judged = tokio::time::timeout(Duration::from_secs(5), self.guarded.judged(&origin));
        match judged.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(not_connected(&origin, &error)),
            Err(_) => Err(RemoteError::Unreachable(format!(
                "the name {} could not be looked up in time",
                origin.host()
            ))),
        }
    }

    /// Sends `request` to `url` and returns once the head of the answer is there; the body streams.
    /// Every status is an `Ok`, redirects too: they are not followed. The request's own URI and
    /// `Host` don't count. Connecting has a limit, waiting for the answer has none: callers know.
    ///
    /// # Errors
    /// See [`RemoteError`].
    pub async fn send(
        &self,
        url: &RemoteUrl,
        mut request: Request<Bytes>,
    ) -> Result<Response<RemoteBody>, RemoteError> {
        let origin = url.origin();
        let bad = |_| RemoteError::Unreachable(format!("{} can't be sent to", origin.host()));
        *request.uri_mut() = url.path_and_query().parse().map_err(|_| bad(()))?;
        let host = HeaderValue::from_str(url.authority()).map_err(|_| bad(()))?;
        request.headers_mut().insert(HOST, host);
        request
            .headers_mut()
            .entry(http::header::USER_AGENT)
            .or_insert(USER_AGENT);
        let sending = self.http.send(&origin, request.map(Full::new));
        match sending.await {
            Ok(answer) => Ok(answer.map(|body: Body<_>| body.boxed_unsync())),
            Err(Error::Connect(error)) => Err(not_connected(&origin, &error)),
            Err(error @ Error::NotSent(_)) => Err(RemoteError::Unreachable(chain(&error))),
            Err(Error::Broken(error)) => Err(RemoteError::Broken {
                host: origin.host(),
                reason: chain(&error),
            }),
        }
    }

    /// Gets a document of at most `limit` bytes, all of it within `deadline`. The answer's status is
    /// 200.
    ///
    /// # Errors
    /// See [`RemoteError`].
    pub async fn get_bytes(
        &self,
        url: &RemoteUrl,
        limit: usize,
        deadline: Duration,
    ) -> Result<Response<Bytes>, RemoteError> {
        let whole = async {
            let answer = self.send(url, Request::new(Bytes::new())).await?;
            if answer.status() != StatusCode::OK {
                return Err(RemoteError::Status(answer.status()));
            }
            let (head, body) = answer.into_parts();
            let body = read(body, limit, url).await?;
            Ok(Response::from_parts(head, body))
        };
        tokio::time::timeout(deadline, whole)
            .await
            .map_err(|_| RemoteError::TimedOut)?
    }

    /// Sends a request whose answer has at most `limit` bytes, all of it within `deadline`. Every
    /// status is an `Ok`.
    ///
    /// # Errors
    /// See [`RemoteError`].
    pub async fn exchange(
        &self,
        url: &RemoteUrl,
        request: Request<Bytes>,
        limit: usize,
        deadline: Duration,
    ) -> Result<Response<Bytes>, RemoteError> {
        let whole = async {
            let (head, body) = self.send(url, request).await?.into_parts();
            let body = read(body, limit, url).await?;
            Ok(Response::from_parts(head, body))
        };
        tokio::time::timeout(deadline, whole)
            .await
            .map_err(|_| RemoteError::TimedOut)?
    }
}

async fn read(mut body: RemoteBody, limit: usize, url: &RemoteUrl) -> Result<Bytes, RemoteError> {
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| RemoteError::Broken {
            host: url.origin().host(),
            reason: chain(&error),
        })?;
        if let Ok(data) = frame.into_data() {
            if read.len() + data.len() > limit {
                return Err(RemoteError::TooLarge(limit));
            }
            read.extend_from_slice(&data);
        }
    }
    Ok(read.freeze())
}

/// A refusal comes back out of the error that it was wrapped into.
fn not_connected(origin: &Origin, error: &io::Error) -> RemoteError {
    let inner = error.get_ref();
    match inner.and_then(|inner| inner.downcast_ref::<Refusal>()) {
        Some(refusal) => RemoteError::Refused(refusal.clone()),
        None => RemoteError::Unreachable(format!(
            "{} can't be reached: {}",
            origin.host(),
            chain(error)
        )),
    }
}
