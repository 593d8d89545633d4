//! The catalog that comes with the product, written into the store at every start.
//!
//! Definitions are TOML files beside this one. Where an operator (or `script/images`) has built
//! the images into a registry of their own, a JSON file tells for each image its repository and
//! digest there: `{"echo": {"image": "registry.example/agentopia/echo", "digest": "sha256:…"}}`.
//! An entry whose status an admin changed (archived, say) is left alone; all others follow the
//! product. Whoever wants a variant makes one under another slug.

use std::collections::BTreeMap;
use std::path::Path;

use agentopia_domain::catalog::{CatalogDefinition, Packaging, is_digest, is_repository};
use anyhow::Context as _;
use serde::Deserialize;

const FILES: [(&str, &str); 10] = [
    ("echo.toml", include_str!("catalog_seed/echo.toml")),
    (
        "echo-http.toml",
        include_str!("catalog_seed/echo-http.toml"),
    ),
    (
        "everything.toml",
        include_str!("catalog_seed/everything.toml"),
    ),
    (
        "everything-http.toml",
        include_str!("catalog_seed/everything-http.toml"),
    ),
    (
        "everything-sse.toml",
        include_str!("catalog_seed/everything-sse.toml"),
    ),
    ("fetch.toml", include_str!("catalog_seed/fetch.toml")),
    (
        "filesystem.toml",
        include_str!("catalog_seed/filesystem.toml"),
    ),
    ("remote.toml", include_str!("catalog_seed/remote.toml")),
    (
        "remote-sse.toml",
        include_str!("catalog_seed/remote-sse.toml"),
    ),
    ("time.toml", include_str!("catalog_seed/time.toml")),
];

/// Where an image of ours really is.
#[derive(Debug, Clone, Deserialize)]
pub struct BuiltImage {
    /// Repository with registry, without tag.
    pub image: String,
    /// Digest of the manifest.
    pub digest: String,
}

/// Image name (the last part of its repository) to where it is.
pub type BuiltImages = BTreeMap<String, BuiltImage>;

/// Reads the file that tells where images were built to.
///
/// # Errors
/// When it can't be read, or names something that is no image.
pub fn read_images(path: &Path) -> anyhow::Result<BuiltImages> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("`catalog_images` {} can't be read", path.display()))?;
    let images: BuiltImages = serde_json::from_str(&text)
        .with_context(|| format!("`catalog_images` {} is not as expected", path.display()))?;
    for (name, built) in &images {
        anyhow::ensure!(
            is_repository(&built.image) && is_digest(&built.digest),
            "`catalog_images` {}: {name} needs a repository without tag and a sha256 digest",
            path.display()
        );
    }
    Ok(images)
}

/// All definitions, with images where they really are.
///
/// # Errors
/// Never in a build that passed its tests.
pub fn definitions(images: &BuiltImages) -> anyhow::Result<Vec<CatalogDefinition>> {
    FILES
        .iter()
        .map(|(name, text)| definition(text, images).context(*name))
        .collect()
}

fn definition(text: &str, images: &BuiltImages) -> anyhow::Result<CatalogDefinition> {
    let mut definition: CatalogDefinition = toml::from_str(text)?;
    let Packaging::DockerImage { image } = &mut definition.packaging else {
        return Ok(definition);
    };
    let name = image.rsplit('/').next().unwrap_or_default();
    if let Some(built) = images.get(name) {
        image.clone_from(&built.image);
        for version in &mut definition.versions {
            version.digest = Some(built.digest.clone());
            version.tag = None;
        }
    }
    Ok(definition)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_a_valid_definition_named_like_its_slug() {
        for (definition, (file, _)) in definitions(&BuiltImages::new()).unwrap().iter().zip(FILES) {
            definition.check().unwrap();
            assert_eq!(format!("{}.toml", definition.slug), file);
        }
    }

    #[test]
    fn built_images_are_pinned_by_digest() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let built = BuiltImage {
            image: "127.0.0.1:5000/a/echo".to_owned(),
            digest: digest.clone(),
        };
        let images = BuiltImages::from([("echo".to_owned(), built)]);
        let echo = definitions(&images).unwrap().remove(0);
        assert_eq!(
            echo.packaging,
            Packaging::DockerImage {
                image: "127.0.0.1:5000/a/echo".into()
            }
        );
        assert_eq!(echo.versions[0].digest.as_ref(), Some(&digest));
    }
}
