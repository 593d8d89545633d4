//! The file that contexts are kept in.
//!
//! It is replaced as a whole by renaming, so that a crash in between leaves the old one, and it is
//! made with mode 0600 in a directory with mode 0700, because it holds tokens.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::Contexts;
use crate::failure::Failure;

/// Where the contexts are.
#[derive(Debug)]
pub(crate) struct ContextFile(PathBuf);

impl ContextFile {
    /// The file of the user who runs this program.
    pub(crate) fn of_user(env: impl Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let absolute = |name: &str| {
            env(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        absolute("XDG_CONFIG_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".config")))
            .map(|dir| Self(dir.join("agentopia/contexts.toml")))
            .ok_or_else(|| {
                Failure::Usage(
                    "set HOME or XDG_CONFIG_HOME: sign-ins are kept below it; \
                     or set AGENTOPIA_URL and AGENTOPIA_TOKEN"
                        .to_owned(),
                )
            })
    }

    /// Reads it; there is nothing in a file that does not exist.
    pub(crate) fn load(&self) -> Result<Contexts, Failure> {
        let text = match fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Contexts::default());
            }
            Err(error) => {
                return Err(Failure::other(
                    error,
                    format!("{} can't be read", self.0.display()),
                ));
            }
        };
        self.shut()?;
        toml::from_str(&text).map_err(|error| {
            // The whole error quotes the line, and the line may be a token.
            Failure::Other(anyhow::anyhow!(
                "{} is damaged: {}; repair it, or delete it and sign in again",
                self.0.display(),
                error.message()
            ))
        })
    }

    /// Somebody may have copied or edited it with wider permissions: nobody else may read tokens.
    fn shut(&self) -> Result<(), Failure> {
        let doing = || format!("{} could not be made private", self.0.display());
        let mode = fs::metadata(&self.0)
            .map_err(|error| Failure::other(error, doing()))?
            .permissions()
            .mode();
        if mode & 0o077 != 0 {
            fs::set_permissions(&self.0, fs::Permissions::from_mode(0o600))
                .map_err(|error| Failure::other(error, doing()))?;
        }
        Ok(())
    }

    /// Writes it.
    pub(crate) fn save(&self, contexts: &Contexts) -> Result<(), Failure> {
        let text = toml::to_string(contexts)
            .map_err(|error| Failure::other(error, "the sign-ins could not be written"))?;
        replace(&self.0, text.as_bytes()).map_err(|error| {
            Failure::other(error, format!("{} can't be written", self.0.display()))
        })
    }
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or_else(|| Path::new("."));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)?;
    let fresh = path.with_extension(format!("toml.{}", std::process::id()));
    let written = (|| {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    })();
    if written.is_err() {
        // What was not renamed is of no use to anybody and may hold a token.
        let _ = fs::remove_file(&fresh);
    }
    written
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::super::tests::context;
    use super::*;

    fn file_in(dir: &Path) -> ContextFile {
        let dir = dir.to_str().unwrap().to_owned();
        ContextFile::of_user(move |name| (name == "XDG_CONFIG_HOME").then(|| dir.clone())).unwrap()
    }

    #[test]
    fn what_is_saved_is_loaded_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let file = file_in(dir.path());
        assert!(file.load().unwrap().current().is_none());
        let mut contexts = Contexts::default();
        contexts.put("a:1", context("http://a.example:1"));
        file.save(&contexts).unwrap();
        let mut loaded = file.load().unwrap();
        assert_eq!(loaded.current(), Some("a:1"));
        let found = loaded.take("a:1").unwrap();
        assert_eq!(found.token.expose_secret(), "pat_very-secret");
        let path = dir.path().join("agentopia/contexts.toml");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let folder = fs::metadata(dir.path().join("agentopia")).unwrap();
        assert_eq!(folder.permissions().mode() & 0o777, 0o700);

        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        file.load().unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn a_damaged_file_is_named_without_what_stands_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = file_in(dir.path());
        fs::create_dir_all(dir.path().join("agentopia")).unwrap();
        let path = dir.path().join("agentopia/contexts.toml");
        fs::write(&path, "current = pat_very-secret").unwrap();
        let Err(Failure::Other(error)) = file.load() else {
            panic!("read a damaged file");
        };
        let text = format!("{error:#}");
        assert!(
            text.contains("contexts.toml") && !text.contains("very-secret"),
            "{text}"
        );
    }

    #[test]
    fn without_a_home_the_way_out_is_named() {
        let Err(Failure::Usage(text)) = ContextFile::of_user(|_| None) else {
            panic!("found a home");
        };
        assert!(text.contains("AGENTOPIA_TOKEN"), "{text}");
    }
}
