//! Secrets of the installation itself: made by the first replica that needs one, kept in the store
//! sealed by the vault, the same for every replica ever after.

use agentopia_store::Store;
use agentopia_vault::{Context, Vault};
use anyhow::Context as _;
use secrecy::SecretString;

/// The secret called `name`; `make` is asked for one if there is none yet. Of several replicas
/// that make one at the same moment, one wins and all get the winner's.
///
/// # Errors
/// When the store or the vault can't be used.
pub async fn secret(
    store: &Store,
    vault: &dyn Vault,
    name: &str,
    make: impl FnOnce() -> anyhow::Result<SecretString>,
) -> anyhow::Result<SecretString> {
    let context = Context::System {
        name: name.to_owned(),
    };
    let secrets = store.system_secrets();
    let sealed = match secrets.get(name).await? {
        Some(sealed) => sealed,
        None => {
            let sealed = vault.seal_text(&context, &make()?).await?;
            secrets.put_if_absent(name, sealed).await?
        }
    };
    vault
        .open_text(&context, &sealed)
        .await
        .with_context(|| format!("the installation's {name} can't be read from the vault"))
}
