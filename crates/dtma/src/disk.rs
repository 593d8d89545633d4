//! The disk guard (DTMA-10): room is made before the disk is full, and below a floor nothing new
//! is fetched, so that the tools that run can go on writing.

use std::io;
use std::path::{Path, PathBuf};

use crate::runtime::{ErrorCode, RuntimeError};

/// The floor on large disks.
const FLOOR_BYTES: u64 = 1 << 30;
/// The floor on small ones: a twentieth.
const FLOOR_FRACTION: u64 = 20;

/// The state of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// All of it.
    pub total_bytes: u64,
    /// What is left for us.
    pub free_bytes: u64,
}

/// Watches the disk that images, volumes and the ledger are on.
#[derive(Debug, Clone)]
pub struct DiskGuard {
    path: PathBuf,
    floor_bytes: Option<u64>,
}

impl DiskGuard {
    /// Watches the disk of `path`. Without `floor_bytes` the floor is 1 GiB, or a twentieth of the
    /// disk where that is less.
    #[must_use]
    pub fn new(path: PathBuf, floor_bytes: Option<u64>) -> Self {
        Self { path, floor_bytes }
    }

    /// The disk as it is now.
    ///
    /// # Errors
    /// When the file system can't be asked.
    pub fn space(&self) -> io::Result<Space> {
        space(&self.path)
    }

    /// What has to stay free.
    #[must_use]
    pub fn floor(&self, space: Space) -> u64 {
        self.floor_bytes
            .unwrap_or_else(|| FLOOR_BYTES.min(space.total_bytes / FLOOR_FRACTION))
    }

    /// Whether it is time to make room: less than twice the floor is left.
    #[must_use]
    pub fn is_tight(&self, space: Space) -> bool {
        space.free_bytes < self.floor(space).saturating_mul(2)
    }

    /// Refuses when less than the floor is left. A disk that can't be asked refuses nothing.
    ///
    /// # Errors
    /// [`ErrorCode::DiskFull`].
    pub fn check(&self) -> Result<(), RuntimeError> {
        match self.space() {
            Ok(space) => self.judge(space),
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "the disk can't be measured");
                Ok(())
            }
        }
    }

    fn judge(&self, space: Space) -> Result<(), RuntimeError> {
        let floor = self.floor(space);
        if space.free_bytes >= floor {
            return Ok(());
        }
        Err(RuntimeError::new(
            ErrorCode::DiskFull,
            format!(
                "the machine's disk has {} MiB left and {} MiB have to stay free: remove tools or \
                 volumes that are not needed, or scale the environment up",
                space.free_bytes >> 20,
                floor >> 20
            ),
        ))
    }
}

/// The disk of `path`.
///
/// # Errors
/// When the file system can't be asked.
pub fn space(path: &Path) -> io::Result<Space> {
    let stat = nix::sys::statvfs::statvfs(path).map_err(io::Error::from)?;
    let unit = stat.fragment_size();
    Ok(Space {
        total_bytes: stat.blocks() * unit,
        free_bytes: stat.blocks_available() * unit,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_is_the_smaller_of_a_gibibyte_and_a_twentieth() {
        let guard = DiskGuard::new("/".into(), None);
        let space = |total, free| Space {
            total_bytes: total,
            free_bytes: free,
        };
        assert_eq!(guard.floor(space(100 << 30, 0)), 1 << 30);
        assert_eq!(guard.floor(space(10 << 30, 0)), 512 << 20);
        assert!(guard.judge(space(100 << 30, 1 << 30)).is_ok());
        let refused = guard.judge(space(100 << 30, (1 << 30) - 1)).unwrap_err();
        assert_eq!(refused.code, ErrorCode::DiskFull);
        assert!(guard.is_tight(space(100 << 30, (2 << 30) - 1)));
        assert!(!guard.is_tight(space(100 << 30, 2 << 30)));
    }

    #[test]
    fn a_real_disk_can_be_measured_and_a_huge_floor_refuses() {
        let space = space(Path::new("/tmp")).unwrap();
        assert!(space.free_bytes <= space.total_bytes && space.total_bytes > 0);
        let guard = DiskGuard::new("/tmp".into(), Some(u64::MAX));
        assert_eq!(guard.check().unwrap_err().code, ErrorCode::DiskFull);
        assert!(DiskGuard::new("/tmp".into(), Some(0)).check().is_ok());
    }
}
