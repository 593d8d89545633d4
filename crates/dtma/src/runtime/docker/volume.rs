//! The directory of an instance that outlives its container (TOOL-7): a volume named after the
//! instance, given to the instance's user, and dropped only on an explicit purge.

use std::os::unix::fs::{MetadataExt as _, lchown};
use std::path::Path;

use agentopia_domain::InstanceId;
use bollard::models::{Volume, VolumeCreateRequest};
use bollard::query_parameters::RemoveVolumeOptions;

use super::names::{self, LABEL_UID};
use super::{DockerRuntime, engine};
use crate::runtime::{ErrorCode, RuntimeError};

impl DockerRuntime {
    /// Makes the volume, if the instance has none.
    pub(super) async fn ensure_volume(&self, id: InstanceId, uid: u32) -> Result<(), RuntimeError> {
        if self.volume(id).await?.is_some() {
            return Ok(());
        }
        let mut labels = names::labels(self.environment, id);
        labels.insert(LABEL_UID.to_owned(), uid.to_string());
        let request = VolumeCreateRequest {
            name: Some(names::volume(id)),
            labels: Some(labels),
            ..VolumeCreateRequest::default()
        };
        self.docker
            .create_volume(request)
            .await
            .map(drop)
            .map_err(|error| engine::failed("making the instance's volume", &error))
    }

    /// Gives the volume to the instance's user. Has to come after the container was made (the
    /// engine then copies what the image has at that path) and before it is started (nothing in
    /// there can swap a file for a link meanwhile).
    pub(super) async fn own_volume(&self, id: InstanceId, uid: u32) -> Result<(), RuntimeError> {
        let Some(volume) = self.volume(id).await? else {
            return Ok(());
        };
        let mountpoint = volume.mountpoint;
        let owned = tokio::task::spawn_blocking(move || own(Path::new(&mountpoint), uid)).await;
        match owned {
            Ok(result) => result.map_err(|error| {
                RuntimeError::io("giving the volume to the instance's user", &error)
            }),
            Err(error) => Err(RuntimeError::new(
                ErrorCode::Io,
                format!("giving the volume away: {error}"),
            )),
        }
    }

    /// Drops the volume with all its data.
    pub(super) async fn purge_volume(&self, id: InstanceId) -> Result<(), RuntimeError> {
        if self.volume(id).await?.is_none() {
            return Ok(());
        }
        let options = RemoveVolumeOptions { force: false };
        let removed = self
            .docker
            .remove_volume(&names::volume(id), Some(options))
            .await;
        engine::found("purging the instance's volume", removed).map(drop)
    }

    /// The user id that the files on a volume belong to, where there is one from before.
    pub(super) async fn volume_uid(&self, id: InstanceId) -> Result<Option<u32>, RuntimeError> {
        let volume = self.volume(id).await?;
        Ok(volume.and_then(|volume| names::number(Some(&volume.labels), LABEL_UID)))
    }

    /// Our volume of this instance. A volume of that name that is not ours is an error.
    pub(super) async fn volume(&self, id: InstanceId) -> Result<Option<Volume>, RuntimeError> {
        let found = self.docker.inspect_volume(&names::volume(id)).await;
        let Some(volume) = engine::found("looking for the instance's volume", found)? else {
            return Ok(None);
        };
        if !names::is_ours(Some(&volume.labels), self.environment) {
            return Err(RuntimeError::new(
                ErrorCode::EngineFailed,
                format!(
                    "the volume {} is not ours: rename or remove it",
                    volume.name
                ),
            ));
        }
        Ok(Some(volume))
    }
}

/// Gives a tree to a user, its top last: the top's owner says that all of it was done.
pub(super) fn own(top: &Path, uid: u32) -> std::io::Result<()> {
    let metadata = top.symlink_metadata()?;
    if metadata.uid() == uid && metadata.gid() == uid {
        return Ok(());
    }
    let mut open = vec![top.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory)? {
            let entry = entry?;
            lchown(entry.path(), Some(uid), Some(uid))?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            }
        }
    }
    lchown(top, Some(uid), Some(uid))
}

/// Bytes that a tree takes on disk. Stops counting after `most` entries: a measure, not an audit.
pub(super) fn disk_use(top: &Path, most: usize) -> u64 {
    let mut open = vec![top.to_owned()];
    let (mut bytes, mut seen) = (0, 0);
    while let Some(directory) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&directory) else {
            continue;
        };
        for entry in entries.flatten() {
            seen += 1;
            if seen > most {
                return bytes;
            }
            let Ok(metadata) = entry.path().symlink_metadata() else {
                continue;
            };
            bytes += metadata.blocks() * 512;
            if metadata.is_dir() {
                open.push(entry.path());
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disk_use_counts_files_and_does_not_follow_links() {
        let top = tempfile::tempdir().unwrap();
        std::fs::create_dir(top.path().join("sub")).unwrap();
        std::fs::write(top.path().join("sub/file"), vec![1; 100_000]).unwrap();
        std::os::unix::fs::symlink("/", top.path().join("link")).unwrap();
        let bytes = disk_use(top.path(), 1000);
        assert!((100_000..1_000_000).contains(&bytes), "{bytes}");
    }

    #[test]
    fn a_tree_that_is_given_away_keeps_links_as_links() {
        let me = nix::unistd::getuid().as_raw();
        let top = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/nowhere", top.path().join("link")).unwrap();
        std::fs::write(top.path().join("file"), "x").unwrap();
        let uid = if me == 0 { 212_345 } else { me };
        own(top.path(), uid).unwrap();
        for name in ["link", "file", "."] {
            let metadata = top.path().join(name).symlink_metadata().unwrap();
            assert_eq!(metadata.uid(), uid, "{name}");
        }
    }
}
