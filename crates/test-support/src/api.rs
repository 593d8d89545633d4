//! A client of the public API, typed by `agentopia_api`, and raw where a test sends nonsense.

pub mod instances;

use std::time::Duration;

use agentopia_api::auth::{Session, SetupRequest, SignInRequest};
use agentopia_api::token::{CreatePersonalTokenRequest, CreatedToken};
use agentopia_api::user::{CreateUserRequest, User};
use agentopia_api::{CSRF_HEADER, Page, Problem};
use agentopia_domain::name::Name;
use agentopia_domain::token::Scope;
use agentopia_domain::user::Role;
use anyhow::Context as _;
use reqwest::{Method, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The password of everybody.
pub const PASSWORD: &str = "correct horse battery staple";

/// A client for plain HTTP to this machine.
///
/// # Errors
/// Never in practice.
pub fn http_client() -> anyhow::Result<reqwest::Client> {
    // reqwest wants a TLS provider even where it is not used. Another test may have set it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(5))
        .build()?)
}

/// Somebody at the API.
#[derive(Debug, Clone)]
pub struct Api {
    http: reqwest::Client,
    base_url: String,
    token: Option<SecretString>,
}

/// Somebody who is signed in, as a browser keeps it.
#[derive(Debug, Clone)]
pub struct BrowserSession {
    /// `name=value`.
    pub cookie: String,
    /// Goes with whatever changes something.
    pub csrf: String,
    role: Role,
}

/// The API said no.
#[derive(Debug, thiserror::Error)]
#[error("{status}: {problem}")]
pub struct ApiError {
    /// The HTTP status.
    pub status: StatusCode,
    /// Why.
    pub problem: Box<Problem>,
}

impl Api {
    /// Nobody yet: what needs no sign-in.
    ///
    /// # Errors
    /// Never in practice.
    pub fn anonymous(base_url: &str) -> anyhow::Result<Self> {
        Ok(Self {
            http: http_client()?,
            base_url: base_url.to_owned(),
            token: None,
        })
    }

    /// The same person at another replica.
    #[must_use]
    pub fn at(&self, base_url: &str) -> Self {
        Self {
            base_url: base_url.to_owned(),
            ..self.clone()
        }
    }

    /// The same server with another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self {
            token: Some(SecretString::from(token)),
            ..self.clone()
        }
    }

    /// `http://host:port`.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The personal token.
    #[must_use]
    pub fn token(&self) -> &str {
        self.token
            .as_ref()
            .map_or("", |token| token.expose_secret())
    }

    /// The client underneath.
    #[must_use]
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Makes the first admin and gives their client.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn set_up(&self, setup_token: &str, email: &str) -> anyhow::Result<Self> {
        let request = SetupRequest {
            token: setup_token.into(),
            email: email.to_owned(),
            password: PASSWORD.into(),
        };
        self.signed_in("/api/v1/setup", &request).await
    }

    /// Signs in and gives a client with a personal token of all scopes.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn sign_in(&self, email: &str) -> anyhow::Result<Self> {
        let request = SignInRequest {
            email: email.to_owned(),
            password: PASSWORD.into(),
        };
        self.signed_in("/api/v1/session", &request).await
    }

    /// Signs in as a browser does.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn browser_session(&self, email: &str) -> anyhow::Result<BrowserSession> {
        let request = SignInRequest {
            email: email.to_owned(),
            password: PASSWORD.into(),
        };
        self.session("/api/v1/session", &request).await
    }

    async fn session(&self, path: &str, body: &impl Serialize) -> anyhow::Result<BrowserSession> {
        let answer = self.http.post(self.url(path)).json(body).send().await?;
        let cookie = answer
            .headers()
            .get(header::SET_COOKIE)
            .and_then(|value| value.to_str().ok()?.split(';').next())
            .map(str::to_owned);
        let session: Session = read(answer).await?;
        Ok(BrowserSession {
            cookie: cookie.context("no session cookie was set")?,
            csrf: session.csrf_token.context("no CSRF token was given")?,
            role: session.user.role,
        })
    }

    async fn signed_in(&self, path: &str, body: &impl Serialize) -> anyhow::Result<Self> {
        let session = self.session(path, body).await?;
        let mut scopes = vec![Scope::Read, Scope::Write];
        if session.role == Role::Admin {
            scopes.push(Scope::Admin);
        }
        let request = CreatePersonalTokenRequest {
            name: Name::parse("tests")?,
            scopes,
            expires_in_seconds: None,
        };
        let answer = self
            .http
            .post(self.url("/api/v1/tokens"))
            .header(header::COOKIE, session.cookie)
            .header(CSRF_HEADER, session.csrf)
            .json(&request)
            .send()
            .await?;
        let created: CreatedToken = read(answer).await?;
        Ok(self.with_token(created.token.expose_secret()))
    }

    /// Adds a user (as an admin) and signs them in.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn add_user(&self, email: &str) -> anyhow::Result<Self> {
        let request = CreateUserRequest {
            email: email.to_owned(),
            password: PASSWORD.into(),
            role: Role::User,
        };
        let _: User = self.post("/api/v1/users", &request).await?;
        self.sign_in(email).await
    }

    /// Reads.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        read(self.request(Method::GET, path).send().await?).await
    }

    /// Reads all pages of a list.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn list<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<Vec<T>> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let join = if path.contains('?') { '&' } else { '?' };
            let page: Page<T> = self.get(&format!("{path}{join}limit=200{cursor}")).await?;
            items.extend(page.items);
            match page.next_cursor {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(items),
            }
        }
    }

    /// Makes or does something.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        read(self.request(Method::POST, path).json(body).send().await?).await
    }

    /// Sets something.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        read(self.request(Method::PUT, path).json(body).send().await?).await
    }

    /// Changes something.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        read(self.request(Method::PATCH, path).json(body).send().await?).await
    }

    /// Takes something away. The answer, if any, is not looked at.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn delete(&self, path: &str) -> anyhow::Result<()> {
        checked(self.request(Method::DELETE, path).send().await?)
            .await
            .map(drop)
    }

    /// A request to be filled by hand.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, self.url(path));
        match &self.token {
            Some(token) => request.bearer_auth(token.expose_secret()),
            None => request,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }
}

async fn read<T: DeserializeOwned>(answer: reqwest::Response) -> anyhow::Result<T> {
    let text = checked(answer).await?.text().await?;
    let text = if text.is_empty() { "null" } else { &text };
    serde_json::from_str(text).with_context(|| format!("unexpected answer: {text}"))
}

async fn checked(answer: reqwest::Response) -> anyhow::Result<reqwest::Response> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    Err(ApiError {
        status,
        problem: Box::new(problem(answer).await?),
    }
    .into())
}

/// Reads a refusal, which has to be a problem document.
///
/// # Errors
/// When it is not one.
pub async fn problem(answer: reqwest::Response) -> anyhow::Result<Problem> {
    let (status, url) = (answer.status(), answer.url().clone());
    let kind = answer.headers().get(header::CONTENT_TYPE).cloned();
    let text = answer.text().await?;
    anyhow::ensure!(
        kind.as_ref()
            .is_some_and(|kind| kind == agentopia_api::problem::MEDIA_TYPE),
        "{url} answered {status} with {kind:?} and no problem document: {text}"
    );
    let problem: Problem =
        serde_json::from_str(&text).with_context(|| format!("no problem document: {text}"))?;
    anyhow::ensure!(
        problem.status == status.as_u16(),
        "{status} is not {}",
        problem.status
    );
    Ok(problem)
}

/// The code of the refusal in an error, if it is one.
#[must_use]
pub fn code(error: &anyhow::Error) -> Option<&str> {
    error
        .downcast_ref::<ApiError>()
        .map(|error| error.problem.code.as_str())
}

/// Fails unless `outcome` was refused with `expected`.
///
/// # Errors
/// When it was not.
pub fn refused<T: std::fmt::Debug>(
    outcome: anyhow::Result<T>,
    expected: &str,
) -> anyhow::Result<Problem> {
    match outcome {
        Ok(done) => anyhow::bail!("was to be refused with {expected}, but was done: {done:?}"),
        Err(error) => match error.downcast::<ApiError>() {
            Ok(error) if error.problem.code == expected => Ok(*error.problem),
            Ok(error) => anyhow::bail!("was to be refused with {expected}, not with {error}"),
            Err(error) => Err(error),
        },
    }
}

/// What a JSON object of the API is where its type does not matter.
pub type Json = Value;
