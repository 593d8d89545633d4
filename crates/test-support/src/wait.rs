//! Waiting for a condition: the only way for a test to let time pass.

use std::time::{Duration, Instant};

use anyhow::Context as _;

/// How often a condition is looked at.
const EVERY: Duration = Duration::from_millis(25);

/// What a fault may take to be healed: leases of dead replicas run out after 15 s, the environment
/// reconciler looks every 10 s whether its machine is on, pauses between starts grow to seconds.
pub const HEALED: Duration = Duration::from_secs(75);

/// Waits until `condition` gives a value. An error means "not yet": the last one is told when
/// `limit` is over.
///
/// # Errors
/// When `limit` is over.
pub async fn wait_for<T>(
    limit: Duration,
    what: &str,
    mut condition: impl AsyncFnMut() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let start = Instant::now();
    loop {
        match condition().await {
            Ok(value) => return Ok(value),
            Err(error) if start.elapsed() >= limit => {
                return Err(error).with_context(|| format!("waited {limit:?} for {what}"));
            }
            Err(_) => tokio::time::sleep(EVERY).await,
        }
    }
}

/// Fails if `condition` stops holding before `limit`: for "this must go on".
///
/// # Errors
/// That of the condition.
pub async fn holds_for(
    limit: Duration,
    what: &str,
    mut condition: impl AsyncFnMut() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let start = Instant::now();
    while start.elapsed() < limit {
        condition()
            .await
            .with_context(|| format!("{what} did not hold"))?;
        tokio::time::sleep(EVERY * 4).await;
    }
    Ok(())
}
