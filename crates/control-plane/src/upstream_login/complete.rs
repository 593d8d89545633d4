//! Takes what the browser brought back: judges it, redeems the code, keeps the tokens.

use agentopia_domain::event::{Actor, NewEvent, ObjectKind};
use agentopia_domain::instance::Instance;
use agentopia_store::{LoginAttempt, NewLoginTokens, RenewedTokens};
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;

use super::exchange::{self, Granted};
use super::sealed::{self, Counter, Kept, Pending, Refresh};
use super::shown;
use crate::oauth::request::Asked;
use crate::problem::{Answer, Refusal, kind};
use crate::state::AppState;

/// What the browser brought: a code, or that there is none.
///
/// # Errors
/// Why it is not believed, or what the authorization server said, for people.
pub fn code(pending: &Pending, asked: &Asked) -> Result<SecretString, String> {
    // First of all: what another issuer sent is neither a code nor an error of ours (RFC 9207).
    match asked.get("iss") {
        Some(issuer) if issuer != pending.issuer => {
            return Err("the answer is that of another authorization server".to_owned());
        }
        None if pending.says_issuer => {
            return Err("the answer does not say of which authorization server it is".to_owned());
        }
        _ => {}
    }
    if let Some(error) = asked.get("error") {
        let description = shown(asked.get("error_description").unwrap_or_default());
        return Err(match error {
            "access_denied" => "it was not allowed".to_owned(),
            error => format!("{} {description}", shown(error)).trim().to_owned(),
        });
    }
    let code = asked.get("code").map(SecretString::from);
    code.ok_or_else(|| "the answer has no code".to_owned())
}

/// Redeems `code` and keeps what there is for it.
///
/// # Errors
/// A refusal for people.
pub async fn redeem(
    state: &AppState,
    attempt: &LoginAttempt,
    instance: &Instance,
    pending: Pending,
    code: &SecretString,
    source_ip: Option<String>,
) -> Answer<()> {
    let granted = exchange::code(&state.remote, &pending, code).await;
    let granted = granted.map_err(|error| {
        let issuer = &pending.issuer;
        Refusal::new(kind::LOGIN_NOT_POSSIBLE, format!("{issuer}: {error}"))
    })?;
    let mut tokens = tokens(state, attempt, granted, pending.counter.clone()).await?;
    tokens.scope = tokens.scope.or(pending.scope);
    let client = &pending.counter.client;
    let given = if client.given {
        let id = state.ambient.new_id();
        let whose = (attempt.account_id, attempt.instance_id);
        let sealed = sealed::seal(&*state.vault, whose, id, client).await;
        Some((id, sealed.map_err(Refusal::internal)?))
    } else {
        None
    };
    let new = NewLoginTokens {
        given,
        instance_id: attempt.instance_id,
        account_id: attempt.account_id,
        issuer: pending.issuer.clone(),
        client_id: pending.counter.client.id,
        tokens,
    };
    let owner = agentopia_domain::UserId::from(attempt.account_id.as_uuid());
    let object = (ObjectKind::Instance, instance.id.as_uuid());
    let said = format!("{}: logged in at {}", instance.name, pending.issuer);
    let mut event = NewEvent::system(attempt.account_id, "instance.logged_in", object, said)
        .by(Actor::User(owner));
    event.source_ip = source_ip;
    state.store.upstream_logins().put(new, &[event]).await?;
    state.wake.instance(instance.id);
    state.events.ring();
    Ok(())
}

async fn tokens(
    state: &AppState,
    attempt: &LoginAttempt,
    granted: Granted,
    counter: Counter,
) -> Answer<RenewedTokens> {
    let whose = (attempt.account_id, attempt.instance_id);
    let now = state.ambient.now();
    let sealed_id = state.ambient.new_id();
    let (renew_at, expires_at) = times(now, granted.expires_in);
    let scope = granted.scope.clone();
    let kept = kept(granted, counter);
    let sealed = sealed::seal(&*state.vault, whose, sealed_id, &kept)
        .await
        .map_err(Refusal::internal)?;
    Ok(RenewedTokens {
        sealed_id,
        sealed,
        scope,
        renew_at,
        expires_at,
    })
}

/// What is kept of what was granted.
pub(super) fn kept(granted: Granted, counter: Counter) -> Kept {
    Kept {
        access_token: granted.access_token,
        refresh_token: granted.refresh_token.map(Refresh),
        counter,
    }
}

/// From when on tokens are renewed, and when they are over: a minute before, or a fifth of a short life.
pub(super) fn times(
    now: DateTime<Utc>,
    seconds: Option<u64>,
) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
    // Whoever says more than ten years says nothing.
    let life = seconds.and_then(|seconds| i64::try_from(seconds).ok());
    let Some(life) = life.filter(|life| *life < 10 * 365 * 24 * 3600) else {
        return (None, None);
    };
    let life = TimeDelta::seconds(life);
    let early = (life / 5).min(TimeDelta::minutes(1));
    (Some(now + life - early), Some(now + life))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_renewed_before_they_are_over() {
        let now = DateTime::UNIX_EPOCH;
        let after = |seconds| Some(now + TimeDelta::seconds(seconds));
        assert_eq!(times(now, Some(3600)), (after(3540), after(3600)));
        assert_eq!(times(now, Some(10)), (after(8), after(10)));
        assert_eq!(times(now, Some(0)), (after(0), after(0)));
        assert_eq!(times(now, None), (None, None));
        assert_eq!(times(now, Some(u64::MAX)), (None, None));
    }
}
