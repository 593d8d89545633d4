//! The control plane's own parts: what it was told, and where it keeps things.

use agentopia_domain::environment::ProviderKind;
use agentopia_domain::page::PageRequest;
use agentopia_domain::verification::Check;
use agentopia_store::{Store, StoreError};
use agentopia_vault::{Context, Vault, VaultError};
use secrecy::SecretString;
use url::Host;

use crate::config::Config;

pub(super) const DATABASE: &str = "control_plane.database";
pub(super) const VAULT: &str = "control_plane.vault";
/// How many secrets of accounts are opened; the oldest, which an older key may have sealed.
const SAMPLE: u32 = 50;

/// What a running server was told is valid; this is about what can hardly be meant.
pub(super) fn configuration(config: &Config) -> Check {
    let name = "control_plane.configuration";
    let Some(url) = &config.public_url else {
        if config.bind.ip().is_loopback() && config.provider == ProviderKind::Local {
            return Check::ok(name, "it serves this machine only: `public_url` is not set");
        }
        return Check::warning(
            name,
            format!(
                "`public_url` is not set, so agents are told the address {}: set it to the one \
                 that people and agents use, such as https://tools.example.com",
                config.base_url()
            ),
        );
    };
    let here = match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    if url.scheme() == "http" && !here {
        return Check::warning(
            name,
            format!(
                "passwords and tokens travel to {} in the clear: put a proxy with a certificate in \
                 front, and set `public_url` to its https:// address",
                config.base_url()
            ),
        );
    }
    Check::ok(
        name,
        format!("it was read, and serves {}", config.base_url()),
    )
}

/// Whether the database answers and has the tables of this version.
pub(super) async fn database(store: &Store) -> Check {
    let engine = store.engine();
    let schema = async {
        store.ping().await?;
        store.schema().await
    };
    match schema.await {
        Err(error) => Check::failed(
            DATABASE,
            format!("{engine}: {error}; look whether it runs, and at `database_url`"),
        ),
        Ok(schema) if !schema.missing.is_empty() => Check::failed(
            DATABASE,
            format!(
                "{engine} lacks {}: restart the server, which brings the tables up to date",
                schema.missing.join(", ")
            ),
        ),
        Ok(schema) if !schema.newer.is_empty() => Check::warning(
            DATABASE,
            format!(
                "{engine} has {} of a later version: another replica was upgraded, upgrade this \
                 one too",
                schema.newer.join(", ")
            ),
        ),
        Ok(_) => Check::ok(
            DATABASE,
            format!("{engine} answers and has this version's tables"),
        ),
    }
}

/// Whether the vault's keys open what was sealed, and seal what they open.
pub(super) async fn vault(store: &Store, vault: &dyn Vault) -> Check {
    match open_sealed(store, vault).await {
        Ok(count) => Check::ok(
            VAULT,
            format!("its key opens what is sealed ({count} values)"),
        ),
        Err(Unopened::Store(error)) => Check::failed(
            VAULT,
            format!("what is sealed can't be read from the database: {error}"),
        ),
        Err(Unopened::Vault(what, error)) => {
            Check::failed(VAULT, format!("{what} can't be sealed or opened: {error}"))
        }
    }
}

enum Unopened {
    Store(StoreError),
    Vault(String, VaultError),
}

impl From<StoreError> for Unopened {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

async fn open_sealed(store: &Store, vault: &dyn Vault) -> Result<usize, Unopened> {
    let canary = Context::System {
        name: "verification".to_owned(),
    };
    let told = |what: String| move |error| Unopened::Vault(what, error);
    let sealed = vault
        .seal_text(&canary, &SecretString::from("canary"))
        .await;
    let sealed = sealed.map_err(told("a new value".to_owned()))?;
    let opened = vault.open(&canary, &sealed).await;
    opened.map_err(told("a new value".to_owned()))?;
    let mut count = 0;
    for (name, sealed) in store.system_secrets().list().await? {
        let what = format!("the installation's {name}");
        let context = Context::System { name };
        vault.open(&context, &sealed).await.map_err(told(what))?;
        count += 1;
    }
    let page = PageRequest {
        after: None,
        limit: SAMPLE,
    };
    for secret in store.secrets().list_sealed_unscoped(page).await?.items {
        let record = secret.record;
        let context = Context::Secret {
            account_id: record.account_id,
            secret_id: record.id,
            revision: record.revision,
        };
        let what = format!("the secret {} of an account", record.id);
        vault
            .open(&context, &secret.ciphertext)
            .await
            .map_err(told(what))?;
        count += 1;
    }
    Ok(count)
}
