//! The transport of typed calls to servers that run elsewhere: rmcp's client of Streamable HTTP over
//! [`RemoteServers`], so that guard, credentials and messages are the gateway's.

use std::collections::HashMap;
use std::sync::Arc;

use agentopia_domain::InstanceId;
use agentopia_domain::instance::Instance;
use agentopia_dtma_api::to_dtma::OwnCredentials;
use agentopia_gateway::{ConnectError, LINK_HEADER, UpstreamBody};
use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use rmcp::model::ClientJsonRpcMessage;
use rmcp::serde_json;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpClientTransportConfig, StreamableHttpError,
    StreamableHttpPostResponse,
};
use sse_stream::{Sse, SseStream};
use url::Url;

use super::remote::RemoteServers;
use crate::reconcilers::routes::epoch;

/// The most that is read of one answer.
const ANSWER_LIMIT: usize = 16 << 20;
const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");

/// Calls one server.
#[derive(Debug, Clone)]
pub(super) struct RemoteCaller {
    remotes: Arc<RemoteServers>,
    instance: InstanceId,
    epoch: Arc<str>,
    url: Url,
    /// The link whose secrets the server is to see, as the gateway's connector is told.
    own: Option<HeaderValue>,
}

type Failed = StreamableHttpError<ConnectError>;

impl RemoteCaller {
    /// None for an instance whose server does not run elsewhere.
    pub(super) fn of(
        remotes: Arc<RemoteServers>,
        instance: &Instance,
        own: Option<&OwnCredentials>,
    ) -> Option<Self> {
        let epoch = epoch(instance);
        let own = own.map(|own| format!("{} {}", own.link, own.revision));
        Some(Self {
            remotes,
            instance: instance.id,
            epoch: match &own {
                Some(own) => format!("{epoch} {own}").into(),
                None => epoch.into(),
            },
            url: instance.remote.as_ref()?.url.clone(),
            own: match own {
                Some(own) => Some(own.try_into().ok()?),
                None => None,
            },
        })
    }

    pub(super) fn transport(self) -> StreamableHttpClientTransport<Self> {
        let config = StreamableHttpClientTransportConfig::with_uri(self.url.to_string());
        StreamableHttpClientTransport::with_client(self, config)
    }

    async fn send(
        &self,
        method: Method,
        headers: HashMap<HeaderName, HeaderValue>,
        session: Option<&str>,
        body: Bytes,
    ) -> Result<Response<UpstreamBody>, Failed> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        request.headers_mut().extend(headers);
        if let Some(session) = session.and_then(|text| HeaderValue::from_str(text).ok()) {
            request.headers_mut().insert(SESSION, session);
        }
        if let Some(own) = &self.own {
            request.headers_mut().insert(LINK_HEADER, own.clone());
        }
        let sending = self
            .remotes
            .send(self.instance, &self.epoch, &self.url, request);
        sending.await.map_err(StreamableHttpError::Client)
    }
}

impl StreamableHttpClient for RemoteCaller {
    type Error = ConnectError;

    async fn post_message(
        &self,
        _uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        _auth_header: Option<String>,
        mut headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse, Failed> {
        let body = serde_json::to_vec(&message)?;
        let both = HeaderValue::from_static("application/json, text/event-stream");
        headers.insert(ACCEPT, both);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let (session, body) = (session_id.as_deref(), Bytes::from(body));
        let answer = self.send(Method::POST, headers, session, body).await?;
        let status = answer.status();
        if matches!(status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT) {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        if status == StatusCode::NOT_FOUND && session_id.is_some() {
            return Err(StreamableHttpError::SessionExpired);
        }
        if !status.is_success() {
            let said = format!("HTTP status {status}");
            return Err(StreamableHttpError::UnexpectedServerResponse(said.into()));
        }
        let (session, kind) = (text(&answer, &SESSION), text(&answer, &CONTENT_TYPE));
        match kind.as_deref() {
            Some(kind) if kind.starts_with("text/event-stream") => Ok(
                StreamableHttpPostResponse::Sse(events(answer.into_body()), session),
            ),
            Some(kind) if kind.starts_with("application/json") => {
                let body = whole(answer.into_body()).await?;
                let message = serde_json::from_slice(&body)?;
                Ok(StreamableHttpPostResponse::Json(message, session))
            }
            _ => Err(StreamableHttpError::UnexpectedContentType(kind)),
        }
    }

    async fn delete_session(
        &self,
        _uri: Arc<str>,
        session_id: Arc<str>,
        _auth_header: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<(), Failed> {
        let session = Some(&*session_id);
        self.send(Method::DELETE, headers, session, Bytes::new())
            .await
            .map(drop)
    }

    async fn get_stream(
        &self,
        _uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        _auth_header: Option<String>,
        mut headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, Failed> {
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        let last = last_event_id.and_then(|id| HeaderValue::from_str(&id).ok());
        headers.extend(last.map(|id| (LAST_EVENT, id)));
        let session = session_id.as_deref();
        let answer = self
            .send(Method::GET, headers, session, Bytes::new())
            .await?;
        if !answer.status().is_success() {
            return Err(StreamableHttpError::ServerDoesNotSupportSse);
        }
        Ok(events(answer.into_body()))
    }
}

async fn whole(mut body: UpstreamBody) -> Result<Bytes, Failed> {
    let broke = |reason: String| StreamableHttpError::Client(ConnectError::Broken(reason));
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| broke(error.to_string()))?;
        if let Ok(data) = frame.into_data() {
            if read.len() + data.len() > ANSWER_LIMIT {
                return Err(broke(format!(
                    "its answer is longer than {ANSWER_LIMIT} bytes"
                )));
            }
            read.extend_from_slice(&data);
        }
    }
    Ok(read.freeze())
}

fn events(body: UpstreamBody) -> BoxStream<'static, Result<Sse, SseError>> {
    let bytes = Limited::new(body, ANSWER_LIMIT).into_data_stream();
    SseStream::from_bytes_stream(bytes.map_err(std::io::Error::other)).boxed()
}

fn text(answer: &Response<UpstreamBody>, name: &HeaderName) -> Option<String> {
    Some(answer.headers().get(name)?.to_str().ok()?.to_owned())
}
