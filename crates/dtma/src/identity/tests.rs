//! Credentials over crashes at every step, and when they are renewed.

use std::path::Path;

use agentopia_domain::Ambient;
use agentopia_domain::token::{TokenKind, mint};
use agentopia_dtma_api::to_control_plane::Credentials;
use agentopia_pki::CertificateAuthority;
use secrecy::ExposeSecret as _;

use super::*;

struct Authority {
    ambient: Ambient,
    authority: CertificateAuthority,
    environment: EnvironmentId,
}

impl Authority {
    fn new() -> Self {
        let ambient = Ambient::system();
        Self {
            authority: CertificateAuthority::generate(&ambient).unwrap(),
            environment: ambient.new_id(),
            ambient,
        }
    }

    fn issue(&self, key: &MachineKey, join_counter: i64) -> Credentials {
        let lifetime = std::time::Duration::from_secs(3600);
        let csr = key.csr_pem("test").unwrap();
        let issued = self
            .authority
            .issue_machine(self.environment, &csr, lifetime, &self.ambient)
            .unwrap();
        Credentials {
            environment_id: self.environment,
            certificate_pem: issued.certificate_pem,
            ca_pem: self.authority.certificate_pem().to_owned(),
            bearer: mint(TokenKind::Dtma, &self.ambient).secret,
            control_plane_bearer_hash: mint(TokenKind::Dtma, &self.ambient).hash.to_hex(),
            join_counter,
            expires_at: issued.not_after,
            expires_in_seconds: 3600,
        }
    }
}

fn keys(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory.join("keys")).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn enrolled(directory: &Path, authority: &Authority) -> (IdentityStore, MachineIdentity) {
    let store = IdentityStore::open(directory).unwrap();
    let key = store.pending_key().unwrap();
    let credentials = authority.issue(&key, 0);
    let identity = store
        .accept(&credentials, key, None, None, authority.ambient.now())
        .unwrap();
    (store, identity)
}

#[test]
fn a_lost_answer_is_asked_for_again_with_the_same_key() {
    let directory = tempfile::tempdir().unwrap();
    let first = IdentityStore::open(directory.path())
        .unwrap()
        .pending_key()
        .unwrap();
    // The process dies here, and another one asks.
    let again = IdentityStore::open(directory.path())
        .unwrap()
        .pending_key()
        .unwrap();
    assert_eq!(first.public_key(), again.public_key());
}

#[test]
fn what_was_accepted_is_there_after_a_restart_and_old_keys_are_not() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let (store, before) = enrolled(directory.path(), &authority);
    let key = store.pending_key().unwrap();
    let credentials = authority.issue(&key, 1);
    store
        .accept(
            &credentials,
            key,
            Some(&before),
            None,
            authority.ambient.now(),
        )
        .unwrap();
    let loaded = IdentityStore::open(directory.path())
        .unwrap()
        .load()
        .unwrap()
        .unwrap();
    assert_eq!(loaded.join_counter, 1);
    assert_eq!(
        loaded.bearer.expose_secret(),
        credentials.bearer.expose_secret()
    );
    assert_eq!(
        loaded.previous_control_plane_bearer,
        Some(before.control_plane_bearer)
    );
    assert_ne!(loaded.key.public_key(), before.key.public_key());
    assert_eq!(keys(directory.path()).len(), 1);
}

#[test]
fn a_crash_at_any_step_of_a_renewal_leaves_credentials_that_work() {
    // What is on disk after each write of `accept`, made by copying files from a finished run.
    for step in 0..4 {
        let directory = tempfile::tempdir().unwrap();
        let finished = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let (store, before) = enrolled(directory.path(), &authority);
        let old_key = keys(directory.path()).remove(0);
        let pending = store.pending_key().unwrap();
        let pending_file = directory.path().join("keys/pending.pem");
        let pending_content = std::fs::read(&pending_file).unwrap();

        let after = IdentityStore::open(finished.path()).unwrap();
        let credentials = authority.issue(&pending, 1);
        after
            .accept(
                &credentials,
                pending,
                Some(&before),
                None,
                authority.ambient.now(),
            )
            .unwrap();
        let new_key = keys(finished.path()).remove(0);
        if step >= 1 {
            let from = finished.path().join("keys").join(&new_key);
            std::fs::copy(from, directory.path().join("keys").join(&new_key)).unwrap();
        }
        if step >= 2 {
            std::fs::copy(
                finished.path().join("identity.json"),
                directory.path().join("identity.json"),
            )
            .unwrap();
        }
        if step >= 3 {
            std::fs::remove_file(directory.path().join("keys").join(&old_key)).unwrap();
        }

        let store = IdentityStore::open(directory.path()).unwrap();
        let identity = store.load().unwrap().unwrap();
        let expected = if step >= 2 { 1 } else { 0 };
        assert_eq!(identity.join_counter, expected, "step {step}");
        agentopia_pki::tls::machine_server_config(
            &identity.certificate_pem,
            &identity.key,
            &identity.ca_pem,
        )
        .unwrap();
        let next = store.pending_key().unwrap();
        if step < 2 {
            let same = MachineKey::from_pem(&String::from_utf8(pending_content).unwrap().into());
            assert_eq!(
                next.public_key(),
                same.unwrap().public_key(),
                "step {step}: the renewal has to be repeated with the same key"
            );
        } else {
            assert_ne!(
                next.public_key(),
                identity.key.public_key(),
                "step {step}: a key is never certified twice"
            );
        }
    }
}

#[test]
fn a_damaged_identity_says_so_without_quoting_itself() {
    let directory = tempfile::tempdir().unwrap();
    let (store, identity) = enrolled(directory.path(), &Authority::new());
    let path = directory.path().join("identity.json");
    let content = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &content[..content.len() - 20]).unwrap();
    let error = store.load().unwrap_err().to_string();
    assert!(
        error.contains("damaged") && error.contains("agentopia env enable"),
        "{error}"
    );
    assert!(!error.contains(&identity.bearer.expose_secret()[5..20]));
}

#[test]
fn debug_output_holds_no_secret() {
    let directory = tempfile::tempdir().unwrap();
    let (_, identity) = enrolled(directory.path(), &Authority::new());
    let text = format!("{identity:?}");
    assert!(!text.contains(&identity.bearer.expose_secret()[5..20]));
    assert!(!text.contains("PRIVATE KEY"));
}

#[test]
fn renewal_is_due_at_a_third_of_life_and_when_the_clock_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let (_, identity) = enrolled(directory.path(), &Authority::new());
    let at = |seconds| identity.obtained_at + TimeDelta::seconds(seconds);
    assert!(!identity.is_renewal_due(at(0)));
    assert!(!identity.is_renewal_due(at(1199)));
    assert!(identity.is_renewal_due(at(1200)));
    assert!(identity.is_renewal_due(at(30 * 24 * 3600)), "weeks later");
    assert!(identity.is_renewal_due(at(-1)), "the clock went back");
    assert_eq!(identity.until_renewal(at(200)).as_secs(), 1000);
}
