//! Passwords: argon2id, a few at a time, off the async threads.
//!
//! Parameters: OWASP's Password Storage Cheat Sheet, 19 MiB, two passes, one lane. Hashing is
//! bounded, because 19 MiB times any number of sign-ins would be all of a small machine's memory.

use std::sync::{Arc, LazyLock};

use agentopia_domain::Ambient;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

use crate::problem::{Answer, Refusal};

/// The shortest password, in characters (NIST SP 800-63B wants 8 at least where a second factor
/// exists, 15 where none does; 12 with throttling is the usual middle).
const MIN_CHARS: usize = 12;
/// The longest, in characters, so that nobody can make us hash megabytes.
const MAX_CHARS: usize = 256;
/// How many are hashed at the same time.
const AT_ONCE: usize = 2;

/// A hash of no password, verified against when an e-mail address is unknown, so that the answer
/// takes as long.
static DUMMY: LazyLock<Option<String>> =
    LazyLock::new(|| hash_now(b"nobody has this password", &[0x5a; 16]).ok());

/// Hashes and verifies passwords. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Passwords {
    ambient: Ambient,
    slots: Arc<Semaphore>,
}

impl Passwords {
    /// With randomness for the salts.
    #[must_use]
    pub fn new(ambient: Ambient) -> Self {
        Self {
            ambient,
            slots: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// The PHC string to store for `password`.
    ///
    /// # Errors
    /// Only when hashing itself fails.
    pub async fn hash(&self, password: SecretString) -> Answer<SecretString> {
        let salt = self.ambient.random::<16>();
        self.run(move || {
            hash_now(password.expose_secret().as_bytes(), &salt)
                .map(SecretString::from)
                .map_err(|error| anyhow::anyhow!("hashing a password failed: {error}"))
        })
        .await?
        .map_err(Refusal::internal)
    }

    /// Whether `password` is the one behind `stored`. With `None` (no such user) it takes just as
    /// long and says no.
    ///
    /// # Errors
    /// Only when hashing itself fails.
    pub async fn verify(
        &self,
        password: SecretString,
        stored: Option<SecretString>,
    ) -> Answer<bool> {
        self.run(move || {
            let known = stored.is_some();
            let stored = match &stored {
                Some(hash) => Some(hash.expose_secret()),
                None => DUMMY.as_deref(),
            };
            let Some(Ok(hash)) = stored.map(PasswordHash::new) else {
                return false;
            };
            let same = Argon2::default()
                .verify_password(password.expose_secret().as_bytes(), &hash)
                .is_ok();
            same && known
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Answer<T> {
        let slot = Arc::clone(&self.slots)
            .acquire_owned()
            .await
            .map_err(Refusal::internal)?;
        tokio::task::spawn_blocking(move || {
            let result = work();
            drop(slot);
            result
        })
        .await
        .map_err(Refusal::internal)
    }
}

fn hash_now(password: &[u8], salt: &[u8]) -> Result<String, argon2::password_hash::Error> {
    let params = Params::new(19 * 1024, 2, 1, Some(32))
        .map_err(|_| argon2::password_hash::Error::ParamsInvalid)?;
    let hash: PasswordHash = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_with_salt(password, salt)?;
    Ok(hash.to_string())
}

/// Whether a new password may be used; `field` is named in the refusal.
///
/// # Errors
/// A refusal that says what would do.
pub fn check_new(field: &str, password: &SecretString) -> Answer<()> {
    let chars = password.expose_secret().chars().count();
    if !(MIN_CHARS..=MAX_CHARS).contains(&chars) {
        return Err(Refusal::field(
            field,
            format!("a password has {MIN_CHARS} to {MAX_CHARS} characters"),
        ));
    }
    Ok(())
}

/// An e-mail address in the form in which it is stored and compared: trimmed, lower case.
///
/// Whether mail reaches it can't be known; only what is certainly none is refused.
///
/// # Errors
/// A refusal that names the field `email`.
pub fn normalise_email(email: &str) -> Answer<String> {
    let email = email.trim().to_lowercase();
    let fits = email.len() <= 254
        && email
            .split_once('@')
            .is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
        && email.matches('@').count() == 1
        && !email.chars().any(|c| c.is_whitespace() || c.is_control());
    if fits {
        Ok(email)
    } else {
        Err(Refusal::field(
            "email",
            "use an address like name@example.com",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_opens() {
        let passwords = Passwords::new(Ambient::system());
        let hash = passwords
            .hash("correct horse battery".into())
            .await
            .unwrap();
        assert!(
            hash.expose_secret()
                .starts_with("$argon2id$v=19$m=19456,t=2,p=1$")
        );
        let verify = |text: &str, hash: Option<SecretString>| passwords.verify(text.into(), hash);
        assert!(
            verify("correct horse battery", Some(hash.clone()))
                .await
                .unwrap()
        );
        assert!(!verify("wrong horse battery", Some(hash)).await.unwrap());
        assert!(!verify("nobody has this password", None).await.unwrap());
        assert!(!verify("x", Some("no hash".into())).await.unwrap());
    }

    #[test]
    fn addresses_are_compared_without_case() {
        assert_eq!(
            normalise_email(" Ada@Example.COM ").unwrap(),
            "ada@example.com"
        );
        for bad in ["", "ada", "@b", "a@", "a b@c", "a@b@c", "a@b\n.c"] {
            assert!(normalise_email(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn lengths_are_in_characters() {
        assert!(check_new("password", &"äöüäöüäöüäöü".into()).is_ok());
        assert!(check_new("password", &"short".into()).is_err());
        assert!(check_new("password", &"x".repeat(257).into()).is_err());
    }
}
