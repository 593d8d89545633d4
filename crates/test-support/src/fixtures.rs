//! Catalog entries that tests add: our echo server being bad on purpose, under every name that a
//! fault needs. And the registry that the images are in.

use agentopia_domain::catalog::CatalogDefinition;
use anyhow::Context as _;
use serde_json::{Value, json};

use crate::api::Api;
use crate::binaries;

/// The login at the test registry, as `script/services env` tells.
#[derive(Debug, Clone)]
pub struct Registry {
    /// `host:port`.
    pub host: String,
    /// User name.
    pub user: String,
    /// Password.
    pub password: String,
}

impl Registry {
    /// Reads it.
    ///
    /// # Errors
    /// When it does not run; the error says what to run.
    pub fn from_env() -> anyhow::Result<Self> {
        let file = binaries::from_scripts("AGENTOPIA_TEST_REGISTRY_PASSWORD_FILE")?;
        let password = std::fs::read_to_string(&file).with_context(|| file.clone())?;
        Ok(Self {
            host: binaries::from_scripts("AGENTOPIA_TEST_REGISTRY")?,
            user: binaries::from_scripts("AGENTOPIA_TEST_REGISTRY_USER")?,
            password: password.trim().to_owned(),
        })
    }
}

/// Where an image of `script/images` is: repository and digest.
///
/// # Errors
/// When it was not built.
pub fn image(name: &str) -> anyhow::Result<(String, String)> {
    let text = std::fs::read_to_string(binaries::images()?)?;
    let images: Value = serde_json::from_str(&text)?;
    let field = |field: &str| {
        let found = images[name][field].as_str().map(str::to_owned);
        found.with_context(|| format!("no image {name}: run `script/images`"))
    };
    Ok((field("image")?, field("digest")?))
}

/// The echo server with arguments of its own, as a catalog entry for both runtimes.
#[derive(Debug, Clone)]
pub struct EchoEntry {
    definition: Value,
}

impl EchoEntry {
    /// `slug`, started with `args`. Without Docker images the image is one that does not exist.
    #[must_use]
    pub fn new(slug: &str, args: &[&str]) -> Self {
        let (image, digest) = image("echo").unwrap_or_else(|_| {
            (
                "agentopia/echo".into(),
                format!("sha256:{}", "0".repeat(64)),
            )
        });
        let process = [&["agentopia-echo"], args].concat();
        let definition = json!({
            "slug": slug,
            "name": slug,
            "packaging": {"type": "docker_image", "image": image},
            "transport": {"type": "stdio"},
            "versions": [{
                "version": "1", "digest": digest, "args": args, "process": process,
            }],
            "default_version": "1",
            "config": {
                "schema": {
                    "type": "object",
                    "additionalProperties": false,
                    "properties": {
                        "greeting": {"type": "string", "maxLength": 200},
                        "number": {"type": "integer"},
                    },
                },
                "bindings": [{"property": "greeting", "to": "env", "name": "GREETING"}],
            },
            "secrets": [{"name": "ECHO_SECRET", "required": false}],
            "resources": {"cpu_millis": 200, "memory_bytes": 33_554_432, "pids": 32},
            "status": "available",
        });
        Self { definition }
    }

    /// Being bad: `--fault MODE`.
    #[must_use]
    pub fn fault(mode: &str) -> Self {
        Self::new(&format!("echo-{mode}"), &["--fault", mode])
    }

    /// Changes any field, by JSON pointer.
    #[must_use]
    pub fn with(mut self, pointer: &str, value: Value) -> Self {
        match self.definition.pointer_mut(pointer) {
            Some(place) => *place = value,
            None => {
                let (parent, key) = pointer.rsplit_once('/').unwrap_or(("", pointer));
                if let Some(Value::Object(parent)) = self.definition.pointer_mut(parent) {
                    parent.insert(key.to_owned(), value);
                }
            }
        }
        self
    }

    /// As JSON, for requests that are to be refused.
    #[must_use]
    pub fn json(&self) -> Value {
        self.definition.clone()
    }

    /// Adds it to the catalog (as an admin).
    ///
    /// # Errors
    /// See [`crate::ApiError`].
    pub async fn add(&self, admin: &Api) -> anyhow::Result<CatalogDefinition> {
        let definition: CatalogDefinition = serde_json::from_value(self.definition.clone())?;
        admin.post::<Value>("/api/v1/catalog", &definition).await?;
        Ok(definition)
    }
}
