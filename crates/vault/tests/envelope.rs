//! What is sealed opens for the same purpose with the same key, and for nothing else.

use agentopia_domain::{AccountId, Ambient, SecretId};
use agentopia_vault::{
    BuiltIn, Context, Keyring, Vault, VaultError, open, rewrap, seal, sealed_with,
};
use proptest::prelude::*;
use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use uuid::Uuid;

fn context() -> Context {
    Context::Secret {
        account_id: AccountId::from(Uuid::from_u128(1)),
        secret_id: SecretId::from(Uuid::from_u128(2)),
        revision: 3,
    }
}

/// Contexts that differ from [`context`] and from one another in one thing each.
fn other_contexts() -> Vec<Context> {
    let (one, two, four) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(4));
    let secret = |account: Uuid, secret: Uuid, revision| Context::Secret {
        account_id: account.into(),
        secret_id: secret.into(),
        revision,
    };
    vec![
        secret(four, two, 3),
        secret(one, four, 3),
        secret(one, two, 2),
        secret(two, one, 3),
        Context::ControlBearer {
            account_id: one.into(),
            credential_id: two,
        },
        Context::RegistryLogin {
            account_id: Some(one.into()),
            id: two,
        },
        Context::RegistryLogin {
            account_id: None,
            id: two,
        },
        Context::RegistryLogin {
            account_id: Some(Uuid::nil().into()),
            id: two,
        },
        Context::UpstreamLogin {
            account_id: one.into(),
            instance_id: two.into(),
            id: four,
        },
        Context::System { name: "ca".into() },
        Context::System {
            name: String::new(),
        },
    ]
}

proptest! {
    #[test]
    fn what_is_sealed_opens(value in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let ambient = Ambient::system();
        let ring = Keyring::generate(&ambient);
        let sealed = seal(&ring, &ambient, &context(), &value).unwrap();
        let opened = open(&ring, &context(), &sealed).unwrap();
        prop_assert_eq!(opened.expose_secret(), &value);
        let again = seal(&ring, &ambient, &context(), &value).unwrap();
        prop_assert_ne!(sealed, again, "the same value never looks the same");
    }

    #[test]
    fn any_byte_changed_is_refused(
        value in proptest::collection::vec(any::<u8>(), 0..80),
        bit in 0..8u8,
    ) {
        let ambient = Ambient::system();
        let ring = Keyring::generate(&ambient).rotated(&ambient);
        let sealed = seal(&ring, &ambient, &context(), &value).unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1 << bit;
            prop_assert!(open(&ring, &context(), &changed).is_err(), "byte {at}");
        }
        for length in 0..sealed.len() {
            prop_assert!(open(&ring, &context(), &sealed[..length]).is_err(), "cut at {length}");
        }
        let mut longer = sealed;
        longer.push(0);
        prop_assert!(open(&ring, &context(), &longer).is_err());
    }

    #[test]
    fn noise_is_refused(noise in proptest::collection::vec(any::<u8>(), 0..400)) {
        let ring = Keyring::generate(&Ambient::system());
        prop_assert!(open(&ring, &context(), &noise).is_err());
        let mut dressed_up = b"AV\x01".to_vec();
        dressed_up.extend(ring.current().to_string().into_bytes());
        dressed_up.extend(&noise);
        prop_assert!(open(&ring, &context(), &dressed_up).is_err());
    }
}

#[test]
fn another_context_is_refused() {
    let ambient = Ambient::system();
    let ring = Keyring::generate(&ambient);
    let mut all = other_contexts();
    all.push(context());
    for (n, sealed_for) in all.iter().enumerate() {
        let sealed = seal(&ring, &ambient, sealed_for, b"value").unwrap();
        for (m, opened_for) in all.iter().enumerate() {
            let opened = open(&ring, opened_for, &sealed);
            match n == m {
                true => assert_eq!(opened.unwrap().expose_secret(), b"value"),
                false => assert!(matches!(opened, Err(VaultError::Refused)), "{n} {m}"),
            }
        }
    }
}

#[test]
fn halves_of_two_ciphertexts_do_not_fit_together() {
    let ambient = Ambient::system();
    let ring = Keyring::generate(&ambient);
    let one = seal(&ring, &ambient, &context(), b"one").unwrap();
    let two = seal(&ring, &ambient, &context(), b"two").unwrap();
    let body_at = one.len() - (24 + 3 + 16);
    let mixed = [&one[..body_at], &two[body_at..]].concat();
    assert!(matches!(
        open(&ring, &context(), &mixed),
        Err(VaultError::Refused)
    ));
}

#[test]
fn errors_tell_what_to_do() {
    let ambient = Ambient::system();
    let (ring, other) = (Keyring::generate(&ambient), Keyring::generate(&ambient));
    let sealed = seal(&ring, &ambient, &context(), b"value").unwrap();
    let error = open(&other, &context(), &sealed).unwrap_err();
    assert!(
        error.to_string().contains(&ring.current().to_string()),
        "{error}"
    );
    assert!(matches!(error, VaultError::UnknownKey(_)));
    let mut newer = sealed.clone();
    newer[2] = 2;
    assert!(matches!(
        open(&ring, &context(), &newer),
        Err(VaultError::UnknownFormat(2))
    ));
    let cut = open(&ring, &context(), &sealed[..50]).unwrap_err();
    assert!(cut.to_string().contains("cut off"), "{cut}");
    assert!(matches!(
        open(&ring, &context(), b""),
        Err(VaultError::Malformed(_))
    ));
    let long = vec![0; (1 << 20) + 1];
    assert!(matches!(
        seal(&ring, &ambient, &context(), &long),
        Err(VaultError::TooLong { .. })
    ));
}

#[test]
fn keys_rotate_without_reading_values() {
    let ambient = Ambient::system();
    let old = Keyring::generate(&ambient);
    let sealed = seal(&old, &ambient, &context(), b"value").unwrap();
    let text = old.to_text();
    let both = Keyring::parse(&text, "test").unwrap().rotated(&ambient);
    assert_eq!(
        open(&both, &context(), &sealed).unwrap().expose_secret(),
        b"value"
    );
    assert_eq!(sealed_with(&sealed).unwrap(), old.current());

    let again = rewrap(&both, &ambient, &context(), &sealed)
        .unwrap()
        .unwrap();
    assert_eq!(sealed_with(&again).unwrap(), both.current());
    assert_eq!(rewrap(&both, &ambient, &context(), &again).unwrap(), None);
    assert!(rewrap(&both, &ambient, &other_contexts()[0], &sealed).is_err());
    assert_eq!(
        open(&both, &context(), &again).unwrap().expose_secret(),
        b"value"
    );
    assert!(matches!(
        open(&old, &context(), &again),
        Err(VaultError::UnknownKey(_))
    ));
    // The first line alone: the old key is gone.
    let first = both
        .to_text()
        .expose_secret()
        .lines()
        .next()
        .unwrap()
        .to_owned();
    let new = Keyring::parse(&SecretString::from(first), "test").unwrap();
    assert_eq!(
        open(&new, &context(), &again).unwrap().expose_secret(),
        b"value"
    );
    assert!(matches!(
        open(&new, &context(), &sealed),
        Err(VaultError::UnknownKey(_))
    ));
}

#[tokio::test]
async fn the_built_in_vault_seals_text_and_shows_none() {
    let ambient = Ambient::system();
    let vault: Box<dyn Vault> = Box::new(BuiltIn::new(Keyring::generate(&ambient), ambient));
    let sealed = vault
        .seal_text(&context(), &SecretString::from("canary"))
        .await
        .unwrap();
    assert!(!sealed.windows(6).any(|part| part == b"canary"));
    let opened = vault.open_text(&context(), &sealed).await.unwrap();
    assert_eq!(opened.expose_secret(), "canary");
    assert!(!format!("{vault:?} {opened:?}").contains("canary"));
    let bytes = SecretBox::new(Box::new(vec![0xff, 0xfe]));
    let sealed = vault.seal(&context(), &bytes).await.unwrap();
    assert!(matches!(
        vault.open_text(&context(), &sealed).await,
        Err(VaultError::NotText)
    ));
    assert_eq!(vault.rewrap(&context(), &sealed).await.unwrap(), None);
}
