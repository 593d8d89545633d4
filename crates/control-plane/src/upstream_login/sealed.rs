//! What the vault keeps of a login, as JSON: before the browser came back, and after.

use agentopia_api::expose::expose;
use agentopia_domain::{AccountId, InstanceId};
use agentopia_vault::{Context, Vault, VaultError};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;

use super::identity::Identity;

/// A login that was begun.
#[derive(Debug, Serialize, Deserialize)]
pub struct Pending {
    /// Proves that the code was asked for by us.
    #[serde(serialize_with = "expose")]
    pub verifier: SecretString,
    /// Where the browser is sent to.
    pub page: Url,
    /// Whose code it will be.
    pub issuer: String,
    /// Whether the issuer says who it is when it sends the browser back.
    pub says_issuer: bool,
    /// What is asked for.
    pub scope: Option<String>,
    /// Where the browser comes back to.
    pub redirect_uri: String,
    /// Where and as whom tokens are got.
    pub counter: Counter,
}

/// Where and as whom tokens are got, renewed and given back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Counter {
    /// Where codes and refresh tokens are exchanged.
    pub token_endpoint: Url,
    /// Where tokens are given back.
    pub revocation_endpoint: Option<Url>,
    /// What the tokens are for.
    pub resource: String,
    /// Who we are there.
    pub client: Identity,
}

/// Tokens.
#[derive(Debug, Serialize, Deserialize)]
pub struct Kept {
    /// Goes with every request to the server.
    #[serde(serialize_with = "expose")]
    pub access_token: SecretString,
    /// Gets the next one, where there is one.
    pub refresh_token: Option<Refresh>,
    /// Where it is renewed.
    pub counter: Counter,
}

/// A refresh token.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Refresh(#[serde(serialize_with = "expose")] pub SecretString);

fn context(account_id: AccountId, instance_id: InstanceId, id: Uuid) -> Context {
    Context::UpstreamLogin {
        account_id,
        instance_id,
        id,
    }
}

/// Seals a value for an instance of an account.
///
/// # Errors
/// The vault's.
pub async fn seal(
    vault: &dyn Vault,
    (account, instance): (AccountId, InstanceId),
    id: Uuid,
    value: &impl Serialize,
) -> anyhow::Result<Vec<u8>> {
    let text = SecretString::from(serde_json::to_string(value)?);
    let sealed = vault
        .seal_text(&context(account, instance, id), &text)
        .await;
    Ok(sealed?)
}

/// Opens what was sealed for the same.
///
/// # Errors
/// The vault's.
pub async fn open<T: DeserializeOwned>(
    vault: &dyn Vault,
    (account, instance): (AccountId, InstanceId),
    id: Uuid,
    sealed: &[u8],
) -> Result<T, VaultError> {
    let context = context(account, instance, id);
    let text = vault.open_text(&context, sealed).await?;
    // Written by us: what can't be read is of a version that is not ours.
    serde_json::from_str(text.expose_secret()).map_err(|_| VaultError::NotText)
}
