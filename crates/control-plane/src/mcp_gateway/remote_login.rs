//! Requests to servers at which the owner of an instance logged in (AGT-7): with the token of the login,
//! once more with the next one where the server does not take it, and what is said where none is taken.
//! The tokens are those of [`crate::upstream_login`].

use agentopia_gateway::ConnectError;
use agentopia_remote::{RemoteBody, RemoteClient, RemoteError, RemoteUrl};
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::upstream_login::challenge::Challenge;
use crate::upstream_login::discovery::discover;
use crate::upstream_login::tokens::{NoToken, Token, UpstreamTokens, Whose};

/// The way to one server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way<'a> {
    pub(super) client: &'a RemoteClient,
    pub(super) url: &'a RemoteUrl,
}

impl Way<'_> {
    pub(super) async fn send(
        self,
        request: Request<Bytes>,
    ) -> Result<Response<RemoteBody>, ConnectError> {
        let sent = self.client.send(self.url, request).await;
        sent.map_err(|error| match error {
            RemoteError::Refused(refusal) => ConnectError::Refused(refusal.why.to_string()),
            RemoteError::Broken { reason, .. } => ConnectError::Broken(reason),
            other => ConnectError::Unreachable(other.to_string()),
        })
    }
}

/// Sends with the token of the login.
pub(super) async fn send(
    tokens: &UpstreamTokens,
    whose: Whose<'_>,
    request: Request<Bytes>,
    way: Way<'_>,
) -> Result<Response<RemoteBody>, ConnectError> {
    let mut token = tokens.token(whose).await.map_err(no_token)?;
    // Kept for the second time; a body is one allocation that both share.
    let (head, body) = request.into_parts();
    let made = |token: &Token| -> Result<Request<Bytes>, ConnectError> {
        let mut request = Request::from_parts(head.clone(), body.clone());
        let value = bearer(&token.value)?;
        request.headers_mut().insert(AUTHORIZATION, value);
        Ok(request)
    };
    let mut answer = way.send(made(&token)?).await?;
    if answer.status() == StatusCode::UNAUTHORIZED {
        token = tokens.after(whose, token.id).await.map_err(no_token)?;
        answer = way.send(made(&token)?).await?;
    }
    match answer.status() {
        StatusCode::UNAUTHORIZED => Err(no_token(tokens.refused(whose, token.id, None).await)),
        StatusCode::FORBIDDEN => match Challenge::of(&answer.into_parts().0.headers) {
            Some(challenge) if challenge.wants_more() => {
                let text = tokens.wants_more(whose, token.id, &challenge).await;
                Err(ConnectError::Refused(text))
            }
            _ => Err(ConnectError::Refused(
                "the server does not allow this to whoever logged in (HTTP status 403)".to_owned(),
            )),
        },
        _ => Ok(answer),
    }
}

/// What to do where a server wants a credential and was shown none. Writes it down where a login is
/// what it wants.
pub(super) async fn wanted(
    tokens: &UpstreamTokens,
    whose: Whose<'_>,
    challenge: &Challenge,
    way: Way<'_>,
) -> Option<ConnectError> {
    // A server need not say that people log in; its documents do.
    if challenge.resource_metadata.is_none() {
        discover(way.client, way.url).await.ok()?;
    }
    let text = tokens.wanted(whose, challenge).await;
    Some(ConnectError::Refused(text))
}

fn bearer(token: &SecretString) -> Result<HeaderValue, ConnectError> {
    let text = Zeroizing::new(format!("Bearer {}", token.expose_secret()));
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| ConnectError::Refused("its login's token can't be sent".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn no_token(error: NoToken) -> ConnectError {
    match error {
        NoToken::LogIn(text) => ConnectError::Refused(text),
        NoToken::Later(text) => ConnectError::Unreachable(text),
    }
}
