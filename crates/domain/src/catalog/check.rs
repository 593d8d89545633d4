//! What is wrong with an entry: everything that the types leave open.

use super::names::{
    is_digest, is_endpoint, is_env_name, is_mount_path, is_registry_name, is_repository, is_slug,
    is_tag,
};
use super::package::PackageVersion;
use super::{CatalogDefinition, CatalogProblem, ConfigTarget, Packaging, Transport, package, text};
use crate::idle;
use crate::remote;

impl CatalogDefinition {
    fn every_version_takes_link_secrets(&self) -> bool {
        let mut versions = self.versions.iter();
        versions.all(|version| self.takes_link_secrets(version))
    }

    /// Checks everything that the types leave open, except the JSON Schema itself.
    ///
    /// # Errors
    /// Every problem found, not only the first.
    pub fn check(&self) -> Result<(), Vec<CatalogProblem>> {
        let mut problems = Vec::new();
        let mut wrong = |field: &str, problem: &str| {
            problems.push(CatalogProblem {
                field: field.into(),
                problem: problem.into(),
            });
        };
        if !is_slug(&self.slug) {
            wrong(
                "slug",
                "use 1 to 63 lower-case letters, digits and dashes, no dash in front",
            );
        }
        match &self.packaging {
            Packaging::DockerImage { image } if !is_repository(image) => {
                wrong(
                    "packaging.image",
                    "use host/path without tag or digest, lower case",
                );
            }
            Packaging::DockerImage { .. } => {}
            Packaging::Package {
                registry,
                name,
                program,
            } => {
                if !registry.is_name(name) {
                    wrong(
                        "packaging.name",
                        "use the package's name as its registry writes it, without a version",
                    );
                }
                if program
                    .as_deref()
                    .is_some_and(|program| !package::is_program(program))
                {
                    wrong("packaging.program", "use the name of a program, no path");
                }
            }
            Packaging::Remote { url, headers, .. } => {
                if url.as_deref().is_some_and(|url| !is_endpoint(url)) {
                    wrong(
                        "packaging.url",
                        "use https://host/path without user, password and `#`",
                    );
                }
                let secrets: Vec<&str> = self.secrets.iter().map(|it| it.name.as_str()).collect();
                for (name, value) in headers {
                    if let Err(problem) = remote::check_header(name, value, &secrets) {
                        wrong(&format!("packaging.headers.{name}"), &problem);
                    }
                }
                if !self.egress.is_open() {
                    wrong("egress", "leave it out: a remote server runs elsewhere");
                }
                if self.direct_access.is_some() || self.volume.is_some() {
                    wrong(
                        "packaging",
                        "a remote server has no port and no volume here",
                    );
                }
            }
        }
        if self.version(&self.default_version).is_none() {
            wrong("default_version", "name one of `versions`");
        }
        for (index, version) in self.versions.iter().enumerate() {
            if self
                .versions
                .iter()
                .filter(|other| other.version == version.version)
                .count()
                > 1
            {
                wrong(
                    &format!("versions[{index}].version"),
                    "each version appears once",
                );
            }
            let is_image = matches!(self.packaging, Packaging::DockerImage { .. });
            if is_image && version.tag.is_none() && version.digest.is_none() {
                wrong(&format!("versions[{index}]"), "give a tag or a digest");
            }
            let is_package = matches!(self.packaging, Packaging::Package { .. });
            if is_package != version.package.is_some() {
                wrong(
                    &format!("versions[{index}].package"),
                    "give it where the packaging is `package`, and nowhere else",
                );
            }
            let exact = |package: &PackageVersion| package::is_exact_version(&package.version);
            if !version.package.as_ref().is_none_or(exact) {
                wrong(
                    &format!("versions[{index}].package.version"),
                    "use an exact version such as 1.4.0, no range and no `latest`",
                );
            }
            if version
                .digest
                .as_deref()
                .is_some_and(|digest| !is_digest(digest))
            {
                wrong(
                    &format!("versions[{index}].digest"),
                    "use sha256: and 64 hex digits",
                );
            }
            if version.tag.as_deref().is_some_and(|tag| !is_tag(tag)) {
                wrong(
                    &format!("versions[{index}].tag"),
                    "use letters, digits, `_`, `.`, `-`",
                );
            }
            for name in version.env.keys() {
                if !is_env_name(name) {
                    wrong(
                        &format!("versions[{index}].env"),
                        "use names of letters, digits, `_`",
                    );
                }
            }
        }
        for secret in &self.secrets {
            if !is_env_name(&secret.name) {
                wrong("secrets.name", "use a name of letters, digits and `_`");
            }
            if secret.per_link && !self.every_version_takes_link_secrets() {
                wrong(
                    "secrets.per_link",
                    "a container that speaks HTTP gets its secrets when it starts, the same for all who use \
                     it: use the transport stdio, or leave `per_link` out",
                );
            }
        }
        for binding in &self.config.bindings {
            if let ConfigTarget::Env { name } | ConfigTarget::EnvText { name, .. } = &binding.target
                && !is_env_name(name)
            {
                wrong(
                    "config.bindings.name",
                    "use a name of letters, digits and `_`",
                );
            }
            if let ConfigTarget::EnvText { text, .. } | ConfigTarget::ArgText { text, .. } =
                &binding.target
            {
                let known = |name: &&str| self.config.schema["properties"].get(*name).is_some();
                if !text::settings(text).is_ok_and(|names| names.iter().all(known)) {
                    wrong(
                        "config.bindings.text",
                        "write `${config:NAME}` with properties of the schema",
                    );
                }
            }
        }
        if self
            .registry_name
            .as_deref()
            .is_some_and(|name| !is_registry_name(name))
        {
            wrong(
                "registry_name",
                "use `namespace/name`, such as com.example/weather",
            );
        }
        if let Some(volume) = &self.volume
            && !is_mount_path(&volume.mount_path)
        {
            wrong(
                "volume.mount_path",
                "use an absolute path below the root, without `..`",
            );
        }
        if let Some(direct) = &self.direct_access {
            if direct.port == 0 {
                wrong("direct_access.port", "use 1 to 65535");
            }
            if direct.protocols.is_empty() {
                wrong("direct_access.protocols", "name `tcp`, `udp` or both");
            }
        }
        if self
            .idle_seconds
            .is_some_and(|seconds| !idle::is_allowed(seconds, idle::SHORTEST))
        {
            wrong(
                "idle_seconds",
                "use 60 to 2592000 (30 days), or leave it out for a tool that is never stopped",
            );
        }
        if self.idle_seconds.is_some() && self.direct_access.is_some() {
            wrong(
                "idle_seconds",
                "leave it out: a tool with `direct_access` is never stopped, because nobody sees who \
                 uses its port",
            );
        }
        if self.idle_seconds.is_some() && self.packaging.is_remote() {
            wrong(
                "idle_seconds",
                "leave it out: a server that runs elsewhere is not ours to stop",
            );
        }
        if let Transport::StreamableHttp { port, path } | Transport::Sse { port, path } =
            &self.transport
        {
            if *port == 0 {
                wrong("transport.port", "use 1 to 65535");
            }
            if !path.starts_with('/') || path.contains(['?', '#', ' ']) {
                wrong("transport.path", "start with `/`, no query");
            }
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(problems)
        }
    }
}
