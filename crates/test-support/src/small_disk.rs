//! A disk that can be filled: a small file system of its own under a directory.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// Unmounted when dropped.
#[derive(Debug)]
pub struct SmallDisk {
    directory: PathBuf,
}

impl SmallDisk {
    /// Makes `directory` a file system of `mebibytes`.
    ///
    /// # Errors
    /// Only root can mount.
    pub fn mount(directory: &Path, mebibytes: u16) -> anyhow::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let options = format!("size={mebibytes}m,mode=0700");
        let none = MsFlags::empty();
        mount(
            Some("tmpfs"),
            directory,
            Some("tmpfs"),
            none,
            Some(options.as_str()),
        )
        .context("a small disk can't be mounted; the system tests need root")?;
        Ok(Self {
            directory: directory.to_owned(),
        })
    }

    /// Takes all the room there is. What is returned gives it back when dropped.
    ///
    /// # Errors
    /// When writing fails for another reason than that the disk is full.
    pub fn fill(&self) -> anyhow::Result<Filling> {
        let path = self.directory.join("filling");
        let mut file = File::create(&path)?;
        let filling = Filling(path);
        let chunk = [b'x'; 4096];
        loop {
            match file.write_all(&chunk) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(filling),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        unmount(&self.directory);
    }
}

/// Unmounts what a killed test left mounted; nothing where nothing is.
pub(crate) fn unmount(directory: &Path) {
    let _ = umount2(directory, MntFlags::MNT_DETACH);
}

/// A file that fills a disk.
#[derive(Debug)]
pub struct Filling(PathBuf);

impl Drop for Filling {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
