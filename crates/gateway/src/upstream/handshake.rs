//! How a connection begins: `initialize` in the session era, `server/discover` in the modern one.
//!
//! A server is told what the client declared (rule 13). Between the eras less: what it could ask
//! then has no way back yet (elicitation, sampling, roots, tasks), so it is not declared, and a
//! server that follows the rules does not ask.

use std::sync::Arc;

use agentopia_mcp::{
    Capabilities, Envelope, Era, ErrorCode, Field, Id, Json, Kind, Limits, ObjectWriter,
    ProtocolVersion, RpcError, Splice, headers, jsonrpc, method, newest_common,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use super::call::{is_for, refusal};
use super::exchange::{self, Reply};
use super::reader::read_all;
use super::{Live, Upstream, UpstreamError};
use crate::clients::Client;
use crate::core::Core;
use crate::routes::InstanceRoute;

/// Opens a connection in the era that suits the client best.
pub(super) async fn perform(
    core: &Arc<Core>,
    client: &Arc<Client>,
    upstream: &Arc<Upstream>,
    route: &Arc<InstanceRoute>,
) -> Result<Live, UpstreamError> {
    let mut first_error = None;
    for era in core.eras.known(route).to_try(client.hello.era) {
        let outcome = match era {
            Era::Session => initialize(core, client, upstream, route).await,
            Era::Modern => discover(core, client, upstream, route).await,
        };
        match outcome {
            Ok(live) => {
                core.eras.learn(route, era, true);
                return Ok(live);
            }
            Err(error) if error.is_answer() => {
                if error.refutes_era() {
                    core.eras.learn(route, era, false);
                }
                first_error.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    Err(first_error.unwrap_or(UpstreamError::NotMcp("it speaks no revision that we know")))
}

/// What the server may know of the client's capabilities.
pub(crate) fn bridged_capabilities(client: &Client, server: Era) -> Json<'_> {
    if client.hello.era == server {
        return client.capabilities();
    }
    let mut capabilities = Capabilities::default();
    capabilities.merge(&client.capabilities());
    capabilities.remove(&["tasks"]);
    capabilities.to_json()
}

async fn initialize(
    core: &Arc<Core>,
    client: &Arc<Client>,
    upstream: &Arc<Upstream>,
    route: &Arc<InstanceRoute>,
) -> Result<Live, UpstreamError> {
    let number = upstream.next_id();
    let message = initialize_request(client, number);
    let first = exchange::post_first(core, client, route, message, HeaderMap::new()).await?;
    let (headers, reply) = first;
    let response = first_answer(core, reply, number).await?;
    let said = response.text(Field::ResultProtocolVersion);
    let version = said
        .as_deref()
        .and_then(ProtocolVersion::parse)
        .filter(|version| version.era() == Era::Session)
        .ok_or(UpstreamError::NotMcp("it speaks no revision that we know"))?;
    drop(said);
    // Copied: it is kept, and a header is a slice of a read buffer of several KiB.
    let session = headers
        .get(headers::SESSION_ID)
        .and_then(|id| HeaderValue::from_bytes(id.as_bytes()).ok());
    let greeting = core.shelf.greeting(route.id, Era::Session, Some(&response));
    let live = Live::new(route.clone(), Era::Session, version, session, greeting);
    let ready = jsonrpc::notification(method::INITIALIZED, None);
    exchange::post(core, client, &live, ready.into(), HeaderMap::new()).await?;
    settle_in(core, client, upstream, &live).await;
    Ok(live)
}

/// Tells a server what the client asked for on the connection before: its log level, and the
/// resources that it wants updates of. One that refuses still serves.
async fn settle_in(core: &Arc<Core>, client: &Arc<Client>, upstream: &Arc<Upstream>, live: &Live) {
    let mut requests = Vec::new();
    let mut request = |method, params: ObjectWriter| {
        let number = Id::from(upstream.next_id());
        requests.push(jsonrpc::request(&number, method, Some(&params.finish())));
    };
    let level = client.log_level.lock().clone();
    if let Some(level) = level
        && live.greeting.capabilities.has(&["logging"])
        && let Ok(level) = Json::parse(&level)
    {
        let mut params = ObjectWriter::new();
        params.raw("level", level);
        request(method::SET_LEVEL, params);
    }
    for uri in &*upstream.subscriptions.lock() {
        let mut params = ObjectWriter::new();
        params.text("uri", uri);
        request(method::RESOURCES_SUBSCRIBE, params);
    }
    for message in requests {
        let sent = exchange::post(core, client, live, message.into(), HeaderMap::new()).await;
        if let Err(error) = sent {
            tracing::debug!(instance = %upstream.instance, %error, "settling in");
        }
    }
}

/// The client's own `initialize` under our id where it made one, else one of ours in its name.
fn initialize_request(client: &Client, number: u64) -> Bytes {
    let id = Id::from(number);
    if let Some(own) = &client.hello.initialize
        && let Ok(own) = Envelope::scan(&own[..], &Limits::default())
    {
        let version = client.hello.version.as_str();
        let spliced = Splice::new(&own)
            .id(&id)
            .set(Field::ParamsProtocolVersion, version);
        return spliced.remove(Field::MetaProgressToken).finish().into();
    }
    let mut params = ObjectWriter::new();
    params
        .text("protocolVersion", ProtocolVersion::LATEST_SESSION.as_str())
        .raw("capabilities", bridged_capabilities(client, Era::Session))
        .raw("clientInfo", named(client.info()));
    jsonrpc::request(&id, method::INITIALIZE, Some(&params.finish())).into()
}

/// `clientInfo` is optional for modern clients and required by session-era servers.
fn named(info: Json<'_>) -> Json<'_> {
    if info.get("name").is_some() {
        info
    } else {
        crate::aggregate::own_info()
    }
}

async fn discover(
    core: &Arc<Core>,
    client: &Arc<Client>,
    upstream: &Arc<Upstream>,
    route: &Arc<InstanceRoute>,
) -> Result<Live, UpstreamError> {
    let number = upstream.next_id();
    let version = ProtocolVersion::LATEST;
    let mut params = ObjectWriter::new();
    let capabilities = bridged_capabilities(client, Era::Modern);
    params.raw(
        "_meta",
        jsonrpc::modern_meta(version, &capabilities, &named(client.info())),
    );
    let message = jsonrpc::request(&Id::from(number), method::DISCOVER, Some(&params.finish()));
    let mut map = HeaderMap::new();
    map.insert(
        headers::PROTOCOL_VERSION,
        HeaderValue::from_static(version.as_str()),
    );
    map.insert(headers::METHOD, HeaderValue::from_static(method::DISCOVER));
    let probe = async {
        let (_, reply) = exchange::post_first(core, client, route, message.into(), map).await?;
        first_answer(core, reply, number).await
    };
    // A session-era server may stay silent at a question that it does not know. Half of the time
    // is left for asking it the other way.
    let patience = core.config.handshake_timeout / 2;
    match tokio::time::timeout(patience, probe).await {
        Err(_) => Err(UpstreamError::NotMcp("it did not answer server/discover")),
        Ok(Ok(response)) => {
            let versions = supported(&response);
            match newest_common(versions.iter().map(String::as_str), Era::Modern) {
                Some(version) => {
                    let greeting = core.shelf.greeting(route.id, Era::Modern, Some(&response));
                    let era = Era::Modern;
                    Ok(Live::new(route.clone(), era, version, None, greeting))
                }
                None => Err(only_speaks(&versions)),
            }
        }
        Ok(Err(UpstreamError::Rpc(error))) if error.code.proves_modern() => {
            let said = error.data.as_ref().map(|data| list_of(data, "supported"));
            let versions = said.unwrap_or_default();
            if error.code == ErrorCode::UNSUPPORTED_VERSION
                && newest_common(versions.iter().map(String::as_str), Era::Modern).is_none()
            {
                return Err(UpstreamError::Rpc(error));
            }
            let greeting = core.shelf.greeting(route.id, Era::Modern, None);
            let era = Era::Modern;
            Ok(Live::new(route.clone(), era, version, None, greeting))
        }
        Ok(Err(error)) => Err(error),
    }
}

fn supported(response: &Envelope) -> Vec<String> {
    response
        .raw(Field::Result)
        .map(|r| list_of(&r, "supportedVersions"))
        .unwrap_or_default()
}

fn list_of(object: &Json<'_>, key: &str) -> Vec<String> {
    let Some(list) = object.get(key) else {
        return Vec::new();
    };
    list.elements()
        .filter_map(|v| Some(v.text()?.into_owned()))
        .collect()
}

fn only_speaks(versions: &[String]) -> UpstreamError {
    let data = serde_json::json!({ "supported": versions });
    let error = RpcError::new(ErrorCode::UNSUPPORTED_VERSION, "no common protocol version");
    UpstreamError::Rpc(error.with_data(&data))
}

/// The answer to a handshake. What else comes on its stream has nobody to go to yet.
async fn first_answer(core: &Core, reply: Reply, number: u64) -> Result<Envelope, UpstreamError> {
    let max = core.config.max_upstream_message_bytes;
    let unreadable = |_| UpstreamError::NotMcp("it can't be read");
    let response = match reply {
        Reply::Json(status, body) => {
            let raw = read_all(body, max, core.config.call_idle_timeout).await?;
            match Envelope::scan(raw, &core.upstream_limits()) {
                Err(_) if !status.is_success() => {
                    return Err(UpstreamError::Status(status.as_u16()));
                }
                outcome => outcome.map_err(unreadable)?,
            }
        }
        Reply::Events(mut reader) => loop {
            let Some(raw) = reader.next().await? else {
                return Err(UpstreamError::Broken);
            };
            let message = Envelope::scan(raw, &core.upstream_limits()).map_err(unreadable)?;
            if !message.is_call() {
                break message;
            }
        },
        Reply::Accepted => return Err(UpstreamError::NotMcp("it gave no answer")),
    };
    match response.kind() {
        Kind::Response if is_for(&response, number) => {
            if response.raw(Field::Result).is_some_and(|r| r.is_object()) {
                Ok(response)
            } else {
                Err(UpstreamError::NotMcp("its result is no object"))
            }
        }
        Kind::ErrorResponse => Err(refusal(&response)),
        _ => Err(UpstreamError::NotMcp("it answers something else")),
    }
}
