//! Where the messages of an answer come from.

use agentopia_mcp::Envelope;
use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use http::StatusCode;

use crate::upstream::UpstreamError;
use crate::upstream::call::{OpenCall, parse_response};
use crate::upstream::connector::UpstreamBody;
use crate::upstream::exchange::Reply;
use crate::upstream::reader::{EventReader, next_chunk};
use crate::upstream::resume::CallEvents;

/// A call that is on its way.
pub(super) type Sending = BoxFuture<'static, Result<(OpenCall, Reply), UpstreamError>>;

/// See the module's header.
pub(super) enum Source {
    /// An event stream.
    Events(Box<CallEvents>),
    /// One message, as far as it has come.
    Whole {
        status: StatusCode,
        body: UpstreamBody,
        so_far: BytesMut,
    },
}

impl Source {
    pub(super) fn of(reply: Reply) -> Result<Self, UpstreamError> {
        match reply {
            Reply::Json(status, body) => Ok(Self::whole(status, body)),
            Reply::Events(reader) => Ok(Self::events(*reader)),
            Reply::Accepted => Err(UpstreamError::NotMcp("it gave no answer")),
        }
    }

    pub(super) fn events(reader: EventReader) -> Self {
        Self::Events(Box::new(CallEvents::new(reader)))
    }

    pub(super) fn whole(status: StatusCode, body: UpstreamBody) -> Self {
        Self::Whole {
            status,
            body,
            so_far: BytesMut::new(),
        }
    }

    /// The next message; `None` at the end. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self, call: &OpenCall) -> Result<Option<Bytes>, UpstreamError> {
        match self {
            Self::Events(events) => events.next(call).await,
            Self::Whole {
                status,
                body,
                so_far,
            } => {
                let config = &call.core.config;
                let limit = config.max_upstream_message_bytes;
                while let Some(chunk) = next_chunk(body, config.call_idle_timeout).await? {
                    if so_far.len() + chunk.len() > limit {
                        return Err(UpstreamError::TooLarge(limit));
                    }
                    so_far.extend_from_slice(&chunk);
                }
                let raw = std::mem::take(so_far).freeze();
                parse_response(call, *status, raw)
                    .map(|message: Envelope| Some(message.into_inner()))
            }
        }
    }
}
