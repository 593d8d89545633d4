//! The key file: made once, kept private, never overwritten.
#![expect(
    clippy::unwrap_used,
    reason = "a test that can't go on has failed; clippy sees only functions marked as tests"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use agentopia_domain::Ambient;
use agentopia_vault::{KeySource, Keyring, VaultError};
use secrecy::SecretString;
use tempfile::TempDir;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_first_start_makes_it_and_the_next_reads_it() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("vault.key");
    let ambient = Ambient::system();
    let first = Keyring::load_or_create(&path, &ambient).unwrap();
    assert_eq!(mode(&path), 0o600);
    let bytes = fs::read(&path).unwrap();
    let second = Keyring::load_or_create(&path, &ambient).unwrap();
    assert_eq!(first.current(), second.current());
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        1,
        "nothing is left beside it"
    );
}

#[test]
fn of_many_at_once_one_makes_it() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("vault.key");
    let threads: Vec<_> = (0..16)
        .map(|_| {
            let path = path.clone();
            std::thread::spawn(move || {
                Keyring::load_or_create(&path, &Ambient::system())
                    .unwrap()
                    .current()
            })
        })
        .collect();
    let ids: Vec<_> = threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn what_others_could_read_is_refused_and_left_alone() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("vault.key");
    let ambient = Ambient::system();
    Keyring::load_or_create(&path, &ambient).unwrap();
    let bytes = fs::read(&path).unwrap();
    for wrong in [0o640, 0o604, 0o620, 0o601] {
        fs::set_permissions(&path, fs::Permissions::from_mode(wrong)).unwrap();
        let error = Keyring::load_or_create(&path, &ambient).unwrap_err();
        assert!(matches!(error, VaultError::OpenToOthers { mode, .. } if mode == wrong));
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
    assert_eq!(fs::read(&path).unwrap(), bytes);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    Keyring::load_or_create(&path, &ambient).unwrap();
}

#[test]
fn a_damaged_file_is_refused_and_left_alone() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("vault.key");
    let ambient = Ambient::system();
    for damaged in ["", "agk1:short\n", "garbage"] {
        fs::write(&path, damaged).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let error = Keyring::load_or_create(&path, &ambient).unwrap_err();
        assert!(matches!(
            error,
            VaultError::NoKey { .. } | VaultError::BadKey { .. }
        ));
        assert!(!error.to_string().contains("garbage"));
        assert_eq!(fs::read_to_string(&path).unwrap(), damaged);
    }
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(Keyring::load_or_create(&path, &ambient).is_err());
    let nowhere = dir.path().join("missing/vault.key");
    assert!(matches!(
        Keyring::load_or_create(&nowhere, &ambient),
        Err(VaultError::File { .. })
    ));
}

#[test]
fn the_environment_comes_before_the_data_directory() {
    let dir = TempDir::new().unwrap();
    let ambient = Ambient::system();
    let given = Keyring::generate(&ambient);
    let own = dir.path().join("vault.key");

    let text = KeySource::choose(Some(given.to_text()), Some("/nowhere".into()), dir.path());
    assert_eq!(
        Keyring::load(&text, &ambient).unwrap().current(),
        given.current()
    );
    assert!(!own.exists());

    let missing = KeySource::choose(None, Some(dir.path().join("mounted")), dir.path());
    assert!(matches!(
        Keyring::load(&missing, &ambient),
        Err(VaultError::File { .. })
    ));
    assert!(
        !dir.path().join("mounted").exists(),
        "somebody else's file is not made"
    );

    let ours = KeySource::choose(None, None, dir.path());
    Keyring::load(&ours, &ambient).unwrap();
    assert!(own.exists());

    let bad = KeySource::choose(Some(SecretString::from("hunter2")), None, dir.path());
    let error = Keyring::load(&bad, &ambient).unwrap_err().to_string();
    assert!(
        error.contains("AGENTOPIA_VAULT_KEY") && !error.contains("hunter2"),
        "{error}"
    );
    assert!(!format!("{bad:?}").contains("hunter2"));
}

#[test]
fn a_rotated_file_keeps_the_older_keys() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("vault.key");
    let ambient = Ambient::system();
    let first = Keyring::load_or_create(&path, &ambient).unwrap().current();
    let rotated = Keyring::rotate_file(&path, &ambient).unwrap();
    assert_eq!(mode(&path), 0o600);
    let read = Keyring::load_or_create(&path, &ambient).unwrap();
    assert_eq!(read.current(), rotated.current());
    assert_eq!(read.ids().collect::<Vec<_>>(), [rotated.current(), first]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}
