//! What machines are told of packages that they have to make images of: the catalog's part, and the operator's
//! (base images, registries, limits), which is read once.

use agentopia_catalog_import::image::Reference;
use agentopia_domain::catalog::package::{PackageRegistry, PackageVersion};
use agentopia_domain::package_build::{BuildLimits, MAX_CA, PackageBuild};
use agentopia_domain::spec::ImageRef;
use anyhow::Context as _;
use url::Url;

use crate::config::Config;

/// The operator's part.
#[derive(Debug, Clone)]
pub struct PackageSettings {
    npm: Source,
    pypi: Source,
    ca: Option<String>,
    limits: BuildLimits,
}

/// Where the packages of one registry come from, and what they are put on.
#[derive(Debug, Clone)]
struct Source {
    base: ImageRef,
    index: Option<String>,
}

impl PackageSettings {
    /// Reads what the configuration names.
    ///
    /// # Errors
    /// When the file of certificate authorities can't be used.
    pub fn read(config: &Config) -> anyhow::Result<Self> {
        let packages = &config.packages;
        let base = |text: &str| {
            let reference = Reference::parse(text).map_err(|problem| anyhow::anyhow!(problem.0))?;
            anyhow::Ok(ImageRef {
                repository: reference.repository,
                tag: reference.tag,
                digest: reference.digest,
            })
        };
        let ca = match &packages.ca_file {
            None => None,
            Some(file) => {
                let text = std::fs::read_to_string(file).with_context(|| {
                    format!("`packages.ca_file` {} can't be read", file.display())
                })?;
                anyhow::ensure!(
                    text.len() <= MAX_CA && text.contains("BEGIN CERTIFICATE"),
                    "`packages.ca_file` {} has to be up to 64 KiB of certificates in PEM: name only the \
                     authorities of your own registries",
                    file.display()
                );
                Some(text)
            }
        };
        Ok(Self {
            npm: Source {
                base: base(&packages.npm_base_image)?,
                index: config.npm_registry.as_ref().map(Url::to_string),
            },
            pypi: Source {
                base: base(&packages.pypi_base_image)?,
                index: config.pypi_registry.as_ref().map(simple),
            },
            ca,
            limits: BuildLimits {
                memory_bytes: u64::from(packages.build_memory_mib) << 20,
                cpu_millis: packages.build_cpu_millis,
                seconds: packages.build_seconds,
                size_bytes: u64::from(packages.build_size_mib) << 20,
            },
        })
    }

    /// What to make, and on which image.
    #[must_use]
    pub fn build(
        &self,
        registry: PackageRegistry,
        name: &str,
        program: Option<&str>,
        version: &PackageVersion,
    ) -> (ImageRef, PackageBuild) {
        let source = match registry {
            PackageRegistry::Npm => &self.npm,
            PackageRegistry::Pypi => &self.pypi,
        };
        let build = PackageBuild {
            registry,
            name: name.to_owned(),
            version: version.version.clone(),
            program: program.map(str::to_owned),
            integrity: version.integrity.clone(),
            install_scripts: version.install_scripts,
            index: source.index.clone(),
            ca: self.ca.clone(),
            limits: self.limits,
        };
        (source.base.clone(), build)
    }
}

/// Where pip looks, in an index with PyPI's JSON API.
fn simple(base: &Url) -> String {
    format!("{}/simple/", base.as_str().trim_end_matches('/'))
}

/// Words for `npx` and `uvx` that change nothing in how a package is installed or started.
const IDLE_WORDS: [&str; 6] = ["-y", "--yes", "-q", "--quiet", "--silent", "--no-progress"];

/// The first of a version's words for `npx` or `uvx` that can't be followed.
#[must_use]
pub fn foreign_word(version: &PackageVersion) -> Option<&str> {
    let mut words = version.runtime_args.iter().map(String::as_str);
    words.find(|word| !IDLE_WORDS.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version() -> PackageVersion {
        PackageVersion {
            version: "1.0.0".to_owned(),
            integrity: None,
            runtime_args: vec!["-y".to_owned()],
            install_scripts: false,
        }
    }

    #[test]
    fn a_build_has_the_catalogs_part_and_the_operators() {
        let mut config = Config {
            pypi_registry: Some("https://packages.example/py".parse().unwrap()),
            ..Config::default()
        };
        config.packages.npm_base_image = "images.example:5000/node:1".to_owned();
        let settings = PackageSettings::read(&config).unwrap();
        let (base, build) = settings.build(PackageRegistry::Npm, "@a/b", Some("b"), &version());
        assert_eq!(base.reference(), "images.example:5000/node:1");
        assert_eq!((build.index.as_deref(), build.check()), (None, Ok(())));
        let (base, build) = settings.build(PackageRegistry::Pypi, "b", None, &version());
        assert_eq!(base.reference(), "python:3.13-slim");
        let index = build.index.clone();
        assert_eq!(
            index.as_deref(),
            Some("https://packages.example/py/simple/")
        );
        assert_eq!(build.check(), Ok(()));
    }

    #[test]
    fn certificates_are_read_and_a_file_of_something_else_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut config = Config::default();
        config.packages.ca_file = Some(file.path().to_owned());
        let problem = PackageSettings::read(&config).unwrap_err().to_string();
        assert!(problem.contains("packages.ca_file"), "{problem}");
        std::fs::write(file.path(), "-----BEGIN CERTIFICATE-----\n").unwrap();
        assert!(PackageSettings::read(&config).is_ok());
    }

    #[test]
    fn words_that_would_install_something_else_are_found() {
        let mut version = version();
        assert_eq!(foreign_word(&version), None);
        version.runtime_args.push("--with".to_owned());
        assert_eq!(foreign_word(&version), Some("--with"));
    }
}
