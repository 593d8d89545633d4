//! Who we are at an authorization server, in the order that MCP prescribes: a client that the owner
//! registered there, our metadata document (CIMD), or a client that we register (RFC 7591).

use agentopia_api::expose::expose;
use agentopia_remote::{RemoteClient, RemoteUrl};
use bytes::Bytes;
use http::{Request, StatusCode};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::metadata::ServerMetadata;
use super::{CALLBACK_PATH, DEADLINE, DOCUMENT_PATH, MAX_ANSWER, shown};

/// What we call ourselves.
const NAME: &str = "Agentopia";

/// A client's id and how it shows that it is that client.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Identity {
    /// The id.
    pub id: String,
    /// The secret, where the client has one.
    pub secret: Option<ClientSecret>,
    /// How the secret is shown.
    pub method: Method,
    /// Whether the owner gave it, so that it is used for the next login too.
    #[serde(default)]
    pub given: bool,
}

/// A client's secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientSecret(#[serde(serialize_with = "expose")] pub SecretString);

/// How a client shows who it is (RFC 7591, section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// By its id alone.
    None,
    /// In `Authorization`.
    ClientSecretBasic,
    /// In the form.
    ClientSecretPost,
}

impl Method {
    const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
        }
    }

    /// The best one that the server takes. Without a word from it there is `client_secret_basic` only
    /// (RFC 8414), but for clients without a secret.
    fn for_client(server: &ServerMetadata, has_secret: bool) -> Option<Self> {
        let wanted = if has_secret {
            [Self::ClientSecretBasic, Self::ClientSecretPost].as_slice()
        } else {
            &[Self::None]
        };
        let Some(taken) = &server.token_endpoint_auth_methods_supported else {
            return wanted.first().copied();
        };
        let is_taken = |method: &&Self| taken.iter().any(|word| word == method.word());
        wanted.iter().find(is_taken).copied()
    }
}

/// What the owner registered at the authorization server.
#[derive(Debug, Clone)]
pub struct Given {
    /// The client's id.
    pub id: String,
    /// Its secret, where it has one.
    pub secret: Option<SecretString>,
}

/// The document that says who we are; its address is our id.
#[must_use]
pub fn document(base: &str) -> Value {
    let mut document = registration(base, Method::None);
    document["client_id"] = json!(format!("{base}{DOCUMENT_PATH}"));
    document["client_uri"] = json!(base);
    document
}

fn registration(base: &str, method: Method) -> Value {
    // OpenID Connect Registration 1.0, section 2: browsers come back to a web client by https, to a native one
    // on their own machine.
    let kind = match base.starts_with("https://") {
        true => "web",
        false => "native",
    };
    json!({
        "client_name": NAME,
        "application_type": kind,
        "redirect_uris": [format!("{base}{CALLBACK_PATH}")],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": method.word(),
    })
}

/// Chooses who to be, and registers where that is needed.
///
/// # Errors
/// Why there is no way, for people.
pub async fn choose(
    client: &RemoteClient,
    server: &ServerMetadata,
    base: &str,
    given: Option<Given>,
) -> Result<Identity, String> {
    if let Some(given) = given {
        let method = Method::for_client(server, given.secret.is_some());
        return Ok(Identity {
            id: given.id,
            method: method.unwrap_or(match given.secret {
                Some(_) => Method::ClientSecretBasic,
                None => Method::None,
            }),
            secret: given.secret.map(ClientSecret),
            given: true,
        });
    }
    // The server reads the document: it has to get at it, by https.
    if server.client_id_metadata_document_supported && base.starts_with("https://") {
        return Ok(Identity {
            id: format!("{base}{DOCUMENT_PATH}"),
            secret: None,
            method: Method::None,
            given: false,
        });
    }
    match &server.registration_endpoint {
        Some(endpoint) => register(client, server, endpoint, base).await,
        None => Err(
            "it lets nobody register by themselves: register a client there by hand, with the \
             redirect address that `agentopia tools login --help` tells, and give its id with \
             `--client-id`"
                .to_owned(),
        ),
    }
}

#[derive(Deserialize)]
struct Registered {
    client_id: String,
    #[serde(default)]
    client_secret: Option<SecretString>,
    #[serde(default)]
    token_endpoint_auth_method: Option<String>,
}

async fn register(
    client: &RemoteClient,
    server: &ServerMetadata,
    endpoint: &str,
    base: &str,
) -> Result<Identity, String> {
    let cant = |why: String| format!("we can't register there: {why}");
    let url = RemoteUrl::parse(endpoint).map_err(|error| cant(error.to_string()))?;
    let method = Method::for_client(server, false)
        .or_else(|| Method::for_client(server, true))
        .unwrap_or(Method::None);
    let body = registration(base, method).to_string();
    let request = Request::post("/")
        .header("content-type", "application/json")
        .header("accept", "application/json")
        .body(Bytes::from(body))
        .map_err(|error| cant(error.to_string()))?;
    let answer = client
        .exchange(&url, request, MAX_ANSWER, DEADLINE)
        .await
        .map_err(|error| cant(error.to_string()))?;
    if !matches!(answer.status(), StatusCode::CREATED | StatusCode::OK) {
        return Err(cant(format!("HTTP status {}", answer.status())));
    }
    let registered: Registered = serde_json::from_slice(answer.body())
        .map_err(|_| cant("its answer is none of RFC 7591".to_owned()))?;
    let is_fine = |text: &str| {
        !text.is_empty() && text.len() <= 2048 && shown(text).len() == text.len().min(200)
    };
    if !is_fine(&registered.client_id) {
        return Err(cant("the id that it gave is none".to_owned()));
    }
    let method = match (
        &registered.client_secret,
        registered.token_endpoint_auth_method.as_deref(),
    ) {
        (None, _) | (_, Some("none")) => Method::None,
        (Some(_), Some("client_secret_post")) => Method::ClientSecretPost,
        (Some(_), Some("client_secret_basic")) => Method::ClientSecretBasic,
        (Some(_), Some(other)) => {
            return Err(cant(format!(
                "it wants {}, which we can't do",
                shown(other)
            )));
        }
        (Some(_), None) => Method::ClientSecretBasic,
    };
    Ok(Identity {
        id: registered.client_id,
        secret: match method {
            Method::None => None,
            _ => registered.client_secret.map(ClientSecret),
        },
        method,
        given: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(methods: Option<&[&str]>) -> ServerMetadata {
        let mut value = json!({
            "issuer": "https://a.example",
            "authorization_endpoint": "https://a.example/authorize",
            "token_endpoint": "https://a.example/token",
            "client_id_metadata_document_supported": true,
        });
        if let Some(methods) = methods {
            value["token_endpoint_auth_methods_supported"] = json!(methods);
        }
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_way_to_show_a_secret_is_one_that_the_server_takes() {
        let of = |methods, has_secret| Method::for_client(&server(methods), has_secret);
        assert_eq!(of(None, true), Some(Method::ClientSecretBasic));
        assert_eq!(of(None, false), Some(Method::None));
        assert_eq!(
            of(Some(&["client_secret_post"]), true),
            Some(Method::ClientSecretPost)
        );
        assert_eq!(of(Some(&["client_secret_post"]), false), None);
        assert_eq!(of(Some(&["private_key_jwt"]), true), None);
    }

    #[tokio::test]
    async fn our_document_is_our_id_where_it_can_be_read_and_a_given_client_comes_first() {
        let client = RemoteClient::new(agentopia_remote::RemotePolicy::default());
        let server = server(Some(&["none"]));
        let base = "https://tools.example";
        let ours = choose(&client, &server, base, None).await.unwrap();
        assert_eq!(ours.id, "https://tools.example/oauth/client.json");
        assert_eq!(document(base)["client_id"], json!(ours.id));
        assert_eq!(
            document(base)["redirect_uris"],
            json!(["https://tools.example/oauth/callback"])
        );
        let kind = |base| document(base)["application_type"].clone();
        assert_eq!(kind(base), "web");
        assert_eq!(kind("http://127.0.0.1:8080"), "native");
        let given = Given {
            id: "mine".to_owned(),
            secret: None,
        };
        let theirs = choose(&client, &server, base, Some(given)).await.unwrap();
        assert_eq!((theirs.id.as_str(), theirs.given), ("mine", true));
        // By http nobody can read it, and there is no registration.
        let without = choose(&client, &server, "http://127.0.0.1:8080", None).await;
        assert!(without.unwrap_err().contains("--client-id"));
    }
}
