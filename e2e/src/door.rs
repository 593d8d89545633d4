//! A door to an endpoint for programs that can't show a token, as the conformance suite can't: it adds the
//! token and passes all else as it is, a strange `Host` or `Origin` included. Where the door's own address is
//! claimed it becomes the endpoint's, as behind every reverse proxy.

use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::header::{AUTHORIZATION, CONNECTION, HOST, ORIGIN, TRANSFER_ENCODING};
use http::{HeaderValue, StatusCode};
use tokio::task::AbortHandle;
use url::Url;

/// No request of a test is larger.
const LARGEST: usize = 16 << 20;

/// See the module's header. It closes with this value.
#[derive(Debug)]
pub struct Door {
    /// Where the endpoint is without a token, on loopback.
    pub url: String,
    serving: AbortHandle,
}

#[derive(Debug)]
struct Inside {
    /// The door's own host and port.
    own: String,
    endpoint: Url,
    authorization: HeaderValue,
    http: reqwest::Client,
}

impl Door {
    /// Opens one to `endpoint`.
    ///
    /// # Errors
    /// When there is no port left, or the address or token can't be one.
    pub async fn to(endpoint: &str, token: &str) -> anyhow::Result<Self> {
        let endpoint: Url = endpoint.parse()?;
        let mut authorization = HeaderValue::try_from(format!("Bearer {token}"))?;
        authorization.set_sensitive(true);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let own = listener.local_addr()?.to_string();
        let url = format!("http://{own}{}", endpoint.path());
        let inside = Inside {
            own,
            endpoint,
            authorization,
            http: reqwest::Client::builder().http1_only().build()?,
        };
        let router = Router::new().fallback(pass).with_state(Arc::new(inside));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self {
            url,
            serving: serving.abort_handle(),
        })
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn pass(State(inside): State<Arc<Inside>>, request: Request) -> Response {
    match inside.pass(request).await {
        Ok(response) => response,
        Err(error) => (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response(),
    }
}

impl Inside {
    async fn pass(&self, request: Request) -> anyhow::Result<Response> {
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, LARGEST).await.context("the request")?;
        let mut url = self.endpoint.clone();
        url.set_path(parts.uri.path());
        url.set_query(parts.uri.query());
        let mut headers = parts.headers;
        headers.remove(CONNECTION);
        headers.remove(TRANSFER_ENCODING);
        headers.insert(AUTHORIZATION, self.authorization.clone());
        for name in [HOST, ORIGIN] {
            let claimed = headers.get(&name).and_then(|value| value.to_str().ok());
            if let Some(place) = claimed.and_then(|claimed| claimed.strip_suffix(&self.own)) {
                let instead = format!("{place}{}", self.endpoint.authority());
                headers.insert(name, HeaderValue::try_from(instead)?);
            }
        }
        let sent = self.http.request(parts.method, url).headers(headers);
        let answer = sent.body(body).send().await?;
        let (status, mut headers) = (answer.status(), answer.headers().clone());
        headers.remove(CONNECTION);
        headers.remove(TRANSFER_ENCODING);
        // A stream passes piece by piece, and is closed when its reader goes away.
        let mut response = Response::new(Body::from_stream(answer.bytes_stream()));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}
