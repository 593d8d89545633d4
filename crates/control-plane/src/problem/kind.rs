//! Every kind of refusal: the codes are part of the API and never change their meaning.

use http::StatusCode;

/// A kind of refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// The HTTP status.
    pub status: StatusCode,
    /// Stable, snake case.
    pub code: &'static str,
    /// For people.
    pub title: &'static str,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $status:ident, $code:literal, $title:literal;)+) => {
        $($(#[$doc])* pub const $name: Kind = Kind {
            status: StatusCode::$status,
            code: $code,
            title: $title,
        };)+

        /// All of them, for documentation and tests.
        pub const ALL: &[Kind] = &[$($name),+];
    };
}

kinds! {
    /// The body is no JSON.
    INVALID_JSON = BAD_REQUEST, "invalid_json", "The body is no valid JSON";
    /// The query string has unknown or wrong parameters.
    INVALID_QUERY = BAD_REQUEST, "invalid_query", "The query parameters are wrong";
    /// The cursor is not one that this list gave.
    INVALID_CURSOR = BAD_REQUEST, "invalid_cursor", "The cursor is not valid";
    /// A header is missing or wrong.
    INVALID_HEADER = BAD_REQUEST, "invalid_header", "A header is wrong";
    /// Nobody is signed in, or the token or session is unknown, expired or revoked.
    NOT_SIGNED_IN = UNAUTHORIZED, "not_signed_in", "You are not signed in";
    /// E-mail and password do not belong together.
    WRONG_CREDENTIALS = UNAUTHORIZED, "wrong_credentials", "The sign-in was refused";
    /// The service-to-service secret is missing or wrong.
    WRONG_INTERNAL_SECRET = FORBIDDEN, "wrong_internal_secret", "The internal secret is wrong";
    /// The set-up token is missing, wrong or used.
    WRONG_SETUP_TOKEN = FORBIDDEN, "wrong_setup_token", "The set-up token is wrong";
    /// The caller is known but may not do this.
    FORBIDDEN = FORBIDDEN, "forbidden", "You may not do this";
    /// The token has too few scopes.
    MISSING_SCOPE = FORBIDDEN, "missing_scope", "The token's scopes do not allow this";
    /// A change by cookie without the right `X-CSRF-Token`.
    CSRF = FORBIDDEN, "csrf_token_required", "The CSRF token is missing or wrong";
    /// The request comes from a page of another origin.
    FOREIGN_ORIGIN = FORBIDDEN, "foreign_origin", "Requests from this origin are refused";
    /// The `Host` is not one that this server answers to.
    UNKNOWN_HOST = MISDIRECTED_REQUEST, "unknown_host", "This server does not answer to that host name";
    /// No such thing, or another account's.
    NOT_FOUND = NOT_FOUND, "not_found", "Not found";
    /// No such address.
    UNKNOWN_ROUTE = NOT_FOUND, "unknown_route", "There is no such address";
    /// The address exists, but not for this method.
    METHOD_NOT_ALLOWED = METHOD_NOT_ALLOWED, "method_not_allowed", "The method is not allowed here";
    /// Something else has this name.
    DUPLICATE = CONFLICT, "duplicate", "The name is taken";
    /// The secret is used by instances.
    SECRET_IN_USE = CONFLICT, "secret_in_use", "The secret is in use";
    /// The row changed while the request was worked on.
    CHANGED_MEANWHILE = CONFLICT, "changed_meanwhile", "It changed in the meantime";
    /// The first admin exists.
    ALREADY_SET_UP = CONFLICT, "already_set_up", "The set-up was done before";
    /// The object's status does not allow it.
    WRONG_STATE = CONFLICT, "wrong_state", "Its status does not allow this";
    /// The machine is too small.
    DOES_NOT_FIT = CONFLICT, "does_not_fit", "It does not fit on the machine";
    /// The machine's firewall is full.
    TOO_MANY_RULES = CONFLICT, "too_many_rules", "The machine's firewall has no room for it";
    /// The instance does not run.
    NOT_RUNNING = CONFLICT, "not_running", "The instance is not running";
    /// One's own account can't be disabled.
    OWN_ACCOUNT = CONFLICT, "own_account", "That would lock you out";
    /// The body is too large.
    TOO_LARGE = PAYLOAD_TOO_LARGE, "body_too_large", "The body is too large";
    /// The body is of another media type.
    UNSUPPORTED_MEDIA_TYPE = UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "Send JSON";
    /// Fields are missing, unknown, of the wrong type or not allowed.
    INVALID_INPUT = UNPROCESSABLE_ENTITY, "invalid_input", "The request has wrong fields";
    /// The configuration does not fit the tool's schema.
    INVALID_CONFIG = UNPROCESSABLE_ENTITY, "invalid_config", "The configuration does not fit the tool's schema";
    /// The catalog has no such version of the tool.
    UNKNOWN_VERSION = UNPROCESSABLE_ENTITY, "unknown_version", "The tool has no such version";
    /// The catalog has no such entry.
    UNKNOWN_CATALOG_ENTRY = UNPROCESSABLE_ENTITY, "unknown_catalog_entry", "The catalog has no such tool";
    /// A required secret is not mapped.
    MISSING_SECRET = UNPROCESSABLE_ENTITY, "missing_secret", "A required secret is missing";
    /// A mapped secret does not exist, or the tool reads no such variable.
    UNKNOWN_SECRET = UNPROCESSABLE_ENTITY, "unknown_secret", "There is no such secret";
    /// The tool is one HTTP server for all who use it.
    LINK_SECRETS_UNSUPPORTED = UNPROCESSABLE_ENTITY, "link_secrets_unsupported", "A link to this tool can't carry secrets of its own";
    /// The catalog entry takes no new instances.
    ARCHIVED = UNPROCESSABLE_ENTITY, "archived", "The tool is archived";
    /// The tool comes as a package that wants something of its runtime which machines can't do.
    PACKAGE_UNSUPPORTED = UNPROCESSABLE_ENTITY, "package_unsupported", "This package can't be run";
    /// What was to be imported can't be read, or is of a kind that can't be run.
    NOT_IMPORTABLE = UNPROCESSABLE_ENTITY, "not_importable", "It can't be imported";
    /// The size, region or image can't be had here, or not for this machine.
    NOT_OFFERED = UNPROCESSABLE_ENTITY, "not_offered", "It can't be had for this machine";
    /// Nobody can log in at the server that runs elsewhere.
    LOGIN_NOT_POSSIBLE = UNPROCESSABLE_ENTITY, "login_not_possible", "The login can't be made";
    /// Too many wrong guesses.
    TOO_MANY_ATTEMPTS = TOO_MANY_REQUESTS, "too_many_attempts", "Too many attempts";
    /// Our fault.
    INTERNAL = INTERNAL_SERVER_ERROR, "internal", "Something went wrong";
    /// The machine or the tool gave a wrong answer or an error.
    UPSTREAM = BAD_GATEWAY, "upstream_error", "The tool's machine answered with an error";
    /// The machine can't be reached.
    UNREACHABLE = BAD_GATEWAY, "unreachable", "The tool's machine can't be reached";
    /// The provider of machines gave no answer, or refused.
    PROVIDER = BAD_GATEWAY, "provider_error", "The provider of machines gave no answer";
    /// A part that we need is away.
    UNAVAILABLE = SERVICE_UNAVAILABLE, "unavailable", "Not available right now";
    /// The control plane's disk is full.
    STORAGE_FULL = SERVICE_UNAVAILABLE, "storage_full", "The control plane's disk is full";
    /// It took too long.
    TIMED_OUT = GATEWAY_TIMEOUT, "timed_out", "It took too long";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_snake_case() {
        let mut seen = std::collections::BTreeSet::new();
        for kind in ALL {
            assert!(seen.insert(kind.code), "{} twice", kind.code);
            assert!(
                kind.code
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b == b'_'),
                "{}",
                kind.code
            );
        }
    }
}
