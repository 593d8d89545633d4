//! The typed client of the public API: one method an operation, in a file a noun below `client/`.
//!
//! It never follows redirects and never sends a token elsewhere than to the server it was made for.
//! Every refusal comes out as [`ClientError::Problem`].

mod agents;
mod auth;
mod calls;
mod catalog;
mod environment;
mod error;
mod events;
mod instances;
mod legacy;
mod lines;
mod secrets;
mod verification;

use std::time::Duration;

use agentopia_api::{CSRF_HEADER, Page, SESSION_COOKIE};
use reqwest::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

pub(crate) use auth::SignedIn;
pub(crate) use error::ClientError;
pub(crate) use events::EventStream;

/// What the client calls itself.
const USER_AGENT: &str = concat!("agentopia/", env!("CARGO_PKG_VERSION"));
/// How long a server may take to take a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an ordinary answer may take; the server gives up after 30 s unless told otherwise.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// The most items that a page can have.
const PAGE: usize = 200;

/// How requests prove who sends them.
#[derive(Debug)]
pub(crate) enum Credentials {
    /// Not at all.
    Nobody,
    /// By a personal token.
    Token(SecretString),
    /// By a session, between signing in and having made a token.
    Session {
        /// The cookie's value.
        cookie: SecretString,
        /// Goes along with every change.
        csrf: SecretString,
    },
}

/// Talks to one server.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
}

/// Query parameters.
type Query<'a> = &'a [(&'static str, String)];

impl Client {
    /// A client of the server at `base`. Nothing is sent yet.
    pub(crate) fn new(base: Url, credentials: Credentials) -> Result<Self, ClientError> {
        let mut builder = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .default_headers(headers(credentials)?)
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .tcp_nodelay(true);
        if base.scheme() == "http" {
            // Reading the machine's certificates takes longer than most commands, and fails where
            // there are none; without redirects nothing here can become HTTPS.
            let tls = rustls::ClientConfig::builder()
                .with_root_certificates(rustls::RootCertStore::empty())
                .with_no_client_auth();
            builder = builder.tls_backend_preconfigured(tls);
        }
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(ClientError::Setup)?;
        Ok(Self { http, base })
    }

    /// The server.
    pub(crate) fn base(&self) -> &Url {
        &self.base
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            // Escapes whatever would end a segment.
            segments.clear().extend(["api", "v1"]).extend(path);
        }
        url
    }

    async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: Query<'_>,
    ) -> Result<T, ClientError> {
        let request = self
            .http
            .get(self.url(path))
            .query(query)
            .timeout(ANSWER_TIMEOUT);
        read(self.send(request).await?).await
    }

    async fn change<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let request = self
            .http
            .request(method, self.url(path))
            .json(body)
            .timeout(ANSWER_TIMEOUT);
        read(self.send(request).await?).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, ClientError> {
        let request = self.http.post(self.url(path)).timeout(ANSWER_TIMEOUT);
        read(self.send(request).await?).await
    }

    async fn delete(&self, path: &[&str]) -> Result<(), ClientError> {
        let request = self.http.delete(self.url(path)).timeout(ANSWER_TIMEOUT);
        self.send(request).await.map(drop)
    }

    /// Every item of a list, page by page, at most `limit`.
    async fn list<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: Query<'_>,
        limit: Option<usize>,
    ) -> Result<Vec<T>, ClientError> {
        let mut items = Vec::new();
        let mut cursor = None;
        loop {
            let missing = limit.map_or(PAGE, |limit| limit.saturating_sub(items.len()));
            if missing == 0 {
                return Ok(items);
            }
            let mut query = query.to_vec();
            query.push(("limit", missing.min(PAGE).to_string()));
            query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
            let page: Page<T> = self.get(path, &query).await?;
            // A server that gives a cursor with no items would keep us here for ever.
            let ended = page.items.is_empty();
            items.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() || ended {
                return Ok(items);
            }
        }
    }

    /// Sends it; an answer that is no success is an error.
    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Response, ClientError> {
        let response = request
            .send()
            .await
            .map_err(|error| ClientError::from_transport(&self.base, error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(ClientError::from_response(&self.base, response).await)
    }
}

async fn read<T: DeserializeOwned>(response: Response) -> Result<T, ClientError> {
    let url = response.url().clone();
    let request_id = error::request_id(&response);
    let bytes = response
        .bytes()
        .await
        .map_err(|error| ClientError::from_transport(&url, error))?;
    serde_json::from_slice(&bytes).map_err(|source| ClientError::NotUnderstood {
        url: url.into(),
        request_id,
        source,
    })
}

fn headers(credentials: Credentials) -> Result<HeaderMap, ClientError> {
    let mut headers = HeaderMap::new();
    let mut put = |name: HeaderName, text: String| {
        let mut value = HeaderValue::from_str(&text).map_err(|_| ClientError::BadToken)?;
        value.set_sensitive(true);
        headers.insert(name, value);
        Ok(())
    };
    match credentials {
        Credentials::Nobody => {}
        Credentials::Token(token) => {
            put(AUTHORIZATION, format!("Bearer {}", token.expose_secret()))?;
        }
        Credentials::Session { cookie, csrf } => {
            put(
                COOKIE,
                format!("{SESSION_COOKIE}={}", cookie.expose_secret()),
            )?;
            put(
                HeaderName::from_static(CSRF_HEADER),
                csrf.expose_secret().to_owned(),
            )?;
        }
    }
    Ok(headers)
}

/// Whether it leads to this very machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(credentials: Credentials) -> Result<Client, ClientError> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Client::new("http://127.0.0.1:8080".parse().unwrap(), credentials)
    }

    #[test]
    fn a_name_can_not_leave_its_place_in_the_address() {
        let client = client(Credentials::Nobody).unwrap();
        for (name, expected) in [
            ("a/b", "a%2Fb"),
            ("../users", "..%2Fusers"),
            ("a?b#c", "a%3Fb%23c"),
            ("127.0.0.1:5000", "127.0.0.1:5000"),
            ("天気", "%E5%A4%A9%E6%B0%97"),
        ] {
            let url = client.url(&["secrets", name]);
            assert_eq!(url.path(), format!("/api/v1/secrets/{expected}"));
        }
    }

    #[test]
    fn a_token_is_not_in_debug_output() {
        let client = client(Credentials::Token(SecretString::from("pat_very-secret"))).unwrap();
        assert!(!format!("{client:?}").contains("very-secret"));
    }

    #[test]
    fn a_token_that_can_not_be_one_is_refused_unseen() {
        let error = client(Credentials::Token(SecretString::from("pat_a\nb"))).unwrap_err();
        assert!(matches!(error, ClientError::BadToken));
    }
}
