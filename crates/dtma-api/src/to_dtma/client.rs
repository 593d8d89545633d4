//! The control plane's client of one machine's DTMA.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agentopia_domain::observed::{ObservedInstance, Phase};
use agentopia_domain::{EnvironmentId, InstanceId};
use agentopia_http1::BoxError;
use agentopia_pki::tls::control_plane_client_config;
use agentopia_pki::{MachineKey, machine_host};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use http::header::{AUTHORIZATION, DATE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use secrecy::{ExposeSecret, SecretString};
use tokio::io::AsyncBufReadExt as _;
use tokio_util::io::StreamReader;

use super::calls::Calls;
use super::data_path::DataPath;
use super::{Info, InstanceSpec, LogLine, LogQuery, OwnCredentials};
use crate::http::{accepted, json};
use crate::{PROTOCOL, PROTOCOL_HEADER};

pub use crate::http::{CallError as DtmaError, Sent};

const WHO: &str = "the machine's DTMA";

/// How long a connection may take to come about.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long a command may take; the DTMA answers at once and works afterwards.
const COMMAND_LIMIT: Duration = Duration::from_secs(15);
/// How long a [`DtmaClient::watch`] may take: the DTMA holds it for up to 30 seconds.
const WATCH_LIMIT: Duration = Duration::from_secs(40);

/// Where a DTMA is and how the control plane shows itself to it.
#[derive(Debug)]
pub struct DtmaEndpoint<'a> {
    /// Whose machine it is; the name that its certificate has to carry.
    pub environment: EnvironmentId,
    /// Its address.
    pub address: SocketAddr,
    /// The control plane's certificate.
    pub certificate_pem: &'a str,
    /// The key of the certificate.
    pub key: &'a MachineKey,
    /// The control plane's CA.
    pub ca_pem: &'a str,
    /// The control plane's bearer token for this machine.
    pub bearer: SecretString,
}

/// The body of an answer on the MCP data path.
pub type McpBody = UnsyncBoxBody<Bytes, BoxError>;

/// The method of a request of the modern era, and the one whose answer is a stream.
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const LISTEN: &str = "subscriptions/listen";

/// Calls one machine. Cheap to clone; connections are pooled, and multiplexed (HTTP/2) but for MCP calls.
#[derive(Debug, Clone)]
pub struct DtmaClient(Arc<Inner>);

/// Shared by all clones: each call has one.
#[derive(Debug)]
struct Inner {
    http: reqwest::Client,
    calls: Calls,
    streams: DataPath,
    base: String,
    bearer: SecretString,
}

impl DtmaClient {
    /// A client for the machine at `endpoint`.
    ///
    /// # Errors
    /// When key, certificate and CA don't fit together.
    pub fn new(endpoint: DtmaEndpoint<'_>) -> Result<Self, DtmaError> {
        let tls = control_plane_client_config(
            endpoint.certificate_pem,
            endpoint.key,
            endpoint.ca_pem,
            &machine_host(endpoint.environment),
        )
        .map_err(|error| DtmaError::Protocol(WHO, error.to_string()))?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.clone())
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_LIMIT)
            .tcp_nodelay(true)
            .build()
            .map_err(|error| DtmaError::Protocol(WHO, error.to_string()))?;
        let calls = Calls::new(tls.clone(), endpoint.address, CONNECT_LIMIT)
            .map_err(|error| DtmaError::Protocol(WHO, error.to_string()))?;
        Ok(Self(Arc::new(Inner {
            http,
            calls,
            streams: DataPath::new(tls, CONNECT_LIMIT),
            base: format!("https://{}", endpoint.address),
            bearer: endpoint.bearer,
        })))
    }

    /// What the machine is and does.
    ///
    /// # Errors
    /// See [`DtmaError`].
    pub async fn info(&self) -> Result<Info, DtmaError> {
        json(WHO, self.command(Method::GET, "/v1/info").send().await).await
    }

    /// The same, with the time that the machine's clock shows, in whole seconds: for people who look
    /// for what is wrong. Nothing may be decided by comparing it with our own.
    ///
    /// # Errors
    /// See [`DtmaError`].
    pub async fn info_and_clock(&self) -> Result<(Info, Option<DateTime<Utc>>), DtmaError> {
        let answer = accepted(WHO, self.command(Method::GET, "/v1/info").send().await).await?;
        let date = answer.headers().get(DATE).and_then(|it| it.to_str().ok());
        let date = date.and_then(|text| DateTime::parse_from_rfc2822(text).ok());
        let info = json(WHO, Ok(answer)).await?;
        Ok((info, date.map(|date| date.to_utc())))
    }

    /// Every instance that the machine knows of.
    ///
    /// # Errors
    /// See [`DtmaError`].
    pub async fn instances(&self) -> Result<Vec<ObservedInstance>, DtmaError> {
        json(WHO, self.command(Method::GET, "/v1/instances").send().await).await
    }

    /// One instance; `None` if the machine does not know it.
    ///
    /// # Errors
    /// See [`DtmaError`].
    pub async fn instance(&self, id: InstanceId) -> Result<Option<ObservedInstance>, DtmaError> {
        let path = format!("/v1/instances/{id}");
        match json(WHO, self.command(Method::GET, &path).send().await).await {
            Ok(observed) => Ok(Some(observed)),
            Err(DtmaError::Refused(problem)) if problem.status == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Hands over the whole desired state of an instance.
    ///
    /// # Errors
    /// [`DtmaError::Refused`] with `stale_generation` when the machine has a newer one.
    pub async fn put(&self, spec: &InstanceSpec) -> Result<ObservedInstance, DtmaError> {
        let path = format!("/v1/instances/{}", spec.instance_id);
        json(
            WHO,
            self.command(Method::PUT, &path).json(spec).send().await,
        )
        .await
    }

    /// Waits, for up to 30 seconds, until the instance is no longer in `generation` and `phase`.
    ///
    /// # Errors
    /// See [`DtmaError`].
    pub async fn watch(
        &self,
        instance: InstanceId,
        generation: i64,
        phase: Phase,
    ) -> Result<ObservedInstance, DtmaError> {
        let path = format!("/v1/instances/{instance}/watch");
        let call = self
            .command(Method::GET, &path)
            .query(&WatchQuery { generation, phase })
            .timeout(WATCH_LIMIT);
        json(WHO, call.send().await).await
    }

    /// The log of an instance; with `follow` it does not end by itself.
    ///
    /// # Errors
    /// See [`DtmaError`]; an error in the middle is the stream's last item.
    pub async fn logs(
        &self,
        instance: InstanceId,
        query: LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine, DtmaError>>, DtmaError> {
        let path = format!("/v1/instances/{instance}/logs");
        // No limit on the whole request: following may take days.
        let call = self.request(Method::GET, &path).query(&query);
        let response = accepted(WHO, call.send().await).await?;
        let bytes = response.bytes_stream().map_err(std::io::Error::other);
        let lines = log_lines(StreamReader::new(bytes));
        Ok(lines.boxed())
    }

    /// A request on the MCP data path of an instance, answered as it streams in; with the secrets of
    /// a link in place of the instance's own where there are such.
    ///
    /// # Errors
    /// Only when the machine is not reached: what the server behind it says, errors included, is
    /// the answer.
    pub async fn mcp(
        &self,
        instance: InstanceId,
        own: Option<&OwnCredentials>,
        method: Method,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<http::Response<McpBody>, DtmaError> {
        // It may stay open for days.
        let is_stream =
            method == Method::GET || headers.get(METHOD).is_some_and(|method| method == LISTEN);
        let uri = match is_stream {
            true => self.mcp_address(instance, own),
            false => mcp_path(instance, own),
        };
        let impossible = |error: http::Error| DtmaError::Protocol(WHO, error.to_string());
        let uri = Uri::try_from(uri).map_err(|error| impossible(error.into()))?;
        let bearer = format!("Bearer {}", self.0.bearer.expose_secret());
        let mut bearer = HeaderValue::try_from(bearer).map_err(|error| impossible(error.into()))?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
        headers.insert(PROTOCOL_HEADER, HeaderValue::from(PROTOCOL));
        let mut request = http::Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        if is_stream {
            let answer = self.0.streams.send(WHO, request).await?;
            return Ok(answer.map(|body| body.map_err(BoxError::from).boxed_unsync()));
        }
        let answer = self.0.calls.send(WHO, request).await?;
        Ok(answer.map(|body| body.map_err(BoxError::from).boxed_unsync()))
    }

    /// What a ready-made MCP client needs to speak to an instance: the HTTP client that trusts the
    /// machine, the address of the instance's endpoint, and the bearer token to show; `own` as for
    /// [`Self::mcp`].
    #[must_use]
    pub fn mcp_endpoint(
        &self,
        instance: InstanceId,
        own: Option<&OwnCredentials>,
    ) -> (reqwest::Client, String, SecretString) {
        let address = self.mcp_address(instance, own);
        (self.0.http.clone(), address, self.0.bearer.clone())
    }

    fn mcp_address(&self, instance: InstanceId, own: Option<&OwnCredentials>) -> String {
        format!("{}{}", self.0.base, mcp_path(instance, own))
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.0
            .http
            .request(method, format!("{}{path}", self.0.base))
            .header(PROTOCOL_HEADER, PROTOCOL)
            .bearer_auth(self.0.bearer.expose_secret())
    }

    fn command(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.request(method, path).timeout(COMMAND_LIMIT)
    }
}

fn mcp_path(instance: InstanceId, own: Option<&OwnCredentials>) -> String {
    match own {
        None => format!("/v1/instances/{instance}/mcp"),
        Some(OwnCredentials { link, revision }) => {
            format!("/v1/instances/{instance}/links/{link}/{revision}/mcp")
        }
    }
}

/// Query of a watch: the state that the caller knows already.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
pub struct WatchQuery {
    /// The generation known.
    pub generation: i64,
    /// The phase known.
    pub phase: Phase,
}

fn log_lines(
    reader: impl tokio::io::AsyncBufRead + Unpin + Send + 'static,
) -> impl futures::Stream<Item = Result<LogLine, DtmaError>> + Send {
    futures::stream::try_unfold(reader.lines(), |mut lines| async move {
        let line = lines
            .next_line()
            .await
            .map_err(|error| DtmaError::Unreachable(WHO, error.to_string(), Sent::Perhaps))?;
        let Some(line) = line else { return Ok(None) };
        let line = serde_json::from_str(&line)
            .map_err(|error| DtmaError::Protocol(WHO, error.to_string()))?;
        Ok(Some((line, lines)))
    })
}
