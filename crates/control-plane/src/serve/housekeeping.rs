//! What has to be thrown away now and then, so that the store does not grow without end.

use std::time::Duration;

use agentopia_domain::Ambient;
use agentopia_store::{Store, StoreError};
use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

/// How often.
const INTERVAL: Duration = Duration::from_secs(600);
/// How long raw measurements are kept (OPS-2).
const RAW_SAMPLES: TimeDelta = TimeDelta::hours(24);
/// How long failed sign-ins count.
const THROTTLE: Duration = Duration::from_secs(24 * 3600);
/// How long grants and tokens that are over are kept: the second use of one is seen until then, and
/// the gateway knows the sessions of a client that comes back.
const GRANTS: TimeDelta = TimeDelta::days(1);

/// `calls_kept` is how long it is kept who called what.
pub(super) async fn run(
    store: Store,
    ambient: Ambient,
    calls_kept: TimeDelta,
    shutdown: CancellationToken,
) {
    loop {
        if let Err(error) = clean(&store, &ambient, calls_kept).await {
            tracing::warn!(%error, "housekeeping failed; it will be tried again");
        }
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

async fn clean(store: &Store, ambient: &Ambient, calls_kept: TimeDelta) -> Result<(), StoreError> {
    let now = ambient.now();
    store.metrics().prune(now - RAW_SAMPLES).await?;
    store.calls().prune(now - calls_kept).await?;
    store.call_counts().prune(now).await?;
    store.sessions().prune(now).await?;
    store.throttling().prune(THROTTLE).await?;
    store.grants().prune(now - GRANTS).await?;
    store.oauth_clients().prune(now).await?;
    store.upstream_logins().prune(now).await?;
    Ok(())
}
