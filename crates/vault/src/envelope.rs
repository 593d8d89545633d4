//! The pure part: sealing, opening, wrapping anew.
//!
//! A ciphertext of format 1, 145 bytes and the value:
//!
//! ```text
//! "AV" | 1 | id of the master key (8)
//!      | nonce (24) | the value's own key, sealed with the master key (32 + 16)
//!      | nonce (24) | the value, sealed with its own key (n + 16)
//! ```
//!
//! Both are XChaCha20-Poly1305, whose nonces are long enough to be random
//! (<https://datatracker.ietf.org/doc/html/draft-irtf-cfrg-xchacha>). Authenticated along with the
//! value: the header without the master key's id, and what the value is for ([`Context`]). With its
//! key: the header, the context too, so that neither half can be moved on its own.

use agentopia_domain::Ambient;
use chacha20poly1305::{AeadInOut as _, KeyInit as _, XChaCha20Poly1305, XNonce};
use secrecy::{ExposeSecret as _, SecretBox};
use zeroize::Zeroizing;

use crate::context::Context;
use crate::error::VaultError;
use crate::keyring::{KeyId, Keyring};

const MAGIC: &[u8; 2] = b"AV";
const FORMAT: u8 = 1;
const HEADER: usize = 3;
const KEY_ID: usize = 8;
const NONCE: usize = 24;
const TAG: usize = 16;
const KEY: usize = 32;
const WRAPPED: usize = NONCE + KEY + TAG;
const BODY_AT: usize = HEADER + KEY_ID + WRAPPED;

/// The longest value, in bytes: certificates and key files fit, a file store it is not.
pub(crate) const MAX_VALUE: usize = 1 << 20;

/// Seals `value` for `context` with the current master key.
///
/// # Errors
/// [`VaultError::TooLong`] above 1 MiB.
pub fn seal(
    keyring: &Keyring,
    ambient: &Ambient,
    context: &Context,
    value: &[u8],
) -> Result<Vec<u8>, VaultError> {
    if value.len() > MAX_VALUE {
        return Err(VaultError::TooLong {
            len: value.len(),
            max: MAX_VALUE,
        });
    }
    let own_key = Zeroizing::new(ambient.random::<KEY>());
    let mut sealed = Vec::with_capacity(BODY_AT + NONCE + value.len() + TAG);
    write_wrapped(&mut sealed, keyring, ambient, context, &own_key)?;
    let nonce = ambient.random::<NONCE>();
    sealed.extend(nonce);
    let at = sealed.len();
    sealed.extend(value);
    let tag = XChaCha20Poly1305::new((&*own_key).into())
        .encrypt_inout_detached(
            &XNonce::from(nonce),
            &value_data(context),
            (&mut sealed[at..]).into(),
        )
        .map_err(|_| VaultError::Refused)?;
    sealed.extend(&tag[..]);
    Ok(sealed)
}

/// Opens what was sealed for the same `context` with any key of the keyring.
///
/// # Errors
/// [`VaultError::Malformed`], [`VaultError::UnknownFormat`], [`VaultError::UnknownKey`], or
/// [`VaultError::Refused`] when a single bit is not as it was or the context is another.
pub fn open(
    keyring: &Keyring,
    context: &Context,
    sealed: &[u8],
) -> Result<SecretBox<Vec<u8>>, VaultError> {
    let own_key = unwrap_key(keyring, context, sealed)?;
    let (nonce, rest) = sealed[BODY_AT..].split_at(NONCE);
    let (ciphertext, tag) = rest.split_at(rest.len() - TAG);
    let mut value = Zeroizing::new(ciphertext.to_vec());
    decrypt(&own_key, nonce, &value_data(context), &mut value, tag)?;
    Ok(SecretBox::new(Box::new(std::mem::take(&mut *value))))
}

/// Wraps the value's own key with the current master key; the value itself is neither read nor
/// changed. `None` when it is wrapped with that already.
///
/// # Errors
/// As [`open`].
pub fn rewrap(
    keyring: &Keyring,
    ambient: &Ambient,
    context: &Context,
    sealed: &[u8],
) -> Result<Option<Vec<u8>>, VaultError> {
    if sealed_with(sealed)? == keyring.current() {
        return Ok(None);
    }
    let own_key = unwrap_key(keyring, context, sealed)?;
    let mut again = Vec::with_capacity(sealed.len());
    write_wrapped(&mut again, keyring, ambient, context, &own_key)?;
    again.extend(&sealed[BODY_AT..]);
    Ok(Some(again))
}

/// Which master key wraps it: an old one may go when nothing names it any more.
///
/// # Errors
/// [`VaultError::Malformed`], [`VaultError::UnknownFormat`].
pub fn sealed_with(sealed: &[u8]) -> Result<KeyId, VaultError> {
    if sealed.len() < HEADER || &sealed[..2] != MAGIC {
        return Err(VaultError::Malformed("it does not begin like one"));
    }
    if sealed[2] != FORMAT {
        return Err(VaultError::UnknownFormat(sealed[2]));
    }
    if sealed.len() < BODY_AT + NONCE + TAG {
        return Err(VaultError::Malformed("it is cut off"));
    }
    let mut id = [0; KEY_ID];
    id.copy_from_slice(&sealed[HEADER..HEADER + KEY_ID]);
    Ok(KeyId(id))
}

fn write_wrapped(
    into: &mut Vec<u8>,
    keyring: &Keyring,
    ambient: &Ambient,
    context: &Context,
    own_key: &[u8; KEY],
) -> Result<(), VaultError> {
    into.extend(MAGIC);
    into.push(FORMAT);
    into.extend(keyring.current().0);
    let nonce = ambient.random::<NONCE>();
    let mut wrapped = Zeroizing::new(*own_key);
    let tag = XChaCha20Poly1305::new(keyring.current_bytes().into())
        .encrypt_inout_detached(
            &XNonce::from(nonce),
            &key_data(keyring.current(), context),
            wrapped.as_mut_slice().into(),
        )
        .map_err(|_| VaultError::Refused)?;
    into.extend(nonce);
    into.extend(&wrapped[..]);
    into.extend(&tag[..]);
    Ok(())
}

fn unwrap_key(
    keyring: &Keyring,
    context: &Context,
    sealed: &[u8],
) -> Result<Zeroizing<[u8; KEY]>, VaultError> {
    let id = sealed_with(sealed)?;
    let master = keyring.bytes(id).ok_or(VaultError::UnknownKey(id))?;
    let (nonce, rest) = sealed[HEADER + KEY_ID..BODY_AT].split_at(NONCE);
    let (wrapped, tag) = rest.split_at(KEY);
    let mut own_key = Zeroizing::new([0; KEY]);
    own_key.copy_from_slice(wrapped);
    decrypt(
        master,
        nonce,
        &key_data(id, context),
        own_key.as_mut_slice(),
        tag,
    )?;
    Ok(own_key)
}

fn decrypt(
    key: &[u8; KEY],
    nonce: &[u8],
    data: &[u8],
    buffer: &mut [u8],
    tag: &[u8],
) -> Result<(), VaultError> {
    let cut_off = |_| VaultError::Malformed("it is cut off");
    let nonce = XNonce::try_from(nonce).map_err(cut_off)?;
    let tag = chacha20poly1305::Tag::try_from(tag).map_err(cut_off)?;
    XChaCha20Poly1305::new(key.into())
        .decrypt_inout_detached(&nonce, data, buffer.into(), &tag)
        .map_err(|_| VaultError::Refused)
}

fn value_data(context: &Context) -> Vec<u8> {
    let mut data = vec![MAGIC[0], MAGIC[1], FORMAT, b'v'];
    data.extend(context.to_bytes());
    data
}

fn key_data(id: KeyId, context: &Context) -> Vec<u8> {
    let mut data = vec![MAGIC[0], MAGIC[1], FORMAT, b'k'];
    data.extend(id.0);
    data.extend(context.to_bytes());
    data
}

/// Opens as text.
pub(crate) fn text(value: &SecretBox<Vec<u8>>) -> Result<secrecy::SecretString, VaultError> {
    std::str::from_utf8(value.expose_secret())
        .map(secrecy::SecretString::from)
        .map_err(|_| VaultError::NotText)
}
