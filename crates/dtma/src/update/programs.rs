//! Programs on disk: `update/programs/<sha256>/{dtma,tool-init}`. A directory is there in whole or
//! not at all: it is filled under a name that ends in [`TEMPORARY`], synced, and renamed.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::files::{self, TEMPORARY};

/// The name of the DTMA's file.
pub(super) const DTMA: &str = "dtma";
/// The name of the file that belongs to it.
pub(super) const TOOL_INIT: &str = "tool-init";
/// How much is read at once.
const CHUNK: usize = 64 << 10;

/// The directory of all of them.
#[derive(Debug, Clone)]
pub(super) struct Programs(PathBuf);

impl Programs {
    pub(super) fn new(update_dir: &Path) -> Self {
        Self(update_dir.join("programs"))
    }

    /// Where the file `name` of a program is.
    pub(super) fn path(&self, sha256: &str, name: &str) -> PathBuf {
        self.0.join(sha256).join(name)
    }

    /// Whether the DTMA of this digest is there, and is what it was.
    pub(super) fn is_whole(&self, sha256: &str) -> bool {
        digest(&self.path(sha256, DTMA)).is_ok_and(|found| found == sha256)
    }

    /// An empty directory to fill, in place of what an earlier attempt left.
    pub(super) fn begin(&self, sha256: &str) -> io::Result<Unfinished> {
        files::private_dir(&self.0)?;
        let path = self.0.join(format!("{sha256}{TEMPORARY}"));
        remove(&path)?;
        files::private_dir(&path)?;
        Ok(Unfinished {
            path,
            done: self.0.join(sha256),
        })
    }

    /// Removes everything but these.
    pub(super) fn keep(&self, needed: &[&str]) -> io::Result<()> {
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            if !needed.iter().any(|name| entry.file_name() == *name) {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }
}

/// A directory that is being filled.
#[derive(Debug)]
pub(super) struct Unfinished {
    path: PathBuf,
    done: PathBuf,
}

impl Unfinished {
    /// A new program file in it. Tools run as other users, and what they run is `tool-init`.
    pub(super) fn file(&self, name: &str) -> io::Result<File> {
        let file = File::create_new(self.path.join(name))?;
        file.set_permissions(fs::Permissions::from_mode(0o755))?;
        Ok(file)
    }

    /// Gives it its name. All of its files have to be synced.
    pub(super) fn finish(self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()?;
        remove(&self.done)?;
        fs::rename(&self.path, &self.done)?;
        match self.done.parent() {
            Some(parent) => File::open(parent)?.sync_all(),
            None => Ok(()),
        }
    }
}

/// Copies our own program, which may be gone from where it was started, into `to`, and gives its
/// SHA-256.
pub(super) fn copy_own(mut to: File) -> io::Result<String> {
    let mut own = File::open(OWN)?;
    let digest = pump(&mut own, |piece| to.write_all(piece))?;
    to.sync_all()?;
    Ok(digest)
}

/// The running program, whatever became of its name.
pub(super) const OWN: &str = "/proc/self/exe";

/// SHA-256 of a file, lower-case hex.
pub(super) fn digest(path: &Path) -> io::Result<String> {
    pump(&mut File::open(path)?, |_| Ok(()))
}

fn pump(from: &mut File, mut to: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<String> {
    let (mut hash, mut piece) = (Sha256::new(), vec![0; CHUNK]);
    loop {
        match from.read(&mut piece)? {
            0 => return Ok(hex::encode(hash.finalize())),
            read => {
                hash.update(&piece[..read]);
                to(&piece[..read])?;
            }
        }
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => fs::remove_file(path),
        done => done,
    }
}
