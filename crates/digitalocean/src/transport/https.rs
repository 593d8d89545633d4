//! The real transport: reqwest over rustls with ring, trusting what this machine trusts.
//!
//! Nothing is sent twice: reqwest's own retries are off. (hyper still moves a request to a new
//! connection when the pooled one turned out closed before a byte of it was written, which is
//! safe.) HTTP/1.1 only: there it is plain whether a request was written, and nothing here needs
//! more.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;
use rustls_platform_verifier::Verifier;

use super::{Transport, TransportError};
use crate::client::ANSWER_LIMIT;
use crate::endpoint::Endpoint;

/// What the client calls itself.
const USER_AGENT: &str = concat!("agentopia/", env!("CARGO_PKG_VERSION"));
/// How long a connection may take to come about. What fails here was certainly not sent, so it
/// should not eat up the time of [`ANSWER_LIMIT`], after which nobody knows.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// The most bytes that are read of an answer. A page of 200 droplets, each with its image, its size
/// and the long list of sizes of its region, is below 2 MiB.
const MAX_BODY: usize = 16 << 20;

/// See the module's header. Cheap to clone; connections are pooled.
#[derive(Debug, Clone)]
pub struct HttpsTransport {
    http: reqwest::Client,
}

/// Why no connection can be made from this machine.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Certificates or versions of TLS.
    #[error("TLS can't be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// Anything else.
    #[error("the HTTP client can't be set up: {0}")]
    Http(#[from] reqwest::Error),
}

impl HttpsTransport {
    /// For an endpoint. Nothing is sent yet.
    ///
    /// # Errors
    /// When this machine has no certificates to trust.
    pub fn new(endpoint: &Endpoint) -> Result<Self, SetupError> {
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls(endpoint)?)
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT_LIMIT)
            .timeout(ANSWER_LIMIT)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .http1_only()
            .tcp_nodelay(true);
        if endpoint.is_plain() {
            // To this machine only, where no proxy may stand in between.
            builder = builder.no_proxy();
        }
        let http = builder.build()?;
        Ok(Self { http })
    }
}

fn tls(endpoint: &Endpoint) -> Result<ClientConfig, rustls::Error> {
    let provider: Arc<CryptoProvider> = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?;
    if endpoint.is_plain() {
        // Reading the machine's certificates takes long, and fails where there are none; without
        // redirects nothing here can become HTTPS.
        let none = rustls::RootCertStore::empty();
        return Ok(config.with_root_certificates(none).with_no_client_auth());
    }
    let verifier = Arc::new(Verifier::new(provider)?);
    Ok(config
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth())
}

#[async_trait]
impl Transport for HttpsTransport {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let request = reqwest::Request::try_from(request).map_err(failed)?;
        let mut answer = self.http.execute(request).await.map_err(failed)?;
        let mut whole = Response::new(());
        *whole.status_mut() = answer.status();
        *whole.headers_mut() = std::mem::take(answer.headers_mut());
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(TransportError::unanswered(format!(
                    "the answer is longer than {MAX_BODY} bytes"
                )));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(whole.map(|()| body.freeze()))
    }
}

/// The address is left out: the client says what it was about to do.
fn failed(error: reqwest::Error) -> TransportError {
    let never = error.is_connect() || error.is_builder();
    let reason = if error.is_timeout() && !never {
        format!("no answer within {} s", ANSWER_LIMIT.as_secs())
    } else {
        chain(&error.without_url())
    };
    if never {
        TransportError::never_sent(reason)
    } else {
        TransportError::unanswered(reason)
    }
}

/// An error with everything that caused it, without saying the same twice.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = cause.source();
    }
    text
}
