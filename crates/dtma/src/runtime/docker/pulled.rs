//! Which images this DTMA pulled: only those may be pruned (DTMA-9, DTMA-10). A file in the data
//! directory; if it is lost, images stay, which is the harmless side.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use agentopia_domain::spec::InstanceSpec;
use bollard::query_parameters::RemoveImageOptions;
use parking_lot::Mutex;

use super::{DockerRuntime, engine};
use crate::runtime::RuntimeError;

/// References of images that this DTMA pulled.
#[derive(Debug)]
pub(super) struct Pulled {
    file: PathBuf,
    references: Mutex<BTreeSet<String>>,
}

impl Pulled {
    /// Reads the record, if there is one that can be read.
    pub(super) fn open(data_dir: &Path) -> Self {
        let file = data_dir.join("pulled-images.json");
        let references = std::fs::read(&file)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        Self {
            file,
            references: Mutex::new(references),
        }
    }

    pub(super) fn remember(&self, reference: &str) -> Result<(), RuntimeError> {
        self.change(|references| references.insert(reference.to_owned()))
    }

    fn forget(&self, reference: &str) -> Result<(), RuntimeError> {
        self.change(|references| references.remove(reference))
    }

    fn all(&self) -> BTreeSet<String> {
        self.references.lock().clone()
    }

    fn change(
        &self,
        change: impl FnOnce(&mut BTreeSet<String>) -> bool,
    ) -> Result<(), RuntimeError> {
        let mut references = self.references.lock();
        if !change(&mut references) {
            return Ok(());
        }
        let failed =
            |error: &std::io::Error| RuntimeError::io("recording which images were pulled", error);
        let bytes = serde_json::to_vec(&*references).map_err(|error| failed(&error.into()))?;
        let new = self.file.with_extension("new");
        std::fs::write(&new, bytes)
            .and_then(|()| std::fs::rename(&new, &self.file))
            .map_err(|error| failed(&error))
    }
}

impl DockerRuntime {
    /// Removes images that we pulled, that no spec of `keep` names and no container uses.
    pub(super) async fn prune_images(&self, keep: &[InstanceSpec]) -> Result<u64, RuntimeError> {
        // By id: a spec may name by digest what was pulled by tag.
        let mut kept = BTreeSet::new();
        for spec in keep {
            let image = self.local_image(&spec.image()).await?;
            kept.extend(image.and_then(|image| image.id));
        }
        let mut won = 0;
        for reference in self.pulled.all() {
            let found = self.docker.inspect_image(&reference).await;
            let Some(image) = engine::found("looking at a pulled image", found)? else {
                self.pulled.forget(&reference)?;
                continue;
            };
            if image.id.is_some_and(|id| kept.contains(&id)) {
                continue;
            }
            // Without force, the engine refuses to remove an image that a container uses.
            let options = RemoveImageOptions {
                force: false,
                ..RemoveImageOptions::default()
            };
            match self
                .docker
                .remove_image(&reference, Some(options), None)
                .await
            {
                Ok(removed) => {
                    // It may have had another name, and then only lost this one.
                    if removed.iter().any(|item| item.deleted.is_some()) {
                        won += u64::try_from(image.size.unwrap_or(0)).unwrap_or(0);
                    }
                    self.pulled.forget(&reference)?;
                    tracing::info!(image = %reference, "removed an image that no tool needs");
                }
                Err(error) if matches!(engine::status(&error), Some(404 | 409)) => {}
                Err(error) => return Err(engine::failed("removing an unused image", &error)),
            }
        }
        Ok(won)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_outlives_the_process_and_a_broken_one_is_an_empty_one() {
        let directory = tempfile::tempdir().unwrap();
        let pulled = Pulled::open(directory.path());
        pulled.remember("r/a:1").unwrap();
        pulled.remember("r/b:1").unwrap();
        pulled.forget("r/a:1").unwrap();
        let again = Pulled::open(directory.path());
        assert_eq!(again.all(), BTreeSet::from(["r/b:1".to_owned()]));
        std::fs::write(directory.path().join("pulled-images.json"), "{").unwrap();
        assert!(Pulled::open(directory.path()).all().is_empty());
    }
}
