//! Speaks with the token endpoint: codes and refresh tokens for tokens (RFC 6749), and tokens back
//! (RFC 7009).

use agentopia_remote::{RemoteClient, RemoteUrl};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};
use zeroize::Zeroizing;

use super::identity::{Identity, Method};
use super::sealed::{Counter, Kept, Pending, Refresh};
use super::{DEADLINE, MAX_ANSWER, shown};

/// What a token endpoint gave.
#[derive(Debug, Deserialize)]
pub struct Granted {
    /// Goes with requests.
    pub access_token: SecretString,
    token_type: String,
    /// How long, in seconds.
    #[serde(default)]
    pub expires_in: Option<u64>,
    /// Gets the next one.
    #[serde(default)]
    pub refresh_token: Option<SecretString>,
    /// What it is good for, where that is not what was asked for.
    #[serde(default)]
    pub scope: Option<String>,
}

/// Why there are no tokens.
#[derive(Debug, thiserror::Error)]
pub enum NoTokens {
    /// The authorization server says no, and will again.
    #[error("{0}")]
    Refused(String),
    /// It may be different the next time.
    #[error("{0}")]
    Later(String),
}

#[derive(Deserialize)]
struct Said {
    error: String,
    #[serde(default)]
    error_description: Option<String>,
}

/// Redeems a code.
///
/// # Errors
/// See [`NoTokens`].
pub async fn code(
    client: &RemoteClient,
    pending: &Pending,
    code: &SecretString,
) -> Result<Granted, NoTokens> {
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.expose_secret()),
        ("redirect_uri", &pending.redirect_uri),
        ("code_verifier", pending.verifier.expose_secret()),
        ("resource", &pending.counter.resource),
    ];
    tokens(client, &pending.counter, &form).await
}

/// Exchanges a refresh token. One that is not replaced stays good.
///
/// # Errors
/// See [`NoTokens`].
pub async fn refresh(
    client: &RemoteClient,
    counter: &Counter,
    token: &Refresh,
) -> Result<Granted, NoTokens> {
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", token.0.expose_secret()),
        ("resource", &counter.resource),
    ];
    let mut granted = tokens(client, counter, &form).await?;
    granted.refresh_token.get_or_insert_with(|| token.0.clone());
    Ok(granted)
}

/// Gives tokens back, where the server takes them.
///
/// # Errors
/// Why it could not be done, for the log.
pub async fn revoke(client: &RemoteClient, kept: &Kept) -> Result<(), String> {
    let Some(endpoint) = &kept.counter.revocation_endpoint else {
        return Ok(());
    };
    // A server ends the grant with its refresh token, and the access token with the grant.
    let (token, hint) = match &kept.refresh_token {
        Some(refresh) => (&refresh.0, "refresh_token"),
        None => (&kept.access_token, "access_token"),
    };
    let form = [("token", token.expose_secret()), ("token_type_hint", hint)];
    let answer = post(client, endpoint, &kept.counter.client, &form).await?;
    match answer.status() {
        StatusCode::OK => Ok(()),
        status => Err(format!("HTTP status {status}")),
    }
}

async fn tokens(
    client: &RemoteClient,
    counter: &Counter,
    form: &[(&str, &str)],
) -> Result<Granted, NoTokens> {
    let posted = post(client, &counter.token_endpoint, &counter.client, form).await;
    read(&posted.map_err(NoTokens::Later)?)
}

/// Pure.
fn read(answer: &Response<Bytes>) -> Result<Granted, NoTokens> {
    let status = answer.status();
    if status == StatusCode::OK {
        // The parser's own words could quote the tokens.
        let granted: Granted = serde_json::from_slice(answer.body())
            .map_err(|_| NoTokens::Refused("its answer has no tokens".to_owned()))?;
        if !granted.token_type.eq_ignore_ascii_case("bearer") {
            let kind = shown(&granted.token_type);
            return Err(NoTokens::Refused(format!(
                "it gave a token of the type {kind}, which we can't use"
            )));
        }
        if HeaderValue::from_str(granted.access_token.expose_secret()).is_err() {
            let why = "it gave a token that no header can hold";
            return Err(NoTokens::Refused(why.to_owned()));
        }
        return Ok(granted);
    }
    let said = match serde_json::from_slice::<Said>(answer.body()) {
        Ok(said) => {
            let description = said.error_description.unwrap_or_default();
            format!("{} {}", shown(&said.error), shown(&description))
        }
        Err(_) => format!("HTTP status {status}"),
    };
    let said = said.trim().to_owned();
    match status {
        StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Err(NoTokens::Refused(said))
        }
        _ => Err(NoTokens::Later(said)),
    }
}

async fn post(
    client: &RemoteClient,
    endpoint: &Url,
    identity: &Identity,
    form: &[(&str, &str)],
) -> Result<Response<Bytes>, String> {
    let url = RemoteUrl::new(endpoint.clone()).map_err(|error| error.to_string())?;
    let request = request(identity, form)?;
    let sent = client.exchange(&url, request, MAX_ANSWER, DEADLINE).await;
    sent.map_err(|error| error.to_string())
}

/// A form of a client that shows who it is. Pure.
fn request(identity: &Identity, form: &[(&str, &str)]) -> Result<Request<Bytes>, String> {
    let mut body = Serializer::new(String::new());
    body.extend_pairs(form);
    let mut request = Request::post("/")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(ACCEPT, "application/json");
    match (identity.method, &identity.secret) {
        (Method::ClientSecretBasic, Some(secret)) => {
            let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
            let (id, secret) = (encoded(&identity.id), encoded(secret.0.expose_secret()));
            let pair = Zeroizing::new(format!("{id}:{secret}"));
            let basic = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
            let mut value = HeaderValue::from_str(&basic).map_err(|error| error.to_string())?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        (_, secret) => {
            body.append_pair("client_id", &identity.id);
            if let (Method::ClientSecretPost, Some(secret)) = (identity.method, secret) {
                body.append_pair("client_secret", secret.0.expose_secret());
            }
        }
    }
    let request = request.body(Bytes::from(body.finish()));
    request.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Response<Bytes> {
        let body = Bytes::from(body.to_owned());
        Response::builder().status(status).body(body).unwrap()
    }

    #[test]
    fn an_answer_is_tokens_a_refusal_or_a_matter_of_time() {
        let good = r#"{"access_token":"a","token_type":"bearer","expires_in":5,"x":1}"#;
        let granted = read(&answer(200, good)).unwrap();
        assert_eq!(granted.access_token.expose_secret(), "a");
        assert!(granted.refresh_token.is_none());
        for (status, body, says) in [
            (
                200,
                r#"{"access_token":"secret","token_type":"mac"}"#,
                "type mac",
            ),
            (
                200,
                r#"{"access_token":"a\nb","token_type":"Bearer"}"#,
                "no header",
            ),
            (200, "<html>secret", "no tokens"),
            (
                400,
                r#"{"error":"invalid_grant","error_description":"it is\n over"}"#,
                "invalid_grant it is over",
            ),
            (401, "", "401"),
        ] {
            match read(&answer(status, body)).unwrap_err() {
                NoTokens::Refused(said) => {
                    assert!(said.contains(says), "{said}");
                    assert!(!said.contains("secret"), "{said}");
                }
                NoTokens::Later(said) => panic!("{said}"),
            }
        }
        for status in [302, 429, 500, 503] {
            let read = read(&answer(status, ""));
            assert!(matches!(read, Err(NoTokens::Later(_))), "{status}");
        }
    }
}
