//! `dtma purge`: takes away everything that this DTMA ever made on this machine, volumes included.
//! For a machine that goes on existing after its environment is gone (provider `local`).

use std::collections::BTreeSet;

use agentopia_domain::Ambient;
use anyhow::Context as _;

use super::lock::Lock;
use super::start_runtime;
use crate::config::Config;
use crate::identity::IdentityStore;
use crate::ledger::Ledger;
use crate::runtime::choose::choose;

/// Removes everything. The DTMA must not run. Doing it twice is fine.
///
/// # Errors
/// When something can't be removed; the rest is tried nevertheless.
pub async fn purge(config: Config, ambient: Ambient) -> anyhow::Result<()> {
    if !config.data_dir.is_dir() {
        return Ok(());
    }
    let _lock = Lock::take(&config.data_dir)?;
    let store = IdentityStore::open(&config.data_dir.join("identity"))?;
    let Some(identity) = store.load()? else {
        // Never enrolled: it has not made anything.
        return Ok(());
    };
    let chosen = choose(config.runtime, &config.data_dir)
        .await
        .map_err(anyhow::Error::msg)?;
    let runtime = start_runtime(&config, &ambient, &chosen, &identity).await?;
    let ledger = Ledger::open(&config.data_dir.join("ledger"), ambient)?;
    // Volumes of instances that are long gone are known by their tombstones only.
    let mut ids: BTreeSet<_> = ledger.all().into_iter().map(|(id, _)| id).collect();
    ids.extend(
        runtime
            .observe()
            .await?
            .into_iter()
            .map(|it| it.instance_id),
    );
    let mut failed = None;
    for id in ids {
        if let Err(error) = runtime.remove(id, true).await {
            tracing::error!(instance = %id, %error, "can't be removed");
            failed = Some(error);
        }
    }
    if failed.is_none()
        && let Err(error) = runtime.purge_shared().await
    {
        tracing::error!(%error, "what instances shared can't be removed");
        failed = Some(error);
    }
    match failed {
        Some(error) => Err(error).context("not everything could be removed; try again"),
        None => Ok(()),
    }
}
