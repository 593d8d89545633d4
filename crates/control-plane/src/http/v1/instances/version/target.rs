//! What an instance would be brought to.

use agentopia_catalog_import::image::Reference;
use agentopia_domain::catalog::{CatalogDefinition, Packaging, ToolVersion};
use agentopia_domain::instance::Instance;
use agentopia_domain::versions::Release;

use crate::http::extract::Call;
use crate::http::v1::catalog::import::image::digest_at_registry;

/// A version, and why it is not known which image it is by now, if that is so.
pub(super) struct Target {
    pub(super) release: Release,
    pub(super) problem: Option<String>,
}

impl Target {
    /// What `version` is now: by the digest that the catalog gives, or by what its registry says of its tag.
    pub(super) async fn now(
        call: &Call,
        definition: &CatalogDefinition,
        version: &ToolVersion,
    ) -> Self {
        let release = |digest| Release {
            version: version.version.clone(),
            digest,
        };
        if version.digest.is_some() {
            return Self {
                release: release(version.digest.clone()),
                problem: None,
            };
        }
        let Packaging::DockerImage { image } = &definition.packaging else {
            return Self {
                release: release(None),
                problem: None,
            };
        };
        let reference = Reference {
            repository: image.clone(),
            tag: version.tag.clone(),
            digest: None,
        };
        match digest_at_registry(&call.state.remote, &reference).await {
            Ok(digest) => Self {
                release: release(Some(digest)),
                problem: None,
            },
            Err(why) => Self {
                release: release(None),
                problem: Some(format!(
                    "the registry of {image} could not be asked for it: {why}"
                )),
            },
        }
    }

    /// Whether the instance is not there yet. Where a digest is not known, the name decides.
    pub(super) fn is_newer_for(&self, instance: &Instance) -> bool {
        if self.release.version != instance.version {
            return true;
        }
        match (&self.release.digest, &instance.versions.digest) {
            (Some(there), Some(here)) => there != here,
            _ => false,
        }
    }
}
