//! The disk of a machine: an ext4 image on a loop device, where the machine's Docker Engine keeps what it
//! has. overlayfs can't be stacked on the overlayfs of the machine's own files, and a full disk should be
//! the machine's and not the host's. The image is sparse: it takes what is in it.
//!
//! ```text
//! DIRECTORY/520000001/disk.img
//! DIRECTORY/520000001/disk/docker/      seen as /var/lib/docker
//! ```

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::command::run;
use super::error::HostError;
use crate::state::DropletId;

/// The kernel lets go of a killed machine's mounts a moment after its last process is gone.
const UNMOUNT_TRIES: u32 = 50;
const UNMOUNT_PAUSE: Duration = Duration::from_millis(200);

/// See the module's header.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    dir: PathBuf,
}

impl Disk {
    pub(super) fn of(directory: &Path, droplet: DropletId) -> Self {
        Self {
            dir: directory.join(droplet.to_string()),
        }
    }

    /// One whose directory was found.
    pub(super) const fn found(dir: PathBuf) -> Self {
        Self { dir }
    }

    fn image(&self) -> PathBuf {
        self.dir.join("disk.img")
    }

    fn mount_point(&self) -> PathBuf {
        self.dir.join("disk")
    }

    /// What the machine sees as `/var/lib/docker`.
    pub(super) fn docker(&self) -> PathBuf {
        self.mount_point().join("docker")
    }

    /// Makes it, empty, and mounts it.
    ///
    /// # Errors
    /// When the host can't. What was made of it is left to [`Self::remove`].
    pub(super) async fn make(&self, gigabytes: u32) -> Result<(), HostError> {
        make_dir(&self.mount_point())?;
        self.set_length(gigabytes)?;
        // The tables of inodes are zero in a sparse file already.
        let lazy = "lazy_itable_init=1,lazy_journal_init=1,nodiscard";
        let image = text(&self.image());
        run("mkfs.ext4", &["-q", "-F", "-m", "0", "-E", lazy, &image]).await?;
        self.mount().await?;
        make_dir(&self.docker())
    }

    /// Mounts it where it is not.
    ///
    /// # Errors
    /// When the host can't.
    pub(super) async fn mount(&self) -> Result<(), HostError> {
        if self.is_mounted() {
            return Ok(());
        }
        let (image, point) = (text(&self.image()), text(&self.mount_point()));
        run("mount", &["-o", "loop,noinit_itable", &image, &point]).await
    }

    /// Makes it larger, while its machine is off. It never shrinks.
    ///
    /// # Errors
    /// When the host can't.
    pub(super) async fn grow(&self, gigabytes: u32) -> Result<(), HostError> {
        let path = self.image();
        let length = std::fs::metadata(&path).map_err(file("read", &path))?.len();
        if length >= bytes(gigabytes) {
            return Ok(());
        }
        self.unmount().await?;
        self.set_length(gigabytes)?;
        let image = text(&path);
        run("e2fsck", &["-f", "-p", &image]).await?;
        run("resize2fs", &[&image]).await?;
        self.mount().await
    }

    /// Takes all of it away. What is not there is taken away.
    ///
    /// # Errors
    /// When the host can't.
    pub(super) async fn remove(&self) -> Result<(), HostError> {
        self.unmount().await?;
        match std::fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(file("remove", &self.dir)(error))
            }
            _ => Ok(()),
        }
    }

    /// The loop device goes with its mount.
    async fn unmount(&self) -> Result<(), HostError> {
        let point = text(&self.mount_point());
        let mut tries = 0;
        while self.is_mounted() {
            match run("umount", &[&point]).await {
                Err(error) if tries >= UNMOUNT_TRIES => return Err(error),
                Err(_) => tokio::time::sleep(UNMOUNT_PAUSE).await,
                Ok(()) => {}
            }
            tries += 1;
        }
        Ok(())
    }

    fn is_mounted(&self) -> bool {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        is_mount_point(&mounts, &text(&self.mount_point()))
    }

    fn set_length(&self, gigabytes: u32) -> Result<(), HostError> {
        let path = self.image();
        std::fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .and_then(|file| file.set_len(bytes(gigabytes)))
            .map_err(file("make", &path))
    }
}

fn bytes(gigabytes: u32) -> u64 {
    u64::from(gigabytes) << 30
}

/// Whether a path is the fifth field of any line of `/proc/self/mountinfo`. Ours have no characters that
/// the kernel would escape.
fn is_mount_point(mountinfo: &str, path: &str) -> bool {
    mountinfo
        .lines()
        .any(|line| line.split(' ').nth(4) == Some(path))
}

/// Makes a directory with those above it.
///
/// # Errors
/// When the host can't.
pub(super) fn make_dir(path: &Path) -> Result<(), HostError> {
    std::fs::create_dir_all(path).map_err(file("make", path))
}

/// Adds to an error what was to be done with which file.
pub(super) fn file(doing: &'static str, path: &Path) -> impl Fn(std::io::Error) -> HostError {
    let path = path.to_owned();
    move |source| HostError::File {
        doing,
        path: path.clone(),
        source,
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_told_from_what_only_looks_like_one() {
        let mountinfo = "36 35 7:0 / /sim/1/disk rw,relatime shared:1 - ext4 /dev/loop0 rw\n\
                         37 35 7:1 /sim/2/disk /other rw - ext4 /dev/loop1 rw\n";
        assert!(is_mount_point(mountinfo, "/sim/1/disk"));
        assert!(!is_mount_point(mountinfo, "/sim/2/disk"));
        assert!(!is_mount_point(mountinfo, "/sim/1"));
    }
}
