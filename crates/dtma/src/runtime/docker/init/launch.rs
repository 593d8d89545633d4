//! What a server is started with.

use std::collections::BTreeMap;

use agentopia_domain::spec::InstanceSpec;
use secrecy::{ExposeSecret as _, SecretString};
use tool_init::frame::{Spawn, Strings, StringsBuf, ToInit};
use tool_init::protocol::SessionId;
use tool_init::secret::SecretBytes;

use crate::runtime::{ErrorCode, RuntimeError};

/// The environment of a server, on top of its image's: configuration and secrets. Wiped from
/// memory when dropped; `Debug` shows the number of variables only.
#[derive(Debug)]
pub(in crate::runtime::docker) struct Launch {
    env: StringsBuf,
}

impl Launch {
    /// Secrets win over configuration. Programs that want a home directory get `/tmp`, the one
    /// place they may write to, unless image or configuration name another.
    ///
    /// # Errors
    /// `SpawnFailed` for a name or value that no environment can hold.
    pub(in crate::runtime::docker) fn new(
        spec: &InstanceSpec,
        image_env: &[String],
        secrets: &BTreeMap<String, SecretString>,
    ) -> Result<Self, RuntimeError> {
        let mut env = StringsBuf::new();
        let mut push = |name: &str, value: &str| push(&mut env, name, value);
        for (name, value) in &spec.env {
            if !secrets.contains_key(name) {
                push(name, value)?;
            }
        }
        for (name, value) in secrets {
            push(name, value.expose_secret())?;
        }
        let named = |name: &str| spec.env.contains_key(name) || secrets.contains_key(name);
        if !named("HOME") && !image_env.iter().any(|entry| entry.starts_with("HOME=")) {
            push("HOME", "/tmp")?;
        }
        Ok(Self { env })
    }

    /// The same with these values in place of what it has under their names.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(super) fn with(&self, own: &BTreeMap<String, SecretString>) -> Result<Self, RuntimeError> {
        let mut env = StringsBuf::new();
        for entry in self.env.as_strings().iter() {
            let entry = entry.to_bytes();
            let name = entry.split(|byte| *byte == b'=').next().unwrap_or(entry);
            if own.keys().all(|own| own.as_bytes() != name) {
                env.push(entry).map_err(|error| {
                    RuntimeError::new(ErrorCode::SpawnFailed, error.to_string())
                })?;
            }
        }
        for (name, value) in own {
            push(&mut env, name, value.expose_secret())?;
        }
        Ok(Self { env })
    }

    /// The request to start the image's own command as `session`.
    pub(super) fn encode(&self, session: SessionId) -> Result<SecretBytes, RuntimeError> {
        let spawn = Spawn {
            session,
            inherit_env: true,
            cwd: Strings::default(),
            argv: Strings::default(),
            env: self.env.as_strings(),
        };
        ToInit::Spawn(spawn)
            .encode()
            .map_err(|error| RuntimeError::new(ErrorCode::SpawnFailed, error.to_string()))
    }
}

fn push(env: &mut StringsBuf, name: &str, value: &str) -> Result<(), RuntimeError> {
    env.push_env(name.as_bytes(), value.as_bytes())
        .map_err(|error| {
            RuntimeError::new(
                ErrorCode::SpawnFailed,
                format!("the variable {name:?} can't be set: {error}"),
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::spec;

    #[test]
    fn own_values_take_the_place_of_those_of_the_same_name_and_of_no_others() {
        let secrets = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter();
            let owned = pairs.map(|(name, value)| ((*name).to_owned(), SecretString::from(*value)));
            owned.collect::<BTreeMap<_, _>>()
        };
        let mut spec = spec();
        spec.env = [("PLAIN".to_owned(), "p".to_owned())].into();
        let theirs = secrets(&[("KEY", "instance's"), ("KEY_2", "second")]);
        let launch = Launch::new(&spec, &[], &theirs).unwrap();
        let own = launch
            .with(&secrets(&[("KEY", "own"), ("NEW", "n")]))
            .unwrap();
        let entries = |launch: &Launch| {
            let strings = launch.env.as_strings();
            let mut all: Vec<String> = strings
                .iter()
                .map(|entry| entry.to_str().unwrap().to_owned())
                .collect();
            all.sort();
            all
        };
        assert_eq!(
            entries(&own),
            ["HOME=/tmp", "KEY=own", "KEY_2=second", "NEW=n", "PLAIN=p"]
        );
        assert!(entries(&launch).contains(&"KEY=instance's".to_owned()));
        assert!(!format!("{own:?}").contains("own,"));
    }
}
