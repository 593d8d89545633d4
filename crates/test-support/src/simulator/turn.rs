//! One run of these tests at a time has machines: their network is one, and whoever starts a simulator on
//! it takes away what is there.

use std::fs::{File, TryLockError};
use std::sync::OnceLock;
use std::time::Duration;

use crate::wait::wait_for;

/// For the longest test of another run to end.
const LIMIT: Duration = Duration::from_secs(9 * 60);
/// Below the directory for temporary files, which all runs of this host share.
const FILE: &str = "agentopia-droplet-tests.lock";

/// Held until this process ends, however that happens.
static TURN: OnceLock<File> = OnceLock::new();

/// Waits for the turn of this process, unless it has it already.
///
/// # Errors
/// When another run takes too long, or the lock can't be made.
pub(super) async fn wait() -> anyhow::Result<()> {
    if TURN.get().is_some() {
        return Ok(());
    }
    let path = std::env::temp_dir().join(FILE);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)?;
    wait_for(
        LIMIT,
        "another run of the droplet tests to end",
        async || match file.try_lock() {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => anyhow::bail!("it has machines"),
            Err(TryLockError::Error(error)) => Err(error.into()),
        },
    )
    .await?;
    let _ = TURN.set(file);
    Ok(())
}
