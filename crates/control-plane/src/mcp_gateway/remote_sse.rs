//! Remote servers that speak HTTP+SSE (2024-11-05): `agentopia-bridge` makes Streamable HTTP of them, so
//! that connector and typed calls know one way of talking.
//!
//! Everything goes through [`RemoteServers::exchange`]: the guard of addresses, and the credentials, with
//! the stream and with every message. Sessions are held here, as gateway and control plane are one
//! process; they end with the start of the instance that they belong to.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use agentopia_bridge::sse::{
    Hub, HubConfig, OpenError, Opener, Server, ServerBody, ServerError, StreamLimits, open,
};
use agentopia_bridge::{Mode, PipeConfig};
use agentopia_domain::{Ambient, InstanceId};
use agentopia_gateway::{BodyError, ConnectError, UpstreamBody};
use agentopia_remote::RemoteUrl;
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use url::Url;

use super::remote::{RemoteServers, Seen};

/// Sessions have the limits of those on machines, but more of them: they are no processes of ours.
const MOST_SESSIONS: usize = 256;
const IDLE: Duration = Duration::from_mins(15);
const EVICT_AFTER: Duration = Duration::from_secs(30);
/// How long a server may take to take a message, and a client to read what it asked for.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn hub() -> Arc<Hub> {
    let config = HubConfig {
        idle: IDLE,
        most_sessions: MOST_SESSIONS,
        evict_after: EVICT_AFTER,
        input_patience: PATIENCE,
        client_patience: PATIENCE,
        stream: StreamLimits::default(),
    };
    Hub::new(config, Ambient::system())
}

/// One server, with the credentials of its instance.
struct FarServer {
    /// Weak: sessions are kept by what it leads to.
    servers: Weak<RemoteServers>,
    seen: Seen,
    stream: RemoteUrl,
}

impl fmt::Debug for FarServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FarServer")
            .field("instance", &self.seen.instance)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Server for FarServer {
    fn endpoint(&self, reference: &str) -> Option<Url> {
        Some(self.stream.join(reference)?.as_url().clone())
    }

    async fn send(
        &self,
        endpoint: Option<&Url>,
        request: Request<Bytes>,
    ) -> Result<Response<ServerBody>, ServerError> {
        let unreachable = |reason: &str| ServerError::Unreachable(reason.to_owned());
        let servers = self.servers.upgrade();
        let servers = servers.ok_or_else(|| unreachable("we are shutting down"))?;
        let joined = match endpoint {
            Some(url) => self.stream.join(url.as_str()),
            None => Some(self.stream.clone()),
        };
        let url = joined.ok_or_else(|| unreachable("its endpoint is elsewhere"))?;
        let sending = async {
            // Asked for each time: credentials change, and an instance that was stopped has none.
            let access = servers.access(&self.seen).await?;
            servers
                .exchange(self.seen.instance, &access, &url, request)
                .await
        };
        sending.await.map_err(|error| match error {
            ConnectError::Unreachable(reason) => ServerError::Unreachable(reason),
            ConnectError::Refused(reason) => ServerError::Refused(reason),
            ConnectError::Broken(reason) => ServerError::Broken(reason),
        })
    }
}

impl RemoteServers {
    /// The answer to a request of a session that is held here; `None` for every other request.
    pub(super) async fn in_sse_session(
        &self,
        seen: &Seen,
        request: &Request<Bytes>,
    ) -> Option<Response<UpstreamBody>> {
        let (method, headers, body) = (request.method(), request.headers(), request.body());
        let start = seen.start();
        let asking = self
            .sse
            .in_session(seen.instance, &start, method, headers, body);
        asking.await.map(bodied)
    }

    /// Any other request for a server that has its event stream at `stream`.
    pub(super) async fn bridge(
        self: &Arc<Self>,
        seen: Seen,
        stream: &RemoteUrl,
        request: Request<Bytes>,
    ) -> Result<Response<UpstreamBody>, ConnectError> {
        let opener = Opener {
            instance: seen.instance,
            epoch: seen.start().into_owned(),
            server: self.far(seen, stream.clone()),
        };
        let (head, body) = request.into_parts();
        let answer = self
            .sse
            .outside(opener, &head.method, &head.headers, body)
            .await;
        answer.map(bodied).map_err(not_opened)
    }

    /// Whether the server opens its stream and names an endpoint; if not, why, for its owner.
    pub(super) async fn look_at_stream(
        self: &Arc<Self>,
        seen: Seen,
        stream: RemoteUrl,
    ) -> Result<(), String> {
        let config = PipeConfig {
            instance: seen.instance,
            mode: Mode::Exclusive,
            input_patience: PATIENCE,
            client_patience: PATIENCE,
        };
        let server = self.far(seen, stream);
        // Nothing is sent on it, and it is closed at once.
        let opened = open(server, config, StreamLimits::default(), None).await;
        opened.map(drop).map_err(|error| error.to_string())
    }

    /// Ends the sessions of an instance that was stopped.
    pub fn forget_sessions(&self, instance: InstanceId) {
        self.sse.forget(instance);
    }

    fn far(self: &Arc<Self>, seen: Seen, stream: RemoteUrl) -> Arc<FarServer> {
        Arc::new(FarServer {
            servers: Arc::downgrade(self),
            seen,
            stream,
        })
    }
}

/// Nothing was carried out in any case.
fn not_opened(error: OpenError) -> ConnectError {
    match error {
        OpenError::Server(ServerError::Unreachable(reason) | ServerError::Broken(reason)) => {
            ConnectError::Unreachable(reason)
        }
        OpenError::Server(ServerError::Refused(reason)) => ConnectError::Refused(reason),
        OpenError::Status(status) if status.is_server_error() => {
            ConnectError::Unreachable(error.to_string())
        }
        OpenError::Silent(_) => ConnectError::Unreachable(error.to_string()),
        OpenError::Status(_)
        | OpenError::NoStream
        | OpenError::NoEndpoint(_)
        | OpenError::Foreign(_)
        | OpenError::TooMany(_) => ConnectError::Refused(error.to_string()),
    }
}

fn bodied(answer: axum::response::Response) -> Response<UpstreamBody> {
    answer.map(|body| {
        body.map_err(|error| Box::new(error) as BodyError)
            .boxed_unsync()
    })
}
