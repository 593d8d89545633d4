//! Small files that survive a crash: written beside, synced, renamed, directory synced.
//!
//! A reader sees the old content or the new one, never a part. What a crash leaves behind is a
//! file whose name ends in [`TEMPORARY`]; readers ignore those and [`sweep`] removes them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// How names of half-written files end.
pub const TEMPORARY: &str = ".partial";

/// Makes a directory and its parents; the last one readable by us only, also if it was there.
///
/// # Errors
/// As the file system says.
pub fn private_dir(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
}

/// Replaces `path` by `content`, readable by us only (0600). Blocks: two `fsync`s.
///
/// # Errors
/// As the file system says; the old content is then still there.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = temporary(path);
    // A leftover of an earlier crash could have other permissions: never write into it.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = write_new(&temporary, content).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // Best effort: `sweep` removes it otherwise.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    sync_parent(path)
}

/// Removes a file for good. One that is not there is success.
///
/// # Errors
/// As the file system says.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => sync_parent(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Reads a file; `None` if it is not there.
///
/// # Errors
/// As the file system says.
pub fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes what crashes left half-written in a directory.
///
/// # Errors
/// As the file system says.
pub fn sweep(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(TEMPORARY) {
            remove(&path)?;
        }
    }
    Ok(())
}

fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(TEMPORARY);
    PathBuf::from(name)
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crash_point_leaves_the_old_content_or_the_new() {
        let old = b"old".as_slice();
        let new = b"the new content".as_slice();
        // What is on disk after a crash at each step of `replace`.
        type Step = fn(&Path, &[u8]);
        let steps: [(Step, &[u8]); 4] = [
            (|path, _| fs::write(temporary(path), b"").unwrap(), old),
            (
                |path, new| fs::write(temporary(path), &new[..4]).unwrap(),
                old,
            ),
            (|path, new| fs::write(temporary(path), new).unwrap(), old),
            (
                |path, new| {
                    fs::write(temporary(path), new).unwrap();
                    fs::rename(temporary(path), path).unwrap();
                },
                new,
            ),
        ];
        for (crash, expected) in steps {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("file");
            replace(&path, old).unwrap();
            crash(&path, new);
            sweep(directory.path()).unwrap();
            assert_eq!(read(&path).unwrap().unwrap(), expected);
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
            replace(&path, new).unwrap();
            assert_eq!(read(&path).unwrap().unwrap(), new);
        }
    }

    #[test]
    fn only_we_can_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let inner = directory.path().join("a/b");
        private_dir(&inner).unwrap();
        let path = inner.join("file");
        // A leftover that everybody can read must not lend its mode to the new file.
        fs::write(temporary(&path), b"x").unwrap();
        fs::set_permissions(temporary(&path), fs::Permissions::from_mode(0o666)).unwrap();
        replace(&path, b"secret").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&inner), 0o700);
    }
}
