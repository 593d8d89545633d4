//! Finds out who lets people in at a server: what the server says, and what its authorization server
//! says. Each document is read through the guard, and believed by [`super::metadata`]'s rules only.

use std::time::Duration;

use agentopia_remote::{RemoteClient, RemoteError, RemoteUrl};
use http::StatusCode;
use serde::de::DeserializeOwned;
use url::Url;

use super::challenge::Challenge;
use super::metadata::{self, ResourceMetadata, ServerMetadata};
use super::{DEADLINE, MAX_ANSWER, shown};
use crate::mcp_gateway::remote::look;

/// How many authorization servers of one server are tried.
const MOST_ISSUERS: usize = 3;

/// Who lets people in at a server, and for what.
#[derive(Debug)]
pub struct Found {
    /// The server's name for tokens.
    pub resource: String,
    /// The authorization server.
    pub server: ServerMetadata,
    /// What tokens should be good for.
    pub scope: Option<String>,
}

/// Asks the server at `url`.
///
/// # Errors
/// Why nobody can log in there, for people.
pub async fn discover(client: &RemoteClient, url: &RemoteUrl) -> Result<Found, String> {
    let challenge = challenge(client, url).await?;
    let asked = challenge.as_ref();
    let resource = resource(client, url, asked).await?;
    let (name, issuers, supported) = match resource {
        Some((name, found)) => (name, found.authorization_servers, found.scopes_supported),
        // Before 2025-06-18 the server's own origin was its authorization server.
        None => (
            metadata::canonical(url.as_url()),
            vec![url.as_url().origin().ascii_serialization()],
            Vec::new(),
        ),
    };
    let mut problem = "the server names no authorization server".to_owned();
    for issuer in issuers.iter().take(MOST_ISSUERS) {
        match server(client, issuer).await {
            Ok(server) => {
                let scope = asked.and_then(|asked| asked.scope.clone());
                let scope = scope.unwrap_or_else(|| supported.join(" "));
                return Ok(Found {
                    scope: wanted(&scope, &server),
                    resource: name,
                    server,
                });
            }
            Err(why) => problem = format!("its authorization server {}: {why}", shown(issuer)),
        }
    }
    Err(problem)
}

/// What is asked for: what the server wants, and to be renewed without the owner where that has a scope
/// of its own.
fn wanted(scope: &str, server: &ServerMetadata) -> Option<String> {
    let stays = "offline_access";
    let offers_it = server.scopes_supported.iter().any(|word| word == stays);
    let all = match scope.trim() {
        "" => return None,
        scope if offers_it => metadata::together([scope, stays]),
        scope => metadata::together([scope]),
    };
    Some(all)
}

/// What the server says to somebody without a token.
async fn challenge(client: &RemoteClient, url: &RemoteUrl) -> Result<Option<Challenge>, String> {
    let request = look().map_err(|error| error.to_string())?;
    let limit = Duration::from_secs(10);
    let answer = tokio::time::timeout(limit, client.send(url, request))
        .await
        .map_err(|_| format!("the server gave no answer within {} s", limit.as_secs()))?
        .map_err(|error| error.to_string())?;
    Ok(match answer.status() {
        StatusCode::UNAUTHORIZED => Challenge::of(answer.headers()),
        _ => None,
    })
}

/// The server's metadata with its name for tokens; none where it publishes none.
async fn resource(
    client: &RemoteClient,
    url: &RemoteUrl,
    challenge: Option<&Challenge>,
) -> Result<Option<(String, ResourceMetadata)>, String> {
    let named = challenge.and_then(|challenge| challenge.resource_metadata.as_deref());
    let (places, must) = match named {
        Some(place) => {
            let place = Url::parse(place)
                .map_err(|_| "the server's metadata is at an address that is none".to_owned())?;
            (vec![place], true)
        }
        None => (metadata::of_resource(url.as_url()), false),
    };
    for place in places {
        let Some(found) = document::<ResourceMetadata>(client, &place).await? else {
            continue;
        };
        let name = metadata::resource_for(&found.resource, url.as_url());
        let name = name.ok_or_else(|| {
            format!(
                "the server's metadata is that of another server, {}",
                shown(&found.resource)
            )
        })?;
        return Ok(Some((name, found)));
    }
    if must {
        return Err("the server says where its metadata is, but there is none".to_owned());
    }
    Ok(None)
}

async fn server(client: &RemoteClient, issuer: &str) -> Result<ServerMetadata, String> {
    let url = RemoteUrl::parse(issuer).map_err(|error| format!("its address {error}"))?;
    for place in metadata::of_issuer(url.as_url()) {
        let Some(found) = document::<ServerMetadata>(client, &place).await? else {
            continue;
        };
        metadata::judge(issuer, &found)?;
        endpoint(client, "its page for logins", &found.authorization_endpoint).await?;
        endpoint(client, "its token endpoint", &found.token_endpoint).await?;
        return Ok(found);
    }
    Err("there is no metadata of an authorization server there".to_owned())
}

/// Whether an endpoint is where tokens and people may be sent to: https, or where the operator allows.
async fn endpoint(client: &RemoteClient, what: &str, address: &str) -> Result<(), String> {
    let url = RemoteUrl::parse(address).map_err(|error| format!("{what} {error}"))?;
    let checked = client.check(&url).await;
    checked.map_err(|error| format!("{what}: {error}"))
}

/// A document; none where there is nothing of its kind.
async fn document<T: DeserializeOwned>(
    client: &RemoteClient,
    place: &Url,
) -> Result<Option<T>, String> {
    let url = RemoteUrl::new(place.clone()).map_err(|error| format!("its metadata {error}"))?;
    match client.get_bytes(&url, MAX_ANSWER, DEADLINE).await {
        Ok(answer) => Ok(serde_json::from_slice(answer.body()).ok()),
        Err(RemoteError::Status(_)) => Ok(None),
        Err(error) => Err(format!("its metadata can't be read: {error}")),
    }
}
