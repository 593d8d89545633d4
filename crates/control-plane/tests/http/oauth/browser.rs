//! A person with a browser, and a client that sends them there.

use std::collections::BTreeMap;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::app::{Answered, App, Client, PASSWORD};

pub(crate) const BASE: &str = "http://127.0.0.1:8080";
pub(crate) const CALLBACK: &str = "http://127.0.0.1:7777/callback";
pub(crate) const VERIFIER: &str = "a-verifier-of-more-than-forty-three-characters-012";

pub(crate) fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

/// Parameters by name; a test changes some.
pub(crate) type Parameters = BTreeMap<&'static str, String>;

pub(crate) fn encode(parameters: &Parameters) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(parameters)
        .finish()
}

/// A browser: cookies, and the last page.
#[derive(Debug, Default)]
pub(crate) struct Browser {
    cookies: BTreeMap<String, String>,
}

impl Browser {
    pub(crate) async fn get(&mut self, app: &App, path: &str) -> Answered {
        self.send(app, "GET", path, None, Some(BASE)).await
    }

    /// Sends the page's form with these fields besides the hidden ones.
    pub(crate) async fn submit(
        &mut self,
        app: &App,
        page: &Answered,
        fields: &[(&str, &str)],
    ) -> Answered {
        let (action, hidden) = form(page);
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(hidden)
            .extend_pairs(fields)
            .finish();
        self.send(app, "POST", &action, Some(body), Some(BASE))
            .await
    }

    pub(crate) async fn send(
        &mut self,
        app: &App,
        method: &str,
        path: &str,
        form: Option<String>,
        origin: Option<&str>,
    ) -> Answered {
        let mut request = Client::default().request(method, path);
        if !self.cookies.is_empty() {
            let pairs = self
                .cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}"));
            let cookies = pairs.collect::<Vec<_>>().join("; ");
            request = request.header(header::COOKIE, cookies);
        }
        if form.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
            if let Some(origin) = origin {
                request = request.header(header::ORIGIN, origin);
            }
        }
        let body = form.map_or_else(Body::empty, Body::from);
        let answered = app.raw(request.body(body).unwrap()).await;
        for cookie in answered.headers.get_all(header::SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        answered
    }

    /// Signs in where the page asks for it, up to the consent page.
    pub(crate) async fn consent_page(&mut self, app: &App, query: &str, email: &str) -> Answered {
        let page = self.get(app, &format!("/oauth/authorize?{query}")).await;
        if !page.text.contains("name=\"password\"") {
            return page;
        }
        let fields = [("email", email), ("password", PASSWORD)];
        let answered = self.submit(app, &page, &fields).await;
        assert_eq!(answered.status, 303, "{}", answered.text);
        self.get(app, &location(&answered)).await
    }
}

/// Where the page's form goes and its hidden fields.
pub(crate) fn form(page: &Answered) -> (String, Vec<(String, String)>) {
    let between = |text: &str, begin: &str| {
        let (_, rest) = text
            .split_once(begin)
            .unwrap_or_else(|| panic!("no {begin}: {text}"));
        rest.split_once('"').unwrap().0.to_owned()
    };
    let unescape = |text: String| {
        text.replace("&#34;", "\"")
            .replace("&#39;", "'")
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&amp;", "&")
    };
    let action = unescape(between(&page.text, "action=\""));
    let csrf = between(&page.text, "name=\"csrf\" value=\"");
    (action, vec![("csrf".to_owned(), csrf)])
}

pub(crate) fn location(answered: &Answered) -> String {
    answered.headers[header::LOCATION]
        .to_str()
        .unwrap()
        .to_owned()
}

/// What came back to the client's address.
pub(crate) fn answer(answered: &Answered) -> BTreeMap<String, String> {
    assert_eq!(answered.status, 303, "{}", answered.text);
    let url = Url::parse(&location(answered)).unwrap();
    url.query_pairs().into_owned().collect()
}

/// A program that was registered, an agent, and the request that the one makes for the other.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    pub(crate) agent: String,
    pub(crate) client_id: String,
    pub(crate) request: Parameters,
}

pub(crate) async fn register(app: &App, redirects: &[&str]) -> String {
    let body = json!({"client_name": "Test program", "redirect_uris": redirects,
        "token_endpoint_auth_method": "none"});
    let made = app
        .post(&Client::default(), "/oauth/register", body)
        .await
        .ok(201);
    assert_eq!(made["token_endpoint_auth_method"], "none");
    assert!(made.get("client_secret").is_none());
    made["client_id"].as_str().unwrap().to_owned()
}

impl Scene {
    pub(crate) async fn new(app: &App, owner: &Client) -> Self {
        let agent = app
            .post(owner, "/api/v1/agents", json!({"name": "helper"}))
            .await
            .ok(201);
        let agent = agent["id"].as_str().unwrap().to_owned();
        let client_id = register(app, &["http://127.0.0.1/callback"]).await;
        let request = Parameters::from([
            ("response_type", "code".to_owned()),
            ("client_id", client_id.clone()),
            ("redirect_uri", CALLBACK.to_owned()),
            ("code_challenge", challenge(VERIFIER)),
            ("code_challenge_method", "S256".to_owned()),
            ("state", "xyz & é".to_owned()),
            ("resource", format!("{BASE}/agents/{agent}/mcp")),
        ]);
        Self {
            agent,
            client_id,
            request,
        }
    }

    pub(crate) fn with(&self, name: &'static str, value: &str) -> Parameters {
        let mut request = self.request.clone();
        request.insert(name, value.to_owned());
        request
    }

    pub(crate) fn without(&self, name: &'static str) -> Parameters {
        let mut request = self.request.clone();
        request.remove(name);
        request
    }

    /// Signs the admin in, agrees, and gives the code.
    pub(crate) async fn code(&self, app: &App) -> String {
        let mut browser = Browser::default();
        let query = encode(&self.request);
        let page = browser.consent_page(app, &query, "admin@example.com").await;
        let answered = browser.submit(app, &page, &[("decision", "allow")]).await;
        answer(&answered)["code"].clone()
    }

    /// What redeems a code.
    pub(crate) fn redemption(&self, code: &str) -> Parameters {
        Parameters::from([
            ("grant_type", "authorization_code".to_owned()),
            ("client_id", self.client_id.clone()),
            ("code", code.to_owned()),
            ("redirect_uri", CALLBACK.to_owned()),
            ("code_verifier", VERIFIER.to_owned()),
            ("resource", self.request["resource"].clone()),
        ])
    }

    pub(crate) fn refreshing(&self, token: &str) -> Parameters {
        Parameters::from([
            ("grant_type", "refresh_token".to_owned()),
            ("client_id", self.client_id.clone()),
            ("refresh_token", token.to_owned()),
        ])
    }

    pub(crate) async fn tokens(&self, app: &App) -> Value {
        let code = self.code(app).await;
        post(app, "/oauth/token", &self.redemption(&code))
            .await
            .ok(200)
    }
}

pub(crate) async fn post(app: &App, path: &str, form: &Parameters) -> Answered {
    let request = Client::default()
        .request("POST", path)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    app.raw(request.body(Body::from(encode(form))).unwrap())
        .await
}

/// The access tokens that the gateway would let in.
pub(crate) async fn open(app: &App) -> usize {
    let now = chrono::Duration::zero()
        + app
            .state
            .ambient
            .now()
            .signed_duration_since(chrono::DateTime::UNIX_EPOCH);
    let read = app.state.store.gateway_snapshot().await.unwrap();
    let good = read.logins.iter().filter(|login| {
        login
            .expires_at
            .signed_duration_since(chrono::DateTime::UNIX_EPOCH)
            > now
    });
    good.count()
}
