//! Asks an image's registry what the image is: its digest, which is pinned, and its labels. Anonymously,
//! and through `agentopia-remote` as every address that people name. A registry that gives no answer is
//! no reason to refuse: the machine that runs the image has logins of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use agentopia_catalog_import::Draft;
use agentopia_catalog_import::image::Reference;
use agentopia_domain::spec::ImageRef;
use agentopia_remote::{RemoteClient, RemoteError, RemoteUrl};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::http::extract::Call;

/// Manifests and configurations of images are at most so long.
const MOST: usize = 4 << 20;
const PATIENCE: Duration = Duration::from_secs(10);
const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// What a registry knows of an image.
struct Known {
    digest: String,
    /// None where the image's configuration could not be read.
    labels: Option<BTreeMap<String, String>>,
}

/// Puts into `draft` what its registry says.
pub(super) async fn complete(
    call: &Call,
    draft: &mut Draft,
    reference: &Reference,
    transport_is_told: bool,
) {
    let note = match look(&call.state.remote, reference).await {
        Ok(known) => {
            draft.pinned(reference, &known.digest);
            let labels = known.labels.unwrap_or_default();
            draft
                .labelled(&labels, transport_is_told)
                .err()
                .map(|problem| problem.to_string())
        }
        Err(why) => Some(format!("its registry could not be asked for it ({why})")),
    };
    draft.notes.extend(note);
    if !transport_is_told && !draft.tells_transport() {
        draft.notes.push(
            "nothing tells how the image speaks MCP: stdio was taken; say it with `transport` \
             (`--transport`) if it serves HTTP"
                .to_owned(),
        );
    }
}

/// The digest that an image's registry has for its tag.
///
/// # Errors
/// Why that can't be told.
pub(in crate::http::v1) async fn digest_at_registry(
    client: &RemoteClient,
    reference: &Reference,
) -> Result<String, String> {
    let (_, body) = manifest(client, reference).await?;
    Ok(digest_of(&body))
}

async fn look(client: &RemoteClient, reference: &Reference) -> Result<Known, String> {
    let (mut asking, body) = manifest(client, reference).await?;
    let digest = digest_of(&body);
    if reference
        .digest
        .as_ref()
        .is_some_and(|asked| *asked != digest)
    {
        return Err("it answered with another image than was asked for".to_owned());
    }
    let labels = asking.labels(&body).await.ok();
    Ok(Known { digest, labels })
}

/// What the registry has under the reference, and how it is asked for more.
async fn manifest<'a>(
    client: &'a RemoteClient,
    reference: &Reference,
) -> Result<(Asking<'a>, Bytes), String> {
    let image = ImageRef {
        repository: reference.repository.clone(),
        tag: None,
        digest: None,
    };
    let host = image.registry().ok_or("the reference names no registry")?;
    let path = reference.repository[host.len()..].trim_start_matches('/');
    let named = reference.digest.as_deref().or(reference.tag.as_deref());
    let named = named.unwrap_or("latest");
    let mut asking = Asking {
        client,
        base: format!("https://{host}/v2/{path}"),
        token: None,
    };
    let mut answer = asking.get(&format!("manifests/{named}")).await;
    if matches!(answer, Err(RemoteError::Unreachable(_))) {
        // Registries of one's own network often have no certificate; the policy says whether that may be.
        asking.base = format!("http://{host}/v2/{path}");
        answer = asking.get(&format!("manifests/{named}")).await;
    }
    Ok((asking, ok(answer)?))
}

fn digest_of(body: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(body)))
}

fn ok(answer: Result<Response<Bytes>, RemoteError>) -> Result<Bytes, String> {
    let answer = answer.map_err(|error| error.to_string())?;
    match answer.status() {
        StatusCode::OK => Ok(answer.into_body()),
        StatusCode::UNAUTHORIZED => Err("it wants a login".to_owned()),
        status => Err(format!("it answered {status}")),
    }
}

struct Asking<'a> {
    client: &'a RemoteClient,
    base: String,
    token: Option<String>,
}

impl Asking<'_> {
    async fn get(&mut self, path: &str) -> Result<Response<Bytes>, RemoteError> {
        let address = format!("{}/{path}", self.base);
        let answer = self.once(&address).await?;
        if answer.status() != StatusCode::UNAUTHORIZED || self.token.is_some() {
            return Ok(answer);
        }
        let Some(url) = token_address(answer.headers()) else {
            return Ok(answer);
        };
        let given = self.client.get_bytes(&url, MOST, PATIENCE).await?;
        let given: Value = serde_json::from_slice(given.body()).unwrap_or_default();
        let token = given["token"].as_str().or(given["access_token"].as_str());
        self.token = token.map(str::to_owned);
        self.once(&address).await
    }

    async fn once(&self, address: &str) -> Result<Response<Bytes>, RemoteError> {
        let unreachable = |_| RemoteError::Unreachable("that is no address".to_owned());
        let url = RemoteUrl::parse(address)
            .map_err(|problem| RemoteError::Unreachable(format!("its address {problem}")))?;
        let mut request = Request::new(Bytes::new());
        request
            .headers_mut()
            .insert(header::ACCEPT, http::HeaderValue::from_static(ACCEPT));
        if let Some(token) = &self.token {
            let value = format!("Bearer {token}").parse().map_err(unreachable)?;
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        self.client.exchange(&url, request, MOST, PATIENCE).await
    }

    /// The labels in the image's configuration; of an index, those of the image for our machines.
    async fn labels(&mut self, body: &[u8]) -> Result<BTreeMap<String, String>, String> {
        let mut manifest: Value = serde_json::from_slice(body).map_err(|_| "no manifest")?;
        if let Some(manifests) = manifest["manifests"].as_array() {
            let chosen = manifests
                .iter()
                .find(|it| {
                    it["platform"]["os"] == "linux" && it["platform"]["architecture"] == "amd64"
                })
                .or(manifests.first())
                .and_then(|it| it["digest"].as_str())
                .ok_or("an empty index")?
                .to_owned();
            let body = self.content("manifests", &chosen).await?;
            manifest = serde_json::from_slice(&body).map_err(|_| "no manifest")?;
        }
        let config = manifest["config"]["digest"]
            .as_str()
            .ok_or("no configuration")?
            .to_owned();
        let body = self.content("blobs", &config).await?;
        let config: Value = serde_json::from_slice(&body).map_err(|_| "no configuration")?;
        let labels = config["config"]["Labels"].as_object();
        let text =
            |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
        Ok(labels.into_iter().flatten().filter_map(text).collect())
    }

    /// What has this digest, and nothing else.
    async fn content(&mut self, kind: &str, digest: &str) -> Result<Bytes, String> {
        if !agentopia_domain::catalog::is_digest(digest) {
            return Err("no digest".to_owned());
        }
        let body = ok(self.get(&format!("{kind}/{digest}")).await)?;
        if digest_of(&body) == digest {
            Ok(body)
        } else {
            Err("other content than was asked for".to_owned())
        }
    }
}

/// Where a registry gives tokens to anybody: `Bearer realm="…",service="…",scope="…"`.
fn token_address(headers: &HeaderMap) -> Option<RemoteUrl> {
    let text = headers.get(header::WWW_AUTHENTICATE)?.to_str().ok()?;
    let rest = text
        .strip_prefix("Bearer ")
        .or_else(|| text.strip_prefix("bearer "))?;
    let field = |name: &str| {
        let (_, after) = rest.split_once(&format!("{name}=\""))?;
        after.split_once('"').map(|(value, _)| value)
    };
    let mut url = Url::parse(field("realm")?).ok()?;
    for name in ["service", "scope"] {
        if let Some(value) = field(name) {
            url.query_pairs_mut().append_pair(name, value);
        }
    }
    RemoteUrl::new(url).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_says_where_it_gives_tokens() {
        let address = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::WWW_AUTHENTICATE, text.parse().unwrap());
            token_address(&headers).map(|url| url.to_string())
        };
        assert_eq!(
            address(r#"Bearer realm="https://auth.example/token",service="r.example",scope="repository:a/b:pull""#).unwrap(),
            "https://auth.example/token?service=r.example&scope=repository%3Aa%2Fb%3Apull"
        );
        for none in [
            r#"Basic realm="x""#,
            "Bearer",
            r#"Bearer realm="ftp://x""#,
            r#"Bearer service="x""#,
        ] {
            assert_eq!(address(none), None, "{none}");
        }
    }
}
