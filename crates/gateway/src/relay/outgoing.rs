//! A client's request as its server gets it (rules 5, 6, 9).

use agentopia_mcp::{Era, Field, Id, Json, ListKind, RpcError, Splice, headers, method};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use super::Asking;
use super::round::Again;
use super::trip::Trip;
use crate::aggregate::resolve::Hop;
use crate::upstream::UpstreamError;
use crate::upstream::call::OpenCall;

/// Body and extra headers.
pub(super) fn prepare(
    asking: &Asking<'_>,
    hop: &Hop,
    call: &OpenCall,
    again: Option<&Again>,
) -> Result<(Bytes, HeaderMap), UpstreamError> {
    let (client, live, message) = (asking.client, &call.live, asking.message);
    let id = Id::from(call.number);
    let capabilities;
    let level;
    let state = match Trip::repeated(asking, hop) {
        Some(trip) => trip.open(asking.core).map_err(UpstreamError::Rpc)?,
        None => None,
    };
    let mut out = asking.trace.write(Splice::new(message).id(&id));
    if message.has(Field::MetaProgressToken) {
        out = out.set(Field::MetaProgressToken, &id);
    }
    if let Some((field, own)) = &hop.rename {
        out = out.set(*field, &**own);
    }
    let mut map = HeaderMap::new();
    asking.trace.add_headers(asking.headers, &mut map);
    if live.era == Era::Modern {
        standard_headers(asking, hop, call, &mut map);
        param_headers(asking, hop, call, &mut map)?;
    }
    match (client.hello.era, live.era) {
        (Era::Session, Era::Modern) => {
            capabilities = crate::upstream::bridged_capabilities(client, Era::Modern);
            level = client.log_level.lock().clone();
            out = out
                .set(Field::MetaProtocolVersion, live.version.as_str())
                .set(Field::MetaClientInfo, client.info())
                .set(Field::MetaClientCapabilities, &capabilities);
            if let Some(level) = level.as_deref().and_then(|level| Json::parse(level).ok()) {
                out = out.set(Field::MetaLogLevel, level.into_owned());
            }
        }
        (Era::Modern, Era::Session) => {
            for field in [
                Field::MetaProtocolVersion,
                Field::MetaClientCapabilities,
                Field::MetaClientInfo,
                Field::MetaLogLevel,
            ] {
                out = out.remove(field);
            }
        }
        (Era::Session, Era::Session) | (Era::Modern, Era::Modern) => {}
    }
    if let Some(again) = again {
        out = out.set(Field::ParamsInputResponses, &again.responses);
        if let Some(state) = &again.state {
            out = out.set(Field::ParamsRequestState, state);
        }
    }
    if let Some(state) = state {
        out = out.set(Field::ParamsRequestState, state);
    }
    Ok((out.finish().into(), map))
}

/// Version, method and name, from what the body says after the splice.
fn standard_headers(asking: &Asking<'_>, hop: &Hop, call: &OpenCall, map: &mut HeaderMap) {
    let version = HeaderValue::from_static(call.live.version.as_str());
    map.insert(headers::PROTOCOL_VERSION, version);
    let method = asking.message.method();
    map.insert(headers::METHOD, headers::encode_value(&method));
    let name = match (&hop.rename, headers::name_field(&method)) {
        (Some((renamed, own)), Some(field)) if *renamed == field => Some((&**own).into()),
        (_, Some(field)) => asking.message.text(field),
        (_, None) => None,
    };
    if let Some(name) = name {
        map.insert(headers::NAME, headers::encode_value(&name));
    }
}

/// A modern client's `Mcp-Param-*` go along verbatim, once they agree with the body as far as the
/// tool's schema is known (rule 3). For a session-era client, and for a call that was inside of another
/// one, they are made.
fn param_headers(
    asking: &Asking<'_>,
    hop: &Hop,
    call: &OpenCall,
    map: &mut HeaderMap,
) -> Result<(), UpstreamError> {
    if asking.client.hello.era == Era::Modern && !asking.inner {
        headers::copy_params(asking.headers, map);
    }
    if asking.message.method() != method::TOOLS_CALL {
        return Ok(());
    }
    let Some(tools) = call.live.last_listed(ListKind::Tools) else {
        return Ok(());
    };
    let own = match &hop.rename {
        Some((_, own)) => (&**own).into(),
        None => asking.message.text(Field::ParamsName).unwrap_or_default(),
    };
    let Some(params) = tools.param_headers(&own) else {
        return Ok(());
    };
    match asking.client.hello.era {
        Era::Modern if !asking.inner => {
            params
                .check(asking.headers, asking.message)
                .map_err(|refusal| {
                    UpstreamError::Rpc(RpcError::new(refusal.code(), refusal.to_string()))
                })?
        }
        Era::Modern | Era::Session => params.set(map, asking.message),
    }
    Ok(())
}
