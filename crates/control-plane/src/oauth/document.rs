//! Metadata documents of clients (CIMD): a client's id is the address of a document that says who it
//! is, so that nobody has to register.
//!
//! The address comes from whoever opens the authorization page, so it is fetched by a guarded client
//! ([`Documents`] is the seam), rarely, small, and kept for a while.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use agentopia_domain::Ambient;
use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;
use serde::Deserialize;
use url::Url;

use super::client::{Client, clean_name};
use super::redirect;

/// The largest document.
pub const MAX_BYTES: usize = 16 * 1024;
/// How long fetching one may take.
pub const DEADLINE: Duration = Duration::from_secs(5);
/// How long one is believed without looking again.
const FRESH: TimeDelta = TimeDelta::minutes(10);
/// How many are kept.
const MOST_KEPT: usize = 256;
/// How many redirect addresses one may have.
const MOST_REDIRECTS: usize = 20;

/// Gets documents from addresses that anybody may have entered.
#[async_trait]
pub trait Documents: fmt::Debug + Send + Sync {
    /// The document at `url`, at most [`MAX_BYTES`] and within [`DEADLINE`].
    ///
    /// # Errors
    /// Why not, for the log.
    async fn get(&self, url: &str) -> Result<Bytes, String>;
}

/// What was read when, by address.
type Kept = HashMap<String, (DateTime<Utc>, Client)>;

/// Documents, as they were read last. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DocumentCache {
    source: Arc<dyn Documents>,
    ambient: Ambient,
    kept: Arc<Mutex<Kept>>,
}

impl DocumentCache {
    /// Reads from `source`.
    #[must_use]
    pub fn new(source: Arc<dyn Documents>, ambient: Ambient) -> Self {
        Self {
            source,
            ambient,
            kept: Arc::default(),
        }
    }

    /// The client that the document at `id` describes.
    ///
    /// # Errors
    /// A sentence for whoever opened the page.
    pub async fn client(&self, id: &str) -> Result<Client, String> {
        let now = self.ambient.now();
        if let Some((read, client)) = self.kept.lock().get(id)
            && now - *read < FRESH
        {
            return Ok(client.clone());
        }
        let document = self.source.get(id).await.map_err(|error| {
            tracing::info!(
                client_id = id,
                error,
                "a client's document could not be read"
            );
            "The address that the client gave as its id could not be read.".to_owned()
        })?;
        let client = read(id, &document)?;
        let mut kept = self.kept.lock();
        if kept.len() >= MOST_KEPT {
            kept.retain(|_, (read, _)| now - *read < FRESH);
        }
        if kept.len() < MOST_KEPT {
            kept.insert(id.to_owned(), (now, client.clone()));
        }
        Ok(client)
    }
}

/// Whether a client's id is the address of a document: https, with a path, and in no other form than
/// the one that it is compared in.
#[must_use]
pub fn is_address(id: &str) -> bool {
    let Ok(url) = Url::parse(id) else {
        return false;
    };
    url.scheme() == "https"
        && url.as_str() == id
        && url.path().len() > 1
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
        && id.len() <= 500
}

#[derive(Deserialize)]
struct Document {
    client_id: String,
    #[serde(default)]
    client_name: Option<String>,
    redirect_uris: Vec<String>,
    #[serde(default)]
    token_endpoint_auth_method: Option<String>,
}

/// What a document says. Pure.
///
/// # Errors
/// What is wrong with it.
pub fn read(id: &str, document: &[u8]) -> Result<Client, String> {
    let document: Document = serde_json::from_slice(document)
        .map_err(|_| "The client's metadata document is not one.".to_owned())?;
    if document.client_id != id {
        return Err("The client's metadata document is that of another client.".to_owned());
    }
    let method = document.token_endpoint_auth_method.as_deref();
    if method.is_some_and(|method| method != "none") {
        return Err(
            "The client wants to prove itself in a way that is not supported here.".to_owned(),
        );
    }
    let redirects = document.redirect_uris;
    if redirects.is_empty() || redirects.len() > MOST_REDIRECTS {
        return Err(
            "The client's metadata document has no redirect addresses, or too many.".into(),
        );
    }
    if let Some(problem) = redirects.iter().find_map(|one| redirect::check(one).err()) {
        return Err(format!(
            "A redirect address of the client is not allowed: {problem}."
        ));
    }
    let host = Url::parse(id)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned));
    let host = host.unwrap_or_default();
    let name = clean_name(document.client_name.as_deref().unwrap_or(&host));
    Ok(Client {
        id: id.to_owned(),
        name,
        vouched_by: Some(host),
        redirect_uris: redirects,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "https://app.example/client.json";

    #[test]
    fn an_id_is_an_address_in_one_form() {
        for good in [ID, "https://app.example:8443/a?b=c"] {
            assert!(is_address(good), "{good}");
        }
        for bad in [
            "http://app.example/client.json",
            "https://app.example/",
            "https://app.example",
            "https://APP.example/client.json",
            "https://app.example/x/../client.json",
            "https://app.example/client.json#x",
            "https://u@app.example/client.json",
            "https://app.example:443/client.json",
            "client",
        ] {
            assert!(!is_address(bad), "{bad}");
        }
    }

    #[test]
    fn a_document_speaks_for_its_own_address() {
        let good = json!({"client_id": ID, "client_name": "An\u{0}app", "redirect_uris": ["http://127.0.0.1/cb"],
            "token_endpoint_auth_method": "none", "something": "else"});
        let client = read(ID, good.to_string().as_bytes()).unwrap();
        assert_eq!(client.name, "Anapp");
        assert_eq!(client.vouched_by.as_deref(), Some("app.example"));
        for (key, value) in [
            ("client_id", json!("https://evil.example/client.json")),
            ("redirect_uris", json!([])),
            ("redirect_uris", json!(["javascript:alert(1)"])),
            ("redirect_uris", json!(["http://evil.example/"])),
            ("token_endpoint_auth_method", json!("client_secret_basic")),
        ] {
            let mut bad = good.clone();
            bad[key] = value;
            assert!(read(ID, bad.to_string().as_bytes()).is_err(), "{key}");
        }
        assert!(read(ID, b"<html>").is_err());
    }
}
