//! A request on its way: its id on this hop, its progress token, and what happens when nobody
//! waits for it any more.
//!
//! Dropping an [`OpenCall`] that is not finished tells the server to stop (rule 15): the client
//! went away, cancelled, or a deadline passed. A modern server sees its response stream close, a
//! session-era one gets `notifications/cancelled`.

use std::sync::Arc;
use std::time::Duration;

use agentopia_mcp::{Envelope, Era, Field, Id, Json, Kind, RpcError, Splice, jsonrpc};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tokio_util::sync::CancellationToken;

use super::exchange::{self, Reply, modern_headers};
use super::inbound::{self, Inbound, Place};
use super::reader::read_all;
use super::{Live, Upstream, UpstreamError};
use crate::clients::Client;
use crate::core::Core;
use crate::relay::SESSIONS;
use crate::routes::InstanceRoute;
use crate::sleepers::uses::Using;

/// A request that was or is about to be sent.
pub(crate) struct OpenCall {
    pub(crate) core: Arc<Core>,
    pub(crate) client: Arc<Client>,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) live: Arc<Live>,
    /// Our id of it, also its progress token on this hop.
    pub(crate) number: u64,
    client_id: Option<Id>,
    /// Keeps the server awake.
    _using: Using,
    /// Set off by the client's notifications/cancelled.
    pub(crate) cancelled: CancellationToken,
    finished: bool,
}

impl OpenCall {
    /// Registers a request: `client_id` so that it can be cancelled, `progress` so that progress
    /// finds back.
    pub(crate) fn begin(
        core: &Arc<Core>,
        client: &Arc<Client>,
        upstream: &Arc<Upstream>,
        live: &Arc<Live>,
        client_id: Option<Id>,
        progress: Option<Id>,
    ) -> Self {
        let number = upstream.next_id();
        if let Some(token) = progress {
            upstream.progress.lock().insert(number, token);
        }
        let cancelled = client.ended.child_token();
        if let Some(id) = &client_id
            && client.hello.era == Era::Session
        {
            let known = (number, cancelled.clone());
            client.calls.lock().insert(id.clone(), known);
        }
        live.count_call(true);
        Self {
            core: core.clone(),
            client: client.clone(),
            upstream: upstream.clone(),
            live: live.clone(),
            number,
            client_id,
            _using: core.uses.begin(live.route.id),
            cancelled,
            finished: false,
        }
    }

    /// Progress goes by another token of the client from now on, or nowhere.
    pub(crate) fn report_progress_to(&self, token: Option<Id>) {
        let mut progress = self.upstream.progress.lock();
        match token {
            Some(token) => drop(progress.insert(self.number, token)),
            None => drop(progress.remove(&self.number)),
        }
    }

    /// The server answered, or never got it: there is nothing to cancel.
    pub(crate) const fn finish(&mut self) {
        self.finished = true;
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.live.count_call(false);
        self.upstream.progress.lock().remove(&self.number);
        if let Some(id) = &self.client_id
            && self.client.hello.era == Era::Session
        {
            let mut calls = self.client.calls.lock();
            if calls
                .get(id)
                .is_some_and(|(number, _)| *number == self.number)
            {
                calls.remove(id);
            }
        }
        if self.finished || self.live.era == Era::Modern || self.live.is_lost() {
            return;
        }
        let note = jsonrpc::cancelled(&Id::from(self.number), "the client no longer waits");
        tell(&self.core, &self.client, &self.live, note.into());
    }
}

/// How long a server may take to accept a notification or an answer.
const TELL_PATIENCE: Duration = Duration::from_secs(30);

/// Sends a notification or an answer to a server, without waiting.
pub(crate) fn tell(core: &Arc<Core>, client: &Arc<Client>, live: &Arc<Live>, message: Bytes) {
    let (core_of_task, client, live) = (core.clone(), client.clone(), live.clone());
    core.farewells.spawn(async move {
        let sending = exchange::post(&core_of_task, &client, &live, message, HeaderMap::new());
        let sent = tokio::time::timeout(TELL_PATIENCE, sending).await;
        if let Err(error) = sent.unwrap_or(Err(UpstreamError::Timeout)) {
            tracing::debug!(instance = %live.route.id, %error, "a message did not reach the server");
        }
    });
}

/// Makes a request of ours and waits for its result; notifications that come before it are dealt
/// with. Opens the session anew and asks again if the server lost it (rule 17).
pub(crate) async fn ask(
    core: &Arc<Core>,
    client: &Arc<Client>,
    upstream: &Arc<Upstream>,
    route: &Arc<InstanceRoute>,
    method: &str,
    params: Option<&Json<'_>>,
) -> Result<Envelope, UpstreamError> {
    let mut sessions = SESSIONS;
    loop {
        sessions -= 1;
        let asking = async {
            let route = core.routes.now(route);
            let live = upstream.live(core, client, &route).await?;
            ask_on(core, client, upstream, &live, method, params).await
        };
        match asking.await {
            Err(UpstreamError::SessionLost) if sessions > 0 => {}
            outcome => return outcome,
        }
    }
}

/// The same on a connection that is open.
pub(crate) async fn ask_on(
    core: &Arc<Core>,
    client: &Arc<Client>,
    upstream: &Arc<Upstream>,
    live: &Arc<Live>,
    method: &str,
    params: Option<&Json<'_>>,
) -> Result<Envelope, UpstreamError> {
    let mut call = OpenCall::begin(core, client, upstream, live, None, None);
    let message = jsonrpc::request(&Id::from(call.number), method, params);
    let (message, headers) = match live.era {
        Era::Session => (Bytes::from(message), HeaderMap::new()),
        Era::Modern => with_meta(client, live, message)?,
    };
    let outcome = match exchange::post(core, client, live, message, headers).await {
        Ok(reply) => answer(&call, reply).await,
        Err(error) => Err(error),
    };
    if !matches!(
        outcome,
        Err(UpstreamError::Timeout | UpstreamError::Cancelled)
    ) {
        call.finish();
    }
    outcome
}

/// Adds what every modern request carries.
pub(crate) fn with_meta(
    client: &Client,
    live: &Live,
    message: Vec<u8>,
) -> Result<(Bytes, HeaderMap), UpstreamError> {
    let limits = agentopia_mcp::Limits::default();
    let message = Envelope::scan(message, &limits)
        .map_err(|_| UpstreamError::NotMcp("our own request can't be read"))?;
    let capabilities = super::handshake::bridged_capabilities(client, live.era);
    let message = Splice::new(&message)
        .set(Field::MetaProtocolVersion, live.version.as_str())
        .set(Field::MetaClientInfo, client.info())
        .set(Field::MetaClientCapabilities, capabilities)
        .finish();
    let message = Envelope::scan(Bytes::from(message), &limits)
        .map_err(|_| UpstreamError::NotMcp("our own request can't be read"))?;
    let headers = modern_headers(live.version, &message);
    Ok((message.into_inner(), headers))
}

/// Waits for the answer to a call and takes its result; a refusal is an error.
async fn answer(call: &OpenCall, reply: Reply) -> Result<Envelope, UpstreamError> {
    let response = match reply {
        Reply::Json(status, body) => read_response(call, status, body).await?,
        Reply::Events(mut reader) => loop {
            let Some(raw) = reader.next().await? else {
                return Err(UpstreamError::Broken);
            };
            match inbound::take(&Place::of(call), raw) {
                Inbound::Response(response) if is_for(&response, call.number) => break *response,
                // Not the answer to this; what has no request of the client goes to its stream.
                Inbound::Forward(message) if call.client.hello.era == Era::Session => {
                    call.client.push(message);
                }
                _ => {}
            }
        },
        Reply::Accepted => return Err(UpstreamError::NotMcp("it gave no answer")),
    };
    match response.kind() {
        Kind::Response => Ok(response),
        _ => Err(refusal(&response)),
    }
}

/// Reads the one message of a JSON answer, whatever its status.
pub(crate) async fn read_response(
    call: &OpenCall,
    status: StatusCode,
    body: super::connector::UpstreamBody,
) -> Result<Envelope, UpstreamError> {
    let config = &call.core.config;
    let raw = read_all(
        body,
        config.max_upstream_message_bytes,
        config.call_idle_timeout,
    )
    .await?;
    parse_response(call, status, raw)
}

/// Checks the one message of a JSON answer.
pub(crate) fn parse_response(
    call: &OpenCall,
    status: StatusCode,
    raw: Bytes,
) -> Result<Envelope, UpstreamError> {
    let response = match Envelope::scan(raw, &call.core.upstream_limits()) {
        Ok(response) => response,
        Err(_) if !status.is_success() => return Err(UpstreamError::Status(status.as_u16())),
        Err(error) => {
            tracing::debug!(instance = %call.live.route.id, %error, "upstream answer");
            return Err(UpstreamError::NotMcp("it can't be read"));
        }
    };
    match response.kind() {
        Kind::Response if is_for(&response, call.number) => Ok(response),
        // An error without an id is about our request too: there was only one.
        Kind::ErrorResponse if response.id().is_none() || is_for(&response, call.number) => {
            Ok(response)
        }
        _ => Err(UpstreamError::NotMcp("it answers something else")),
    }
}

/// Whether a response belongs to our call `number`.
pub(crate) fn is_for(response: &Envelope, number: u64) -> bool {
    response.id().and_then(|id| id.as_u64()) == Some(number)
}

/// The server's own words.
pub(crate) fn refusal(response: &Envelope) -> UpstreamError {
    RpcError::received(response).map_or(
        UpstreamError::NotMcp("its error has no code"),
        UpstreamError::Rpc,
    )
}
