//! The same question to an HTTP+SSE server: a session of its own, which ends with the answer.

use std::net::SocketAddr;

use agentopia_bridge::sse::{OpenError, ServerError, StreamLimits, open};
use agentopia_bridge::{Delivery, Mode, PipeConfig};
use agentopia_domain::InstanceId;
use agentopia_mcp::{Envelope, Limits};
use bytes::Bytes;
use http::StatusCode;

use super::{FIRST_PAUSE, Health, HealthError, LONGEST_PAUSE, PATIENCE, initialize, judge_text};
use crate::mcp::sse::ContainerServer;

/// The one client of the session.
const CLIENT: u64 = 1;

/// Until it listens and answers; the caller's patience ends this, or the tool's end does.
pub(super) async fn ask(
    instance: InstanceId,
    address: SocketAddr,
    path: &str,
) -> Result<Health, HealthError> {
    let server = ContainerServer::new(address, path);
    let config = PipeConfig {
        instance,
        mode: Mode::Exclusive,
        input_patience: PATIENCE,
        client_patience: PATIENCE,
    };
    let mut pause = FIRST_PAUSE;
    let pipe = loop {
        let opening = open(server.clone(), config, StreamLimits::default(), None);
        match opening.await {
            Ok(pipe) => break pipe,
            Err(error) if is_coming_up(&error) => {}
            Err(error) => return Err(HealthError::new(error.to_string())),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    };
    let unreadable = |error: &dyn std::fmt::Display| HealthError::new(error.to_string());
    let message = Envelope::scan(Bytes::from(initialize()), &Limits::default())
        .map_err(|error| unreadable(&error))?;
    let asked = pipe.request(CLIENT, &message).await;
    let mut call = asked.map_err(|error| unreadable(&error))?;
    while let Some(delivery) = call.next().await {
        match delivery {
            Delivery::Message(_) => {}
            Delivery::Last(answer) => {
                return judge_text(&answer).unwrap_or_else(|| {
                    Err(HealthError::new(format!(
                        "what the tool answered to initialize on port {} at {path} is no MCP message",
                        address.port()
                    )))
                });
            }
            Delivery::Undelivered => break,
        }
    }
    Err(HealthError::new(format!(
        "the tool opened an event stream on port {} at {path} and ended it before it answered initialize",
        address.port()
    )))
}

/// It does not listen yet, or something in front of it does already.
fn is_coming_up(error: &OpenError) -> bool {
    matches!(
        error,
        OpenError::Server(ServerError::Unreachable(_) | ServerError::Broken(_))
            | OpenError::Status(StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY)
    )
}
