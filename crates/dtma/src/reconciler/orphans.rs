//! No leaks (DTMA-9): what carries this environment's labels and is in no ledger entry is removed,
//! and images that nobody needs go before the disk is full (DTMA-10). Volumes are kept: only an
//! explicit purge removes data.

use std::sync::Arc;
use std::time::Duration;

use agentopia_domain::InstanceId;

use super::shared::Shared;

/// Between two sweeps.
const INTERVAL: Duration = Duration::from_secs(300);
/// After a sweep that could not look (the engine does not answer).
const RETRY: Duration = Duration::from_secs(10);

/// Sweeps now and then, until shutdown.
pub(super) async fn keep_swept(shared: Arc<Shared>) {
    loop {
        let pause = if sweep(&shared).await {
            INTERVAL
        } else {
            RETRY
        };
        if let Err(error) = shared.runtime.tidy(&shared.ledger.specs()).await {
            tracing::warn!(%error, "images that nobody uses are left for now");
        }
        make_room(&shared).await;
        tokio::select! {
            () = shared.shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// One sweep; `false` if something could not be looked at or removed.
async fn sweep(shared: &Shared) -> bool {
    let found = match shared.runtime.observe().await {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(%error, "orphans can't be looked for now");
            return false;
        }
    };
    let mut clean = true;
    for id in found.into_iter().map(|instance| instance.instance_id) {
        if !is_orphan(shared, id) {
            continue;
        }
        let _nothing_comes_in = shared.sweeping.write().await;
        // Looked at again: a spec may have come in since.
        if !is_orphan(shared, id) {
            continue;
        }
        tracing::warn!(instance = %id, "removing what is left of an instance that nobody wants");
        if let Err(error) = shared.runtime.remove(id, false).await {
            tracing::error!(instance = %id, %error, "an orphan can't be removed now");
            clean = false;
        }
    }
    clean
}

fn is_orphan(shared: &Shared, id: InstanceId) -> bool {
    shared.ledger.spec(id).is_none() && !shared.ledger.is_unreadable(id)
}

/// Removes cached images if the disk is getting full.
pub(super) async fn make_room(shared: &Shared) {
    let tight = shared
        .disk
        .space()
        .is_ok_and(|space| shared.disk.is_tight(space));
    if !tight {
        return;
    }
    match shared.runtime.prune(&shared.ledger.specs()).await {
        Ok(0) => tracing::warn!("the disk is getting full and there is nothing to remove"),
        Ok(bytes) => tracing::warn!(
            mebibytes = bytes >> 20,
            "the disk was getting full: unused images were removed"
        ),
        Err(error) => tracing::error!(%error, "the disk is getting full and can't be cleaned"),
    }
}
