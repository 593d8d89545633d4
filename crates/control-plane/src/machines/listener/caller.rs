//! Which machine is calling: the certificate *and* the bearer token, both of the same machine.

use agentopia_domain::token::{self, TokenKind};
use agentopia_pki::environment_of;
use agentopia_pki::listener::Peer;
use agentopia_store::{CredentialState, DtmaCredential};
use axum::extract::FromRequestParts;
use axum_extra::TypedHeader;
use axum_extra::headers::Authorization;
use axum_extra::headers::authorization::Bearer;
use http::request::Parts;
use secrecy::SecretString;

use super::ListenerState;
use super::refusal::Refusal;

/// A machine that proved who it is.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) credential: DtmaCredential,
    pub(super) peer: Peer,
}

impl FromRequestParts<ListenerState> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &ListenerState,
    ) -> Result<Self, Self::Rejection> {
        let peer = parts.extensions.get::<Peer>().cloned();
        let peer = peer.ok_or_else(|| Refusal::unauthenticated("the connection has no peer"))?;
        let certificate = peer
            .certificate
            .as_ref()
            .ok_or_else(|| Refusal::unauthenticated("show the machine's certificate"))?;
        let bearer = bearer(parts, state).await?;
        let hash = token::hash_if(TokenKind::Dtma, &bearer)
            .ok_or_else(|| Refusal::unauthenticated("the bearer token is no machine's"))?;
        let credentials = state.store.dtma_credentials();
        let credential = credentials.by_bearer_unscoped(hash).await?;
        let credential = credential.ok_or_else(|| {
            Refusal::new(
                http::StatusCode::UNAUTHORIZED,
                "credentials_revoked",
                "Credentials revoked",
                "the bearer token is not (or no longer) known here",
            )
        })?;
        let same = certificate
            .dns_names
            .iter()
            .any(|name| environment_of(name) == Some(credential.environment_id));
        if !same {
            return Err(Refusal::unauthenticated(
                "certificate and bearer token are of different machines",
            ));
        }
        if let CredentialState::Locked { reason } = &credential.state {
            return Err(Refusal::locked(reason));
        }
        if !credential.accepts_serial(&certificate.serial_hex) {
            return Err(Refusal::new(
                http::StatusCode::UNAUTHORIZED,
                "certificate_superseded",
                "Certificate superseded",
                "a newer certificate is in use; renew the credentials",
            ));
        }
        // The first use of renewed credentials ends the ones before.
        let credential = credentials
            .confirm(credential.id, &certificate.serial_hex, &[])
            .await?
            .value;
        Ok(Self { credential, peer })
    }
}

/// The bearer token of a request.
async fn bearer(parts: &mut Parts, state: &ListenerState) -> Result<SecretString, Refusal> {
    let header = TypedHeader::<Authorization<Bearer>>::from_request_parts(parts, state).await;
    let TypedHeader(Authorization(bearer)) =
        header.map_err(|_| Refusal::unauthenticated("show the machine's bearer token"))?;
    Ok(SecretString::from(bearer.token()))
}

/// The bearer token alone, for those who have no certificate (any more). Nothing is known of it yet.
pub(super) struct Token(pub(super) SecretString);

impl FromRequestParts<ListenerState> for Token {
    type Rejection = Refusal;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &ListenerState,
    ) -> Result<Self, Self::Rejection> {
        bearer(parts, state).await.map(Self)
    }
}
