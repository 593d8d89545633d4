//! A request for authorization: read, then judged. What is wrong before the redirect address is known
//! to be the client's is told to the person; what is wrong after that, to the client.

use std::collections::HashMap;

use super::client::Client;
use super::resource::{self, Resource};
use super::{pkce, redirect, scope};

/// The longest state that is passed through, in bytes.
const MAX_STATE: usize = 4_096;

/// What stood in the address, each parameter at most once.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    parameters: HashMap<String, String>,
    twice: bool,
}

impl Asked {
    /// Reads a query string.
    #[must_use]
    pub fn read(query: &str) -> Self {
        let mut asked = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let before = asked
                .parameters
                .insert(name.into_owned(), value.into_owned());
            asked.twice |= before.is_some();
        }
        asked
    }

    /// A parameter that has a value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let value = self.parameters.get(name).map(String::as_str);
        value.filter(|value| !value.is_empty())
    }

    /// Whether a parameter stood there more than once (RFC 6749, section 3.1, forbids it).
    #[must_use]
    pub const fn is_ambiguous(&self) -> bool {
        self.twice
    }
}

/// A request that a person may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizationRequest {
    /// Who asks.
    pub client: Client,
    /// Where the answer goes.
    pub redirect_uri: String,
    /// What the client wants back with the answer.
    pub state: Option<String>,
    /// What the code's redeemer has to know the origin of.
    pub challenge: String,
    /// Which endpoint it is about.
    pub resource: Resource,
}

/// An error that the client is told, at an address that is known to be its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// Where.
    pub redirect_uri: String,
    /// The client's state.
    pub state: Option<String>,
    /// The error's name in the standards.
    pub error: &'static str,
    /// For the client's developer.
    pub description: &'static str,
}

/// Judges the rest of a request whose client and redirect address are known to belong together.
///
/// # Errors
/// What the client is told.
pub fn judge(
    base: &str,
    asked: &Asked,
    client: Client,
    redirect_uri: String,
) -> Result<AuthorizationRequest, Denied> {
    let state = asked.get("state").map(str::to_owned);
    let denied = |error, description| Denied {
        redirect_uri: redirect_uri.clone(),
        state: state.clone().filter(|state| state.len() <= MAX_STATE),
        error,
        description,
    };
    if state.as_ref().is_some_and(|state| state.len() > MAX_STATE) {
        return Err(denied("invalid_request", "state is longer than 4096 bytes"));
    }
    if asked.get("request").is_some() || asked.get("request_uri").is_some() {
        return Err(denied(
            "request_not_supported",
            "send the parameters themselves",
        ));
    }
    match asked.get("response_type") {
        Some("code") => {}
        Some(_) => {
            return Err(denied(
                "unsupported_response_type",
                "response_type must be code",
            ));
        }
        None => return Err(denied("invalid_request", "response_type is missing")),
    }
    if asked
        .get("response_mode")
        .is_some_and(|mode| mode != "query")
    {
        return Err(denied("invalid_request", "response_mode must be query"));
    }
    if asked.get("code_challenge_method") != Some("S256") {
        return Err(denied(
            "invalid_request",
            "code_challenge_method must be S256",
        ));
    }
    let challenge = asked
        .get("code_challenge")
        .filter(|text| pkce::is_challenge(text));
    let Some(challenge) = challenge else {
        return Err(denied(
            "invalid_request",
            "code_challenge must be a SHA-256 in base64url",
        ));
    };
    if !scope::fits(asked.get("scope")) {
        return Err(denied("invalid_scope", "the only scope is mcp"));
    }
    let resource = asked
        .get("resource")
        .and_then(|text| resource::parse(base, text));
    let Some(resource) = resource else {
        return Err(denied(
            "invalid_target",
            "resource must be the address of an MCP endpoint here, as its metadata has it",
        ));
    };
    if asked.get("prompt") == Some("none") {
        return Err(denied(
            "interaction_required",
            "a person has to agree each time",
        ));
    }
    Ok(AuthorizationRequest {
        challenge: challenge.to_owned(),
        resource,
        state,
        redirect_uri,
        client,
    })
}

/// The address of an answer: with the client's state and our issuer (RFC 9207), in every case.
#[must_use]
pub fn answer_to(
    issuer: &str,
    redirect_uri: &str,
    state: Option<&str>,
    answer: &[(&str, &str)],
) -> Option<String> {
    let mut all = answer.to_vec();
    if let Some(state) = state {
        all.push(("state", state));
    }
    all.push(("iss", issuer));
    redirect::with_answer(redirect_uri, &all)
}
