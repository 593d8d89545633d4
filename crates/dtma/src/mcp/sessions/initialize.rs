//! The one `initialize` of a process that several sessions share.

use std::sync::Arc;
use std::time::Duration;

use agentopia_bridge::{Delivery, Pipe};
use agentopia_mcp::{
    Envelope, Field, Id, Json, Kind, ObjectWriter, ProtocolVersion, jsonrpc, method,
};
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use tokio::time::timeout;

use super::NO_SESSION;
use crate::mcp::refusal;

/// Initialises a shared process once, for all who will share it. It is told of no capabilities:
/// what it would ask a client, it could not ask anybody in particular.
pub(super) async fn once(
    process: &Arc<Pipe>,
    patience: Duration,
) -> Result<Json<'static>, Response> {
    let failed = |why: &str| {
        refusal::problem(
            StatusCode::BAD_GATEWAY,
            "unhealthy",
            format!("the tool can't be initialised: {why}"),
        )
    };
    let mut info = ObjectWriter::new();
    info.text("name", "agentopia")
        .text("version", env!("CARGO_PKG_VERSION"));
    let mut params = ObjectWriter::new();
    params
        .text("protocolVersion", ProtocolVersion::LATEST_SESSION.as_str())
        .raw("capabilities", ObjectWriter::new().finish())
        .raw("clientInfo", info.finish());
    let text = jsonrpc::request(&Id::from(1), method::INITIALIZE, Some(&params.finish()));
    let scan = |text: Vec<u8>| {
        Envelope::scan(Bytes::from(text), &agentopia_mcp::Limits::default())
            .map_err(|error| failed(&error.to_string()))
    };
    let mut call = process
        .request(NO_SESSION, &scan(text)?)
        .await
        .map_err(|error| failed(&error.to_string()))?;
    let answer = timeout(patience, async {
        loop {
            match call.next().await {
                Some(Delivery::Message(_)) => {}
                Some(Delivery::Last(answer)) => return Some(answer),
                Some(Delivery::Undelivered) | None => return None,
            }
        }
    });
    let Ok(Some(answer)) = answer.await else {
        return Err(failed("it did not answer"));
    };
    let answer = scan(answer.to_vec())?;
    let result = match (answer.kind(), answer.raw(Field::Result)) {
        (Kind::Response, Some(result)) => result.into_owned(),
        _ => {
            return Err(failed(
                &answer.text(Field::ErrorMessage).unwrap_or_default(),
            ));
        }
    };
    // Only a client's own `initialized` is swallowed in a shared process; this is ours.
    process
        .send_raw(jsonrpc::notification(method::INITIALIZED, None))
        .await
        .map_err(|error| failed(&error.to_string()))?;
    Ok(result)
}
