//! A SQLite file belongs to one control plane at a time. That is enforced by a lock, and made use
//! of: whoever holds the lock knows that all leases in the file are those of a dead process.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::Duration;

use agentopia_store::{DatabaseConfig, LeaseKind, Store};
use anyhow::Context as _;

/// A process that was killed a moment ago may not be quite gone.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);

/// The lock of a database that only one control plane may use. Ends with the process, however that
/// ends.
#[derive(Debug)]
pub(super) struct SoleUse {
    _file: File,
}

impl SoleUse {
    /// Locks a SQLite file's neighbour `<file>.lock`, waiting up to `patience` for whoever holds it;
    /// `None` for databases that replicas share.
    pub(super) async fn of(
        database: &DatabaseConfig,
        patience: Duration,
    ) -> anyhow::Result<Option<Self>> {
        let DatabaseConfig::Sqlite { path, .. } = database else {
            return Ok(None);
        };
        let mut lock = path.clone().into_os_string();
        lock.push(".lock");
        let lock = Path::new(&lock);
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(lock)
            .with_context(|| format!("{} can't be opened", lock.display()))?;
        let mut waited = Duration::ZERO;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Self { _file: file })),
                Err(TryLockError::WouldBlock) if waited < patience => {
                    tokio::time::sleep(PAUSE).await;
                    waited += PAUSE;
                }
                Err(TryLockError::WouldBlock) => anyhow::bail!(
                    "another control plane uses {}: end it, give this one another `data_dir`, or \
                     set `database_url` to a PostgreSQL server, which several can share",
                    path.display()
                ),
                Err(TryLockError::Error(error)) => {
                    return Err(error)
                        .with_context(|| format!("{} can't be locked", lock.display()));
                }
            }
        }
    }

    /// Gives back what the process before was working on when it died.
    pub(super) async fn take_over(&self, store: &Store) -> anyhow::Result<()> {
        for kind in [LeaseKind::Environment, LeaseKind::Instance, LeaseKind::Job] {
            store.leases().release_all(kind).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_has_one_user_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let database = DatabaseConfig::sqlite(dir.path().join("agentopia.db"));
        let first = SoleUse::of(&database, PAUSE).await.unwrap().unwrap();
        let refused = SoleUse::of(&database, PAUSE).await.unwrap_err().to_string();
        assert!(refused.contains("another control plane uses"), "{refused}");
        drop(first);
        assert!(SoleUse::of(&database, PAUSE).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn replicas_share_a_server() {
        let database = DatabaseConfig::parse("postgres://a:b@127.0.0.1/c").unwrap();
        assert!(SoleUse::of(&database, PAUSE).await.unwrap().is_none());
    }
}
