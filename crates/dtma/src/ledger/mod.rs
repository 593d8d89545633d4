//! What this machine is asked to run, on disk, so that a reboot or an unreachable control plane
//! changes nothing (DTMA-3). No secrets: only their names.
//!
//! One JSON file an instance, replaced atomically. The file is the truth; memory mirrors it. A
//! removal is a desired state like any other: the entry stays until everything of the instance is
//! gone, then a tombstone takes its place, so that a late request of an older generation can't
//! bring it back. Where to look next: [`entry`] is the format.

mod entry;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use agentopia_domain::spec::InstanceSpec;
use agentopia_domain::{Ambient, InstanceId};
use chrono::TimeDelta;
use parking_lot::RwLock;

use crate::files;
use entry::Record;
pub use entry::{Entry, Tombstone};

/// How long a tombstone is kept: far longer than any request can be under way.
const TOMBSTONE_LIFE: TimeDelta = TimeDelta::days(7);

/// The ledger.
#[derive(Debug)]
pub struct Ledger {
    directory: PathBuf,
    ambient: Ambient,
    entries: RwLock<BTreeMap<InstanceId, Entry>>,
    /// Entries that could not be read: their instances must not be taken for orphans.
    unreadable: RwLock<Vec<InstanceId>>,
    /// Writers take turns, from the check of the generation to the end of the `fsync`.
    writing: tokio::sync::Mutex<()>,
}

/// Why the ledger did not take something.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The spec is older than what is known.
    #[error("generation {offered} is older than generation {known} that this machine has")]
    Stale {
        /// What was offered.
        offered: i64,
        /// What the ledger has.
        known: i64,
    },
    /// The disk failed; nothing changed.
    #[error("the ledger at {path} can't be written (is the disk full?): {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
}

impl Ledger {
    /// Opens the ledger in `directory`, making it if need be. Files that can't be read are set
    /// aside (`….corrupt`) and reported in the log; everything else goes on.
    ///
    /// # Errors
    /// When the directory itself can't be used.
    pub fn open(directory: &Path, ambient: Ambient) -> io::Result<Self> {
        files::private_dir(directory)?;
        files::sweep(directory)?;
        let now = ambient.now();
        let mut entries = BTreeMap::new();
        let mut unreadable = Vec::new();
        for file in std::fs::read_dir(directory)? {
            let path = file?.path();
            let Some(id) = instance_of(&path) else {
                continue;
            };
            let content = std::fs::read(&path)?;
            match Record::parse(&content, id) {
                Ok(Entry::Removed(tombstone)) if now - tombstone.at > TOMBSTONE_LIFE => {
                    files::remove(&path)?;
                }
                Ok(entry) => {
                    entries.insert(id, entry);
                }
                Err(reason) => {
                    let aside = path.with_extension("corrupt");
                    tracing::error!(
                        instance = %id, file = %aside.display(), reason,
                        "a ledger entry can't be read and was set aside; its tool is left as it is \
                         until the control plane sends the entry again"
                    );
                    std::fs::rename(&path, &aside)?;
                    unreadable.push(id);
                }
            }
        }
        // What was set aside by an earlier start and not sent again since.
        for file in std::fs::read_dir(directory)? {
            let path = file?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "corrupt")
                && let Some(id) = stem_of(&path)
                && !entries.contains_key(&id)
                && !unreadable.contains(&id)
            {
                unreadable.push(id);
            }
        }
        Ok(Self {
            directory: directory.to_owned(),
            ambient,
            entries: RwLock::new(entries),
            unreadable: RwLock::new(unreadable),
            writing: tokio::sync::Mutex::new(()),
        })
    }

    /// Takes a spec. The same generation again is fine.
    ///
    /// # Errors
    /// [`LedgerError::Stale`] for an older generation than the one known, [`LedgerError::Io`] when
    /// it can't be stored; nothing has changed then.
    pub async fn put(&self, spec: InstanceSpec) -> Result<(), LedgerError> {
        let _turn = self.writing.lock().await;
        let id = spec.instance_id;
        let known = self.get(id);
        if let Some(known) = known.as_ref().map(Entry::generation)
            && spec.generation < known
        {
            return Err(LedgerError::Stale {
                offered: spec.generation,
                known,
            });
        }
        let entry = Entry::Wanted(Box::new(spec));
        if known.as_ref() != Some(&entry) {
            self.write(id, entry).await?;
        }
        if self.unreadable.read().contains(&id) {
            self.unreadable.write().retain(|other| *other != id);
            let aside = self.path(id).with_extension("corrupt");
            if let Err(error) = files::remove(&aside) {
                tracing::warn!(file = %aside.display(), %error, "could not be removed");
            }
        }
        Ok(())
    }

    /// Puts a tombstone in place of the entry, unless a newer spec came in meanwhile. Returns
    /// whether it did.
    ///
    /// # Errors
    /// [`LedgerError::Io`]; the entry is still there then.
    pub async fn bury(
        &self,
        id: InstanceId,
        generation: i64,
        purged: bool,
    ) -> Result<bool, LedgerError> {
        let _turn = self.writing.lock().await;
        match self.get(id) {
            Some(Entry::Wanted(spec)) if spec.generation > generation => Ok(false),
            _ => {
                let tombstone = Tombstone {
                    generation,
                    at: self.ambient.now(),
                    purged,
                };
                self.write(id, Entry::Removed(tombstone)).await?;
                Ok(true)
            }
        }
    }

    /// What is known of one instance.
    #[must_use]
    pub fn get(&self, id: InstanceId) -> Option<Entry> {
        self.entries.read().get(&id).cloned()
    }

    /// The spec of an instance that is not yet removed.
    #[must_use]
    pub fn spec(&self, id: InstanceId) -> Option<InstanceSpec> {
        match self.entries.read().get(&id) {
            Some(Entry::Wanted(spec)) => Some((**spec).clone()),
            _ => None,
        }
    }

    /// Everything known, tombstones too.
    #[must_use]
    pub fn all(&self) -> Vec<(InstanceId, Entry)> {
        let entries = self.entries.read();
        entries
            .iter()
            .map(|(id, entry)| (*id, entry.clone()))
            .collect()
    }

    /// The specs of all instances that are not yet removed.
    #[must_use]
    pub fn specs(&self) -> Vec<InstanceSpec> {
        let entries = self.entries.read();
        let wanted = entries.values().filter_map(|entry| match entry {
            Entry::Wanted(spec) => Some((**spec).clone()),
            Entry::Removed(_) => None,
        });
        wanted.collect()
    }

    /// Whether this instance had an entry that could not be read: hands off.
    #[must_use]
    pub fn is_unreadable(&self, id: InstanceId) -> bool {
        self.unreadable.read().contains(&id)
    }

    async fn write(&self, id: InstanceId, entry: Entry) -> Result<(), LedgerError> {
        let path = self.path(id);
        let content = Record::render(id, &entry);
        let target = path.clone();
        // `fsync` takes as long as the disk likes; the data path must not wait for it.
        let written = tokio::task::spawn_blocking(move || files::replace(&target, &content)).await;
        written
            .unwrap_or_else(|join| Err(io::Error::other(join)))
            .map_err(|source| LedgerError::Io { path, source })?;
        self.entries.write().insert(id, entry);
        Ok(())
    }

    fn path(&self, id: InstanceId) -> PathBuf {
        self.directory.join(format!("{id}.json"))
    }
}

fn instance_of(path: &Path) -> Option<InstanceId> {
    (path.extension()? == "json").then(|| stem_of(path))?
}

fn stem_of(path: &Path) -> Option<InstanceId> {
    path.file_stem()?.to_str()?.parse().ok()
}

#[cfg(test)]
mod tests;
