//! The secret of service-to-service calls under `/internal` (ENV-3).

use agentopia_api::INTERNAL_SECRET_HEADER;
use http::HeaderMap;
use secrecy::ExposeSecret as _;
use subtle::ConstantTimeEq as _;

use crate::config::Config;
use crate::problem::{Answer, Refusal, kind};

/// Whether the caller holds the secret; compared in constant time.
///
/// # Errors
/// The same refusal whether it is missing or wrong; a 404 while no secret is configured.
pub fn check(config: &Config, headers: &HeaderMap) -> Answer<()> {
    let Some(secret) = &config.internal_api_secret else {
        return Err(Refusal::new(
            kind::UNKNOWN_ROUTE,
            "service-to-service calls are off; set INTERNAL_API_SECRET to turn them on",
        ));
    };
    let sent = headers
        .get(INTERNAL_SECRET_HEADER)
        .map_or(&b""[..], |value| value.as_bytes());
    if bool::from(secret.expose_secret().as_bytes().ct_eq(sent)) {
        return Ok(());
    }
    Err(Refusal::new(
        kind::WRONG_INTERNAL_SECRET,
        "send the configured secret in the header `X-Internal-Api-Secret`",
    ))
}
