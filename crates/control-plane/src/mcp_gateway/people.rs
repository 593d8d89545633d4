//! Lets people use the endpoint of an instance: its owner, with a personal token that may write.

use agentopia_domain::token::{self, Scope, TokenKind, TokenSubject};
use agentopia_domain::{AccountId, Ambient};
use agentopia_gateway::{InstanceRoute, PersonPrincipal, PrincipalAuthoriser};
use agentopia_store::Store;
use async_trait::async_trait;
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
}
