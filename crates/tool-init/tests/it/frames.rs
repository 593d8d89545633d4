//! The codec against arbitrary bytes: it never panics, and what it accepts has one form only.

use proptest::collection::vec;
use proptest::prelude::*;
use tool_init::frame::{Spawn, StringsBuf, ToHost, ToInit, session_of};
use tool_init::protocol::{MAX_MESSAGE, SessionId};

fn word() -> impl Strategy<Value = Vec<u8>> {
    vec(1..=255u8, 0..24)
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    vec(b'A'..=b'Z', 1..12)
}

/// Bytes that start like a message, so that the search gets beyond the header.
fn almost() -> impl Strategy<Value = Vec<u8>> {
    (0..14u8, 0..3u8, 0..3u32, vec(any::<u8>(), 0..64)).prop_map(|(kind, flags, session, rest)| {
        let mut bytes = vec![kind, flags, 0, 0];
        bytes.extend(session.to_le_bytes());
        bytes.extend(rest);
        bytes
    })
}

fn check(bytes: &[u8]) {
    let _ = session_of(bytes);
    if let Ok(message) = ToInit::decode(bytes) {
        assert_eq!(message.encode().unwrap().as_slice(), bytes);
    }
    if let Ok(message) = ToHost::decode(bytes) {
        assert_eq!(message.encode(), bytes);
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..512)) {
        check(&bytes);
    }

    #[test]
    fn almost_messages_never_panic(bytes in almost()) {
        check(&bytes);
    }

    #[test]
    fn a_spawn_comes_back_as_it_went_and_damage_does_not_panic(
        id in 1..=u32::MAX,
        inherit_env: bool,
        cwd in vec(word(), 0..2),
        argv in vec(word(), 0..6),
        env in vec((name(), word()), 0..6),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let cwd = StringsBuf::from_args(cwd).unwrap();
        let argv = StringsBuf::from_args(argv).unwrap();
        let mut variables = StringsBuf::new();
        for (name, value) in &env {
            variables.push_env(name, value).unwrap();
        }
        let message = ToInit::Spawn(Spawn {
            session: SessionId::new(id).unwrap(),
            inherit_env,
            cwd: cwd.as_strings(),
            argv: argv.as_strings(),
            env: variables.as_strings(),
        });
        let bytes = message.encode().unwrap();
        prop_assert_eq!(ToInit::decode(bytes.as_slice()), Ok(message));
        let mut bytes = bytes.as_slice().to_vec();
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        check(&bytes);
    }

    #[test]
    fn nothing_above_the_limit_is_read(extra in 1..4096usize) {
        let bytes = vec![8; MAX_MESSAGE + extra];
        prop_assert!(ToInit::decode(&bytes).is_err() && ToHost::decode(&bytes).is_err());
    }
}
