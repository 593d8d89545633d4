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
        let mut push = |name: &str, value: &str| {
            env.push_env(name.as_bytes(), value.as_bytes())
                .map_err(|error| {
                    RuntimeError::new(
                        ErrorCode::SpawnFailed,
                        format!("the variable {name:?} can't be set: {error}"),
                    )
                })
        };
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
