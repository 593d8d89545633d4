//! How machines make images of packages (`[packages]`): what they are made on, and what making one may use.

use std::path::PathBuf;

use agentopia_catalog_import::image::Reference;
use serde::Deserialize;

/// See the module's header.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Packages {
    /// The image that packages of npm are installed on: it has Node, npm and a shell.
    pub npm_base_image: String,
    /// The image that packages of PyPI are installed on: it has Python, pip and a shell.
    pub pypi_base_image: String,
    /// A file with certificate authorities (PEM) that the package registries' certificates may come from,
    /// besides those that the base images trust.
    pub ca_file: Option<PathBuf>,
    /// What one build may use of memory, in MiB.
    pub build_memory_mib: u32,
    /// What one build may use of processors, in thousandths.
    pub build_cpu_millis: u32,
    /// How long one build may take.
    pub build_seconds: u32,
    /// What one build may add to its base image, in MiB.
    pub build_size_mib: u32,
}

impl Default for Packages {
    fn default() -> Self {
        Self {
            npm_base_image: "node:22-slim".to_owned(),
            pypi_base_image: "python:3.13-slim".to_owned(),
            ca_file: None,
            build_memory_mib: 1024,
            build_cpu_millis: 2000,
            build_seconds: 900,
            build_size_mib: 2048,
        }
    }
}

impl Packages {
    /// What is wrong, if anything: the key and what would be right.
    pub(super) fn problem(&self) -> Option<(&'static str, &'static str)> {
        let image = "must be an image such as host/path:tag or host/path@sha256:…";
        [
            (
                Reference::parse(&self.npm_base_image).is_err(),
                "packages.npm_base_image",
                image,
            ),
            (
                Reference::parse(&self.pypi_base_image).is_err(),
                "packages.pypi_base_image",
                image,
            ),
            (
                !(64..=1 << 20).contains(&self.build_memory_mib),
                "packages.build_memory_mib",
                "must be 64 to 1048576",
            ),
            (
                !(100..=1_024_000).contains(&self.build_cpu_millis),
                "packages.build_cpu_millis",
                "must be 100 to 1024000",
            ),
            (
                !(10..=86_400).contains(&self.build_seconds),
                "packages.build_seconds",
                "must be 10 to 86400",
            ),
            (
                !(1..=1 << 20).contains(&self.build_size_mib),
                "packages.build_size_mib",
                "must be 1 to 1048576",
            ),
        ]
        .into_iter()
        .find_map(|(is_wrong, key, problem)| is_wrong.then_some((key, problem)))
    }
}
