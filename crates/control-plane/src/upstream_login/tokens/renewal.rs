//! The exchange of a refresh token for the next tokens: by one replica, in whose lease nobody else does it,
//! and what the others do meanwhile.

use std::sync::Arc;
use std::time::Duration;

use agentopia_store::{RenewedTokens, StoreError};
use tokio::time::Instant;
use uuid::Uuid;

use super::{Held, NoToken, UpstreamTokens, Whose, later};
use crate::upstream_login::complete::{kept, times};
use crate::upstream_login::exchange::{self, NoTokens};
use crate::upstream_login::sealed;

/// How long one replica may take to renew tokens: more than the token endpoint may take.
const LEASE: Duration = Duration::from_secs(30);
/// How long a token endpoint that could not be used is left alone: everybody who waits for their turn
/// would wait for it anew.
const REST: Duration = Duration::from_secs(3);
/// How often the others look whether it is done.
const POLL: Duration = Duration::from_millis(200);

impl UpstreamTokens {
    /// Exchanges the refresh token, or waits for the replica that does.
    pub(super) async fn renew(&self, whose: Whose<'_>, held: &Held) -> Result<Arc<Held>, NoToken> {
        let Some(refresh) = &held.kept.refresh_token else {
            let why = format!("the login at {} is over", held.issuer);
            return Err(self.over(whose, held.sealed_id, &why).await);
        };
        if let Some((at, why)) = self.failed.lock().get(&whose.instance)
            && at.elapsed() < REST
        {
            return Err(NoToken::Later(why.clone()));
        }
        let logins = self.store.upstream_logins();
        let claimed = logins.claim(whose.instance, held.sealed_id, self.owner, LEASE);
        if !claimed.await.map_err(later)? {
            return self.wait_for_other(whose, held.sealed_id).await;
        }
        match exchange::refresh(&self.client, &held.kept.counter, refresh).await {
            Ok(granted) => {
                let (renew_at, expires_at) = times(self.ambient.now(), granted.expires_in);
                let scope = granted.scope.clone();
                let new = Held {
                    account: held.account,
                    sealed_id: self.ambient.new_id(),
                    issuer: held.issuer.clone(),
                    kept: kept(granted, held.kept.counter.clone()),
                    renew_at,
                    expires_at,
                };
                self.store_renewed(whose, held.sealed_id, new, scope).await
            }
            Err(NoTokens::Refused(why)) => {
                let why = format!("the login at {} is over ({why})", held.issuer);
                Err(self.over(whose, held.sealed_id, &why).await)
            }
            Err(NoTokens::Later(why)) => {
                if let Err(error) = logins.release(whose.instance, self.owner).await {
                    tracing::warn!(%error, "a lease on a login ends by itself");
                }
                let issuer = &held.issuer;
                let text = format!("the login at {issuer} can't be renewed right now: {why}");
                let mut failed = self.failed.lock();
                failed.retain(|_, (at, _)| at.elapsed() < REST);
                failed.insert(whose.instance, (Instant::now(), text.clone()));
                Err(NoToken::Later(text))
            }
        }
    }

    async fn store_renewed(
        &self,
        whose: Whose<'_>,
        old: Uuid,
        new: Held,
        scope: Option<String>,
    ) -> Result<Arc<Held>, NoToken> {
        let of = (new.account, whose.instance);
        let sealed = sealed::seal(&*self.vault, of, new.sealed_id, &new.kept).await;
        let sealed = sealed.map_err(|error| {
            tracing::error!(instance = %whose.instance, %error, "a login can't be sealed");
            NoToken::Later("its login can't be kept".to_owned())
        })?;
        let tokens = RenewedTokens {
            sealed_id: new.sealed_id,
            sealed,
            scope,
            renew_at: new.renew_at,
            expires_at: new.expires_at,
        };
        let logins = self.store.upstream_logins();
        let new = Arc::new(new);
        // What is not written is lost for good where refresh tokens are good for one use.
        for pause in [50, 200, 1000, 0] {
            let done = logins.renewed(whose.instance, old, self.owner, tokens.clone());
            match done.await {
                Ok(()) => {
                    self.keep(whose.instance, &new);
                    return Ok(new);
                }
                // Somebody logged in or out in between: that holds.
                Err(StoreError::Stale { .. }) => return self.current(whose).await,
                Err(error) if pause == 0 => return Err(later(error)),
                Err(_) => tokio::time::sleep(Duration::from_millis(pause)).await,
            }
        }
        Err(NoToken::Later("its login can't be kept".to_owned()))
    }

    async fn wait_for_other(&self, whose: Whose<'_>, old: Uuid) -> Result<Arc<Held>, NoToken> {
        let patience = Instant::now() + LEASE;
        while Instant::now() < patience {
            tokio::time::sleep(POLL).await;
            let held = self.current(whose).await?;
            if held.sealed_id != old {
                return Ok(held);
            }
        }
        Err(NoToken::Later("its login is being renewed".to_owned()))
    }
}
