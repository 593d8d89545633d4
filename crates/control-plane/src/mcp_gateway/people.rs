//! Lets people use the endpoint of an instance: its owner, with a personal token that may write, or
//! by the browser login of a client at that very endpoint.

use agentopia_domain::oauth::{Audience, Grant};
use agentopia_domain::token::{self, Scope, TokenHash, TokenKind, TokenSubject};
use agentopia_domain::{AccountId, Ambient};
use agentopia_gateway::{InstanceRoute, PersonPrincipal, PrincipalAuthoriser, TokenRoute};
use agentopia_store::{GrantTokenKind, Store};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use http::{HeaderMap, header};
use secrecy::SecretString;

/// See the module's header.
#[derive(Debug)]
pub struct Owners {
    /// Where tokens are kept.
    pub store: Store,
    /// Tokens expire.
    pub ambient: Ambient,
}

#[async_trait]
impl PrincipalAuthoriser for Owners {
    async fn authorise(
        &self,
        headers: &HeaderMap,
        instance: &InstanceRoute,
    ) -> Option<PersonPrincipal> {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, bearer) = value.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let bearer = SecretString::from(bearer.trim());
        if let Some(hash) = token::hash_if(TokenKind::Access, &bearer) {
            return self.by_login(hash, instance).await;
        }
        let hash = token::hash_if(TokenKind::Personal, &bearer)?;
        let found = match self.store.api_tokens().by_hash_unscoped(hash).await {
            Ok(found) => found?,
            Err(error) => {
                tracing::warn!(%error, "a personal token could not be looked up");
                return None;
            }
        };
        let may_write = match &found.subject {
            TokenSubject::Personal { scopes } => scopes.contains(&Scope::Write),
            TokenSubject::Agent(_) => false,
        };
        let owner = AccountId::from(found.user_id) == instance.account_id;
        let user = self.store.users().get(found.user_id).await.ok()?;
        (owner && may_write && !user.disabled && found.is_valid(self.ambient.now())).then_some(
            PersonPrincipal {
                user_id: found.user_id,
                credential: hash,
            },
        )
    }

    async fn login(&self, token: TokenHash) -> Option<TokenRoute> {
        let (grant, expires_at) = self.live_login(token).await?;
        Some(TokenRoute {
            hash: token,
            agent_id: grant.audience.agent()?,
            expires_at: Some(expires_at),
            login: Some(grant.credential()),
        })
    }
}

impl Owners {
    /// By an access token that was given for this endpoint and no other.
    async fn by_login(&self, hash: TokenHash, instance: &InstanceRoute) -> Option<PersonPrincipal> {
        let (grant, _) = self.live_login(hash).await?;
        let fits = grant.audience == Audience::Instance(instance.id)
            && grant.account_id == instance.account_id;
        fits.then(|| PersonPrincipal {
            user_id: grant.user_id,
            credential: grant.credential(),
        })
    }

    /// The grant of an access token that is good now, and when the token ends.
    async fn live_login(&self, hash: TokenHash) -> Option<(Grant, DateTime<Utc>)> {
        let found = match self.store.grants().by_token_unscoped(hash).await {
            Ok(found) => found?,
            Err(error) => {
                tracing::warn!(%error, "an access token could not be looked up");
                return None;
            }
        };
        let (grant, now) = (found.grant, self.ambient.now());
        let is_good =
            found.kind == GrantTokenKind::Access && now < found.expires_at && grant.is_live(now);
        if !is_good {
            return None;
        }
        let user = self.store.users().get(grant.user_id).await.ok()?;
        (!user.disabled).then_some((grant, found.expires_at))
    }
}
