//! `POST /api/v1/tokens`: makes a personal token.

use agentopia_api::Problem;
use agentopia_api::token::{CreatePersonalTokenRequest, CreatedToken};
use agentopia_domain::ApiTokenId;
use agentopia_domain::event::ObjectKind;
use agentopia_domain::token::{self, Scope, TokenKind, TokenSubject};
use agentopia_domain::user::Role;
use agentopia_store::NewApiToken;
use axum::Json;
use chrono::{DateTime, Duration, Utc};
use http::StatusCode;

use crate::auth::permission::{Means, scope_name};
use crate::http::extract::{Body, Call};
use crate::problem::{Answer, Refusal, kind};

const DEFAULT_LIFE_SECONDS: u64 = 90 * 24 * 3600;
const MAX_LIFE_SECONDS: u64 = 366 * 24 * 3600;

/// Makes a personal token. It is shown in this answer and never again.
///
/// A token can make tokens, but none that may do more than itself, or for longer.
#[utoipa::path(
    post,
    path = "/api/v1/tokens",
    operation_id = "create_token",
    tag = "tokens",
    security(("session" = []), ("token" = [])),
    request_body = CreatePersonalTokenRequest,
    responses(
        (status = 201, description = "Made", body = CreatedToken),
        (status = 403, description = "missing_scope, forbidden", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    Body(request): Body<CreatePersonalTokenRequest>,
) -> Answer<(StatusCode, Json<CreatedToken>)> {
    let scopes = allowed_scopes(&request.scopes, call.caller.user.role, call.caller.means())?;
    let ends = life(request.expires_in_seconds, call.now())?;
    let limit = match call.caller.means() {
        Means::Session => None,
        Means::Token(_) => call.caller.expires_at(),
    };
    let expires_at = limit.map_or(ends, |limit| limit.min(ends));
    let minted = token::mint(TokenKind::Personal, &call.state.ambient);
    let id: ApiTokenId = call.new_id();
    let event = call.event(
        "api_token.created",
        (ObjectKind::ApiToken, id),
        format!("made the personal token {}", request.name),
    );
    let record = call
        .store()
        .api_tokens()
        .create(
            NewApiToken {
                id,
                account_id: call.account(),
                user_id: call.caller.user.id,
                name: request.name,
                subject: TokenSubject::Personal { scopes },
                expires_at: Some(expires_at),
                hash: minted.hash,
            },
            &[event],
        )
        .await?;
    Ok((
        StatusCode::CREATED,
        Json(CreatedToken {
            token: minted.secret,
            record: record.into(),
        }),
    ))
}

fn allowed_scopes(asked: &[Scope], role: Role, means: Means<'_>) -> Answer<Vec<Scope>> {
    if asked.is_empty() {
        return Err(Refusal::field(
            "scopes",
            "name at least one of read, write, admin",
        ));
    }
    let mut scopes = Vec::new();
    for scope in asked {
        if *scope == Scope::Admin && role != Role::Admin {
            return Err(Refusal::new(
                kind::FORBIDDEN,
                "only admins can make tokens with the scope `admin`",
            ));
        }
        if !means.holds(*scope) {
            return Err(Refusal::new(
                kind::MISSING_SCOPE,
                format!(
                    "a token can't make one that may do more than itself; it lacks `{}`",
                    scope_name(*scope)
                ),
            ));
        }
        if !scopes.contains(scope) {
            scopes.push(*scope);
        }
    }
    Ok(scopes)
}

fn life(asked: Option<u64>, now: DateTime<Utc>) -> Answer<DateTime<Utc>> {
    let seconds = asked.unwrap_or(DEFAULT_LIFE_SECONDS);
    if !(1..=MAX_LIFE_SECONDS).contains(&seconds) {
        return Err(Refusal::field(
            "expires_in_seconds",
            format!("use 1 to {MAX_LIFE_SECONDS}"),
        ));
    }
    Ok(now + Duration::seconds(i64::try_from(seconds).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_token_makes_a_mightier_one() {
        use Scope::{Admin, Read, Write};
        let user = |asked: &[Scope], means| allowed_scopes(asked, Role::User, means);
        assert!(user(&[Read, Write], Means::Session).is_ok());
        assert!(user(&[Admin], Means::Session).is_err());
        assert!(user(&[Write], Means::Token(&[Read])).is_err());
        assert!(user(&[Read], Means::Token(&[Write])).is_ok());
        assert!(user(&[], Means::Session).is_err());
        let admin = allowed_scopes(&[Admin, Admin], Role::Admin, Means::Session).unwrap();
        assert_eq!(admin, [Admin]);
        assert!(allowed_scopes(&[Admin], Role::Admin, Means::Token(&[Write])).is_err());
    }

    #[test]
    fn every_token_ends() {
        let now = DateTime::UNIX_EPOCH;
        assert_eq!(life(None, now).unwrap(), now + Duration::days(90));
        assert!(life(Some(0), now).is_err());
        assert!(life(Some(u64::MAX), now).is_err());
    }
}
