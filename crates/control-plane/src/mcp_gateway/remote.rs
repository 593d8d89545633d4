//! Servers that run elsewhere: requests to their addresses, with the credentials that their owners gave
//! for these very addresses.
//!
//! `agentopia-remote` keeps requests out of networks that the operator did not allow. What a server is
//! shown is taken from the vault when it is first needed ([`access`]) and forgotten after a minute, or at once
//! when anything of the instance changes: a secret's new value starts its instances afresh, which gives
//! them another epoch. Servers that speak HTTP+SSE are behind [`super::remote_sse`]. Callers' own credentials are never here; the gateway passes none on.

mod access;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use agentopia_bridge::sse::Hub;
use agentopia_domain::instance::Instance;
use agentopia_domain::remote::RemoteTransport;
use agentopia_domain::{Ambient, InstanceId};
use agentopia_dtma_api::to_dtma::OwnCredentials;
use agentopia_gateway::{BodyError, ConnectError, UpstreamBody};
use agentopia_remote::{RemoteClient, RemoteUrl};
use agentopia_store::Store;
use agentopia_vault::Vault;
use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use secrecy::ExposeSecret as _;
use tokio::time::Instant;
use url::Url;

use super::connector::own_credentials;
use super::remote_login::{self, Way};
use super::remote_sse;
use crate::reconcilers::routes::epoch;
use crate::upstream_login::challenge::Challenge;
use crate::upstream_login::tokens::UpstreamTokens;

pub(super) use access::Access;

/// How long a look at a server may take.
const LOOK_LIMIT: Duration = Duration::from_secs(10);
/// Asked of a server to see whether it is there: it does nothing, and what a server of another era
/// answers is an answer too.
const LOOK: &str = r#"{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"agentopia","version":"1"}}}}"#;

/// See the module's header.
#[derive(Debug)]
pub struct RemoteServers {
    store: Store,
    vault: Arc<dyn Vault>,
    client: RemoteClient,
    logins: UpstreamTokens,
    kept: Mutex<HashMap<Seen, Kept>>,
    /// Sessions with those that speak HTTP+SSE.
    pub(super) sse: Arc<Hub>,
}

/// What a server is to see: the credentials of an instance at one of its starts, or those that a link
/// carries in their place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Seen {
    pub(super) instance: InstanceId,
    pub(super) epoch: String,
    pub(super) own: Option<OwnCredentials>,
}

impl Seen {
    /// What sessions are bound to: other credentials are another start.
    pub(super) fn start(&self) -> Cow<'_, str> {
        match &self.own {
            None => Cow::Borrowed(&self.epoch),
            Some(own) => Cow::Owned(format!("{} {} {}", self.epoch, own.link, own.revision)),
        }
    }
}

#[derive(Debug)]
struct Kept {
    at: Instant,
    access: Arc<Access>,
}

impl RemoteServers {
    /// Nothing is read or sent yet.
    #[must_use]
    pub fn new(
        store: Store,
        vault: Arc<dyn Vault>,
        client: RemoteClient,
        ambient: Ambient,
    ) -> Self {
        let (of, by) = (store.clone(), Arc::clone(&vault));
        Self {
            logins: UpstreamTokens::new(of, by, client.clone(), ambient),
            store,
            vault,
            client,
            kept: Mutex::default(),
            sse: remote_sse::hub(),
        }
    }

    /// Sends `request` to the server of an instance, which is at `url`; returns with the head of its
    /// answer.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn send(
        self: &Arc<Self>,
        id: InstanceId,
        epoch: &str,
        url: &Url,
        mut request: Request<Bytes>,
    ) -> Result<Response<UpstreamBody>, ConnectError> {
        let seen = Seen {
            instance: id,
            epoch: epoch.to_owned(),
            own: own_credentials(request.headers_mut())?,
        };
        if let Some(answer) = self.in_sse_session(&seen, &request).await {
            return Ok(answer);
        }
        let access = self.access(&seen).await?;
        if access.url.as_url() != url {
            return Err(ConnectError::Unreachable("its address changed".to_owned()));
        }
        match access.transport {
            RemoteTransport::StreamableHttp => {
                self.exchange(id, &access, &access.url, request).await
            }
            RemoteTransport::Sse => self.bridge(seen, &access.url, request).await,
        }
    }

    /// One request to `url`, with the credentials for its server, and the head of the answer.
    pub(super) async fn exchange(
        &self,
        id: InstanceId,
        access: &Access,
        url: &RemoteUrl,
        mut request: Request<Bytes>,
    ) -> Result<Response<UpstreamBody>, ConnectError> {
        let headers = request.headers_mut();
        // Between us and DTMAs only.
        headers.remove(agentopia_gateway::SESSION_KEY_HEADER);
        headers.remove(AUTHORIZATION);
        headers.remove(COOKIE);
        for (name, value) in &access.headers {
            let Ok(mut value) = HeaderValue::from_str(value.expose_secret()) else {
                return Err(ConnectError::Refused(format!(
                    "the value of {name} can't be sent: its secret has a line break or a character \
                     that headers can't hold"
                )));
            };
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let whose = access.whose(id);
        let way = Way {
            client: &self.client,
            url,
        };
        let answer = if access.logged_in {
            remote_login::send(&self.logins, whose, request, way).await?
        } else {
            way.send(request).await?
        };
        let shows = access.headers.iter().any(|(name, _)| name == AUTHORIZATION);
        let challenge = match answer.status() {
            StatusCode::UNAUTHORIZED if !shows => {
                Some(Challenge::of(answer.headers()).unwrap_or_default())
            }
            _ => None,
        };
        if let Some(challenge) = challenge
            && let Some(error) = remote_login::wanted(&self.logins, whose, &challenge, way).await
        {
            return Err(error);
        }
        if let Some(reason) = access.refused(answer.status()) {
            return Err(ConnectError::Refused(reason));
        }
        Ok(answer.map(|body| {
            body.map_err(|error| Box::new(error) as BodyError)
                .boxed_unsync()
        }))
    }

    /// Whether the server of an instance is there and lets us in; if not, why, for its owner.
    ///
    /// # Errors
    /// The reason.
    pub async fn look(self: &Arc<Self>, instance: &Instance) -> Result<(), String> {
        let Some(remote) = &instance.remote else {
            return Ok(());
        };
        let url =
            RemoteUrl::new(remote.url.clone()).map_err(|error| format!("its address {error}"))?;
        // The whole reason, which agents are not told.
        self.client
            .check(&url)
            .await
            .map_err(|error| error.to_string())?;
        let epoch = epoch(instance);
        if remote.transport == RemoteTransport::Sse {
            let seen = Seen {
                instance: instance.id,
                epoch,
                own: None,
            };
            return self.look_at_stream(seen, url).await;
        }
        let request = look().map_err(|error| error.to_string())?;
        let sending = self.send(instance.id, &epoch, &remote.url, request);
        let answer = match tokio::time::timeout(LOOK_LIMIT, sending).await {
            Ok(answer) => answer.map_err(|error| error.to_string())?,
            Err(_) => return Err(format!("no answer within {} s", LOOK_LIMIT.as_secs())),
        };
        match answer.status() {
            StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Err(format!(
                "the server answered with HTTP status {}",
                answer.status()
            )),
            _ => Ok(()),
        }
    }
}

/// The request that does nothing on a server.
pub(crate) fn look() -> Result<Request<Bytes>, http::Error> {
    Request::post("/")
        .header("accept", "application/json, text/event-stream")
        .header("content-type", "application/json")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "server/discover")
        .body(Bytes::from_static(LOOK.as_bytes()))
}
