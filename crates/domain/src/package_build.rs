//! A package of npm or PyPI that a machine makes an image of: what goes in, and what the making may use.
//!
//! A machine never gets a command line: name and version are checked texts, everything else is a choice
//! between known things. `agentopia-dtma`'s `runtime::docker::package` does it.

use serde::{Deserialize, Serialize};

use crate::catalog::package::{PackageRegistry, is_exact_version, is_program};

/// The longest bundle of certificate authorities that goes with a build.
pub const MAX_CA: usize = 64 << 10;
/// The longest address of a registry.
const MAX_INDEX: usize = 2048;

/// What to make an image of. The image that it is made on is the program's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageBuild {
    /// Which kind of registry it is in.
    pub registry: PackageRegistry,
    /// Its name there.
    pub name: String,
    /// Its exact version.
    pub version: String,
    /// Which of its programs is run; without it the package's own data decide, as `npx` and `uvx` do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// What the registry said its content is when it was imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integrity: Option<String>,
    /// Whether code of packages may run while they are installed.
    #[serde(default)]
    pub install_scripts: bool,
    /// The registry's address; without it the package manager's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<String>,
    /// Certificate authorities (PEM) that the registry's certificate may come from, besides those that the
    /// base image trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// What the build may use.
    pub limits: BuildLimits,
}

/// What one build may use of its machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildLimits {
    /// Memory.
    pub memory_bytes: u64,
    /// Processors, in thousandths.
    pub cpu_millis: u32,
    /// Time from its start to its end.
    pub seconds: u32,
    /// What it may add to the base image.
    pub size_bytes: u64,
}

impl Default for BuildLimits {
    fn default() -> Self {
        Self {
            memory_bytes: 1 << 30,
            cpu_millis: 2000,
            seconds: 900,
            size_bytes: 2 << 30,
        }
    }
}

/// All that decides what the image contains, for comparing and hashing.
pub type Content<'a> = (
    PackageRegistry,
    &'a str,
    &'a str,
    Option<&'a str>,
    Option<&'a str>,
    bool,
    Option<&'a str>,
);

impl PackageBuild {
    /// All that decides what the image contains: neither limits nor certificates do.
    #[must_use]
    pub fn content(&self) -> Content<'_> {
        (
            self.registry,
            &self.name,
            &self.version,
            self.program.as_deref(),
            self.integrity.as_deref(),
            self.install_scripts,
            self.index.as_deref(),
        )
    }

    /// `npm:NAME@VERSION`, for people.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{}:{}@{}", self.registry.as_str(), self.name, self.version)
    }

    /// Checks everything that the types leave open.
    ///
    /// # Errors
    /// The field, and what would be right.
    pub fn check(&self) -> Result<(), (&'static str, &'static str)> {
        if !self.registry.is_name(&self.name) {
            return Err(("name", "it is no name of a package"));
        }
        if !is_exact_version(&self.version) {
            return Err(("version", "use an exact version"));
        }
        if self.program.as_deref().is_some_and(|it| !is_program(it)) {
            return Err(("program", "it is no name of a program"));
        }
        let is_integrity = |text: &str| {
            text.len() <= 256
                && text
                    .bytes()
                    .all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\'))
        };
        if self
            .integrity
            .as_deref()
            .is_some_and(|it| !is_integrity(it))
        {
            return Err(("integrity", "use sha512-… or sha256:…"));
        }
        if self.index.as_deref().is_some_and(|it| !is_address(it)) {
            return Err((
                "index",
                "use http:// or https:// and a host, without a login",
            ));
        }
        if self.ca.as_deref().is_some_and(|it| it.len() > MAX_CA) {
            return Err(("ca", "use up to 64 KiB of certificates in PEM"));
        }
        self.limits.check()
    }
}

impl BuildLimits {
    fn check(&self) -> Result<(), (&'static str, &'static str)> {
        if !(64 << 20..=1 << 40).contains(&self.memory_bytes) {
            return Err(("limits.memory_bytes", "use 64 MiB to 1 TiB"));
        }
        if !(100..=1_024_000).contains(&self.cpu_millis) {
            return Err(("limits.cpu_millis", "use 100 to 1,024,000"));
        }
        if !(10..=86_400).contains(&self.seconds) {
            return Err(("limits.seconds", "use 10 to 86,400"));
        }
        if !(1 << 20..=1 << 40).contains(&self.size_bytes) {
            return Err(("limits.size_bytes", "use 1 MiB to 1 TiB"));
        }
        Ok(())
    }
}

/// An address that may stand in a line of a configuration file of npm or pip.
fn is_address(text: &str) -> bool {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    text.len() <= MAX_INDEX
        && rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
        && text.bytes().all(|b| {
            b.is_ascii_alphanumeric()
                || matches!(
                    b,
                    b'/' | b':' | b'.' | b'-' | b'_' | b'~' | b'[' | b']' | b'+'
                )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build() -> PackageBuild {
        PackageBuild {
            registry: PackageRegistry::Npm,
            name: "@a/server".to_owned(),
            version: "1.2.3".to_owned(),
            program: None,
            integrity: Some("sha512-ab+/==".to_owned()),
            install_scripts: false,
            index: Some("https://packages.example:8443/npm/".to_owned()),
            ca: None,
            limits: BuildLimits::default(),
        }
    }

    #[test]
    fn nothing_that_a_shell_a_file_or_an_address_could_read_otherwise_passes() {
        assert_eq!(build().check(), Ok(()));
        type Change = fn(&mut PackageBuild);
        let wrong: [(&str, Change); 12] = [
            ("name", |it| it.name = "a;b".to_owned()),
            ("name", |it| it.name = "--global".to_owned()),
            ("version", |it| it.version = "latest".to_owned()),
            ("version", |it| it.version = "1 || 2".to_owned()),
            ("program", |it| it.program = Some("../sh".to_owned())),
            ("integrity", |it| it.integrity = Some("a\nb".to_owned())),
            ("index", |it| it.index = Some("file:///etc".to_owned())),
            ("index", |it| it.index = Some("https://u:p@h/".to_owned())),
            ("index", |it| {
                it.index = Some("https://h/\nproxy=x".to_owned())
            }),
            ("ca", |it| it.ca = Some("x".repeat(MAX_CA + 1))),
            ("limits.seconds", |it| it.limits.seconds = 0),
            ("limits.memory_bytes", |it| it.limits.memory_bytes = 1),
        ];
        for (field, change) in wrong {
            let mut build = build();
            change(&mut build);
            assert_eq!(build.check().unwrap_err().0, field);
        }
    }

    #[test]
    fn limits_and_certificates_do_not_make_another_image() {
        let (one, mut other) = (build(), build());
        other.limits.seconds = 10;
        other.ca = Some("pem".to_owned());
        assert_eq!(one.content(), other.content());
        other.install_scripts = true;
        assert_ne!(one.content(), other.content());
    }
}
