//! What each operation requires: one table, and no other place decides.
//!
//! A route that is not in the table is refused (the middleware in [`super::authenticate`] asks
//! here before any handler runs), and a test compares the table with the OpenAPI document.

use agentopia_domain::token::Scope;
use agentopia_domain::user::Role;

use crate::problem::{Answer, Refusal, kind};

/// What a caller has to show for an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requirement {
    /// Nothing.
    Public,
    /// The service-to-service secret.
    Internal,
    /// To be signed in, by session or by a token with this scope. The caller's own account only.
    Account(Scope),
    /// To be signed in by e-mail and password: no token will do.
    Session,
    /// To be an admin; by token, one with the scope `admin`.
    Admin,
}

use Requirement::{Account, Admin, Internal, Public, Session};
const READ: Requirement = Account(Scope::Read);
const WRITE: Requirement = Account(Scope::Write);

/// Method, path as the router has it, requirement.
pub const TABLE: &[(&str, &str, Requirement)] = &[
    ("GET", "/health", Public),
    ("GET", "/ready", Public),
    ("GET", "/api/v1/openapi.json", Public),
    ("GET", "/api/v1/setup", Public),
    ("POST", "/api/v1/setup", Public),
    ("POST", "/api/v1/session", Public),
    ("GET", "/api/v1/session", READ),
    ("DELETE", "/api/v1/session", Session),
    ("POST", "/api/v1/password", Session),
    ("GET", "/api/v1/users", Admin),
    ("POST", "/api/v1/users", Admin),
    ("PATCH", "/api/v1/users/{id}", Admin),
    ("GET", "/api/v1/tokens", READ),
    ("POST", "/api/v1/tokens", WRITE),
    ("DELETE", "/api/v1/tokens/{id}", WRITE),
    ("GET", "/api/v1/environment", READ),
    ("POST", "/api/v1/environment/enable", WRITE),
    ("POST", "/api/v1/environment/disable", WRITE),
    ("GET", "/api/v1/environment/usage", READ),
    ("GET", "/api/v1/environment/sizes", READ),
    ("POST", "/api/v1/environment/scale", WRITE),
    ("GET", "/api/v1/catalog", READ),
    ("POST", "/api/v1/catalog", Admin),
    ("POST", "/api/v1/catalog-import", Admin),
    ("GET", "/v0.1/servers", READ),
    ("GET", "/v0.1/servers/{name}/versions", READ),
    ("GET", "/v0.1/servers/{name}/versions/{version}", READ),
    ("GET", "/api/v1/catalog/{entry}", READ),
    ("PUT", "/api/v1/catalog/{entry}", Admin),
    ("DELETE", "/api/v1/catalog/{entry}", Admin),
    ("GET", "/api/v1/instances", READ),
    ("POST", "/api/v1/instances", WRITE),
    ("GET", "/api/v1/instances/{id}", READ),
    ("PATCH", "/api/v1/instances/{id}", WRITE),
    ("DELETE", "/api/v1/instances/{id}", WRITE),
    ("POST", "/api/v1/instances/{id}/start", WRITE),
    ("POST", "/api/v1/instances/{id}/stop", WRITE),
    ("POST", "/api/v1/instances/{id}/restart", WRITE),
    ("GET", "/api/v1/instances/{id}/logs", READ),
    ("GET", "/api/v1/instances/{id}/doctor", READ),
    ("GET", "/api/v1/instances/{id}/tools", READ),
    ("GET", "/api/v1/instances/{id}/definitions", READ),
    ("PUT", "/api/v1/instances/{id}/definitions", WRITE),
    ("POST", "/api/v1/instances/{id}/definitions/accept", WRITE),
    ("GET", "/api/v1/instances/{id}/updates", READ),
    ("POST", "/api/v1/instances/{id}/upgrade", WRITE),
    ("POST", "/api/v1/instances/{id}/rollback", WRITE),
    ("POST", "/api/v1/instances/{id}/call", WRITE),
    ("POST", "/api/v1/instances/{id}/login", WRITE),
    ("DELETE", "/api/v1/instances/{id}/login", WRITE),
    ("GET", "/api/v1/agents", READ),
    ("POST", "/api/v1/agents", WRITE),
    ("GET", "/api/v1/agents/{id}", READ),
    ("PATCH", "/api/v1/agents/{id}", WRITE),
    ("DELETE", "/api/v1/agents/{id}", WRITE),
    ("GET", "/api/v1/agents/{id}/config", READ),
    ("GET", "/api/v1/agents/{id}/discovery", READ),
    ("GET", "/api/v1/agents/{id}/tokens", READ),
    ("POST", "/api/v1/agents/{id}/tokens", WRITE),
    ("DELETE", "/api/v1/agents/{id}/tokens/{token_id}", WRITE),
    ("GET", "/api/v1/agents/{id}/grants", READ),
    ("GET", "/api/v1/grants", READ),
    ("DELETE", "/api/v1/grants/{id}", WRITE),
    ("GET", "/api/v1/agents/{id}/links", READ),
    ("PUT", "/api/v1/agents/{id}/links/{instance_id}", WRITE),
    ("DELETE", "/api/v1/agents/{id}/links/{instance_id}", WRITE),
    ("GET", "/api/v1/secrets", READ),
    ("PUT", "/api/v1/secrets/{name}", WRITE),
    ("DELETE", "/api/v1/secrets/{name}", WRITE),
    ("GET", "/api/v1/registry-logins", READ),
    ("PUT", "/api/v1/registry-logins/{host}", WRITE),
    ("DELETE", "/api/v1/registry-logins/{host}", WRITE),
    ("POST", "/api/v1/legacy-import", Admin),
    ("GET", "/api/v1/orphans", Admin),
    ("POST", "/api/v1/orphans/{id}/remove", Admin),
    ("POST", "/api/v1/verification", Admin),
    ("GET", "/api/v1/calls", READ),
    ("GET", "/api/v1/calls/counts", READ),
    ("GET", "/api/v1/calls/{sequence}", READ),
    ("GET", "/api/v1/settings", READ),
    ("PATCH", "/api/v1/settings", WRITE),
    ("GET", "/api/v1/events", READ),
    ("GET", "/api/v1/events/stream", READ),
    (
        "POST",
        "/internal/agents/{agent_id}/ensure-tool-environment",
        Internal,
    ),
];

/// What `method path` requires; `None` for what nobody may call.
#[must_use]
pub fn requirement(method: &str, path: &str) -> Option<Requirement> {
    // Axum answers HEAD with the handler of GET.
    let method = if method == "HEAD" { "GET" } else { method };
    TABLE
        .iter()
        .find(|(m, p, _)| *m == method && *p == path)
        .map(|(_, _, requirement)| *requirement)
}

/// The methods that `path` has in the table.
#[must_use]
pub fn methods(path: &str) -> Vec<&'static str> {
    TABLE
        .iter()
        .filter(|(_, p, _)| *p == path)
        .map(|(method, _, _)| *method)
        .collect()
}

/// By what a caller is signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means<'a> {
    /// A browser session: everything that the role allows.
    Session,
    /// A personal token.
    Token(&'a [Scope]),
}

impl Means<'_> {
    /// Whether `scope` is held. Who may write may read; `admin` includes neither.
    #[must_use]
    pub fn holds(self, scope: Scope) -> bool {
        match self {
            Self::Session => true,
            Self::Token(scopes) => {
                scopes.contains(&scope) || (scope == Scope::Read && scopes.contains(&Scope::Write))
            }
        }
    }
}

/// Whether a signed-in caller meets a requirement.
///
/// # Errors
/// A refusal that says what is missing.
pub fn decide(requirement: Requirement, role: Role, means: Means<'_>) -> Answer<()> {
    let scope = |scope: Scope| {
        if means.holds(scope) {
            return Ok(());
        }
        Err(Refusal::new(
            kind::MISSING_SCOPE,
            format!(
                "this needs a token with the scope `{}`; make one with it",
                scope_name(scope)
            ),
        ))
    };
    match requirement {
        Public => Ok(()),
        // Checked by its own secret; being signed in is no substitute.
        Internal => Err(Refusal::new(
            kind::WRONG_INTERNAL_SECRET,
            "this is for services that hold the internal secret",
        )),
        Account(needed) => scope(needed),
        Session => match means {
            Means::Session => Ok(()),
            Means::Token(_) => Err(Refusal::new(
                kind::FORBIDDEN,
                "this can't be done with a token; sign in with e-mail and password",
            )),
        },
        Admin => {
            if role != Role::Admin {
                return Err(Refusal::new(
                    kind::FORBIDDEN,
                    "only admins may do this; ask one of them",
                ));
            }
            scope(Scope::Admin)
        }
    }
}

/// The scope's name on the wire.
#[must_use]
pub const fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Read => "read",
        Scope::Write => "write",
        Scope::Admin => "admin",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_in_the_table_is_nobodys() {
        assert_eq!(requirement("GET", "/api/v1/nothing"), None);
        assert_eq!(requirement("TRACE", "/api/v1/agents"), None);
        assert_eq!(requirement("HEAD", "/health"), Some(Public));
    }

    #[test]
    fn no_operation_stands_twice() {
        let mut seen = std::collections::BTreeSet::new();
        for (method, path, _) in TABLE {
            assert!(seen.insert((method, path)), "{method} {path}");
        }
    }

    #[test]
    fn who_may_do_what() {
        use Scope::{Admin as A, Read as R, Write as W};
        let session = Means::Session;
        for (requirement, role, means, allowed) in [
            (READ, Role::User, session, true),
            (WRITE, Role::User, session, true),
            (Admin, Role::User, session, false),
            (Admin, Role::Admin, session, true),
            (READ, Role::User, Means::Token(&[R]), true),
            (READ, Role::User, Means::Token(&[W]), true),
            (READ, Role::Admin, Means::Token(&[A]), false),
            (WRITE, Role::User, Means::Token(&[R]), false),
            (WRITE, Role::Admin, Means::Token(&[A, R]), false),
            (Admin, Role::Admin, Means::Token(&[R, W]), false),
            (Admin, Role::Admin, Means::Token(&[A]), true),
            (Admin, Role::User, Means::Token(&[A]), false),
            (Session, Role::Admin, Means::Token(&[R, W, A]), false),
            (Internal, Role::Admin, session, false),
            (READ, Role::User, Means::Token(&[]), false),
        ] {
            assert_eq!(
                decide(requirement, role, means).is_ok(),
                allowed,
                "{requirement:?} {role:?} {means:?}"
            );
        }
    }
}
