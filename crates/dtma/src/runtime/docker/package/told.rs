//! What a build said, and what it means: the recipes' own lines (`@agentopia …`), and the package manager's words
//! as an error that says what to do. Pure.

use std::collections::VecDeque;

use agentopia_domain::catalog::package::{PackageRegistry, is_program};
use agentopia_domain::package_build::PackageBuild;

use crate::runtime::{ErrorCode, RuntimeError};

/// Lines that are kept for an error.
const KEPT: usize = 200;
/// Lines in an error.
const SHOWN: usize = 15;
/// The longest line; the rest of it is dropped.
const LONGEST: usize = 400;
/// What the recipes' own lines begin with.
const OWN: &str = "@agentopia ";

/// What the recipe said of a package that it installed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// The program to run.
    pub(super) program: String,
    /// SHA-256 of the lock file, in hex digits.
    pub(super) lock: String,
    /// What the registry says the package's content is.
    pub(super) integrity: String,
    /// Packages whose install scripts were left out.
    pub(super) scripted: Vec<String>,
    /// How large the shared cache is now, in MiB.
    pub(super) cache_mib: u64,
}

/// A build's output: bounded, whatever it writes.
#[derive(Debug, Default)]
pub(super) struct Output {
    lines: VecDeque<String>,
    open: Vec<u8>,
}

impl Output {
    /// Takes a piece; the last line that it ended, if any, for people who watch.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Option<String> {
        let mut last = None;
        for byte in bytes {
            match byte {
                b'\n' | b'\r' => last = self.end_line().or(last),
                // Four times as many bytes as characters are kept at most.
                _ if self.open.len() < 4 * LONGEST => self.open.push(*byte),
                _ => {}
            }
        }
        last
    }

    fn end_line(&mut self) -> Option<String> {
        let bytes = std::mem::take(&mut self.open);
        let text = String::from_utf8_lossy(&bytes);
        let line: String = text
            .chars()
            .filter(|c| !c.is_control())
            .take(LONGEST)
            .collect();
        if line.trim().is_empty() {
            return None;
        }
        if self.lines.len() == KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(line.clone());
        (!line.starts_with(OWN)).then_some(line)
    }

    fn own(&self, word: &str) -> Option<&str> {
        let mut lines = self.lines.iter().rev();
        lines.find_map(|line| {
            let rest = line.strip_prefix(OWN)?.strip_prefix(word)?;
            (rest.is_empty() || rest.starts_with(' ')).then(|| rest.trim())
        })
    }

    fn has(&self, words: &[&str]) -> bool {
        self.lines.iter().any(|line| {
            let line = line.to_ascii_lowercase();
            words.iter().any(|word| line.contains(word))
        })
    }

    /// The last lines, as the end of an error.
    pub(super) fn last_words(&self) -> String {
        let theirs: Vec<&str> = self
            .lines
            .iter()
            .map(String::as_str)
            .filter(|line| !line.starts_with(OWN))
            .collect();
        match &theirs[theirs.len().saturating_sub(SHOWN)..] {
            [] => String::new(),
            lines => format!("; its last words:\n{}", lines.join("\n")),
        }
    }

    /// What a build that ended well made.
    ///
    /// # Errors
    /// Where it is not what was asked for.
    pub(super) fn made(&self, package: &PackageBuild) -> Result<Told, RuntimeError> {
        let own = |word| self.own(word).unwrap_or_default().to_owned();
        let told = Told {
            cache_mib: own("cache").parse().unwrap_or(0),
            program: own("program"),
            lock: own("lock"),
            integrity: own("integrity"),
            scripted: own("scripts")
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
        };
        let title = package.title();
        if !is_program(&told.program) || told.lock.len() != 64 {
            return Err(RuntimeError::new(
                ErrorCode::BuildFailed,
                format!(
                    "installing {title} did not end as it should{}",
                    self.last_words()
                ),
            ));
        }
        // A Python version has a file for each kind of machine, each with a hash of its own.
        let is_pinned = package.registry == PackageRegistry::Npm;
        if let Some(known) = package.integrity.as_deref().filter(|_| is_pinned)
            && known != told.integrity
        {
            return Err(RuntimeError::new(
                ErrorCode::PackageUnusable,
                format!(
                    "what the registry has as {title} ({}) is not what it had when the tool was imported ({known}): \
                     find out why before you import it again with `--replace`",
                    told.integrity
                ),
            ));
        }
        if self.has(&["selected for download or install is a yanked version"]) {
            return Err(RuntimeError::new(
                ErrorCode::PackageUnusable,
                format!(
                    "{title}, or something that it needs, was withdrawn by its makers: choose another version"
                ),
            ));
        }
        Ok(told)
    }

    /// Why a build did not end well.
    pub(super) fn failure(&self, package: &PackageBuild, base: &str) -> RuntimeError {
        let (code, sentence) = self.diagnosis(package, base);
        RuntimeError::new(code, format!("{sentence}{}", self.last_words()))
    }

    fn diagnosis(&self, package: &PackageBuild, base: &str) -> (ErrorCode, String) {
        let (name, version, title) = (&package.name, &package.version, package.title());
        let registry = package.registry.as_str();
        if let Some(missing) = self.own("no-manager") {
            return (
                ErrorCode::PackageUnusable,
                format!(
                    "the base image {base} has no {missing}: the operator has to set another one \
                     (`packages.{registry}_base_image`)"
                ),
            );
        }
        if let Some(programs) = self.own("no-program") {
            let known = match programs {
                "" => "it has none, so it is no server".to_owned(),
                programs => format!("it has {programs}; name one as `packaging.program`"),
            };
            return (
                ErrorCode::PackageUnusable,
                format!("which program of {title} to run can't be told: {known}"),
            );
        }
        if let Some(other) = self.own("other-version") {
            return (
                ErrorCode::PackageUnusable,
                format!(
                    "{title} was asked for, and {other} was installed: write the version as its registry does"
                ),
            );
        }
        if let Some(other) = self.own("no-hash") {
            return (
                ErrorCode::PackageUnusable,
                format!(
                    "the registry tells no hash of {other}, so that it can't be pinned: use a registry that does"
                ),
            );
        }
        if self.has(&["enospc", "no space left on device"]) {
            return (
                ErrorCode::DiskFull,
                format!(
                    "the disk of the machine was full while {title} was installed; remove tools, or take a larger machine"
                ),
            );
        }
        if self.has(&[
            "e401",
            "e403",
            "401 client error",
            "403 client error",
            "401 error",
            "403 error",
        ]) {
            return (
                ErrorCode::RegistryUnauthorised,
                format!(
                    "the package registry wants a login for {title}, or refuses it; use one that needs none"
                ),
            );
        }
        if self.has(&UNREACHABLE) {
            return (
                ErrorCode::RegistryUnreachable,
                format!(
                    "the package registry of {registry} could not be reached from the machine; it is tried again"
                ),
            );
        }
        if self.has(&["eintegrity", "these packages do not match the hashes"]) {
            return (
                ErrorCode::PackageUnusable,
                format!("something that {title} needs is not what its registry says it is"),
            );
        }
        if self.has(&[
            "ebadplatform",
            "requires-python",
            "requires a different python",
            "requires python",
        ]) {
            return (
                ErrorCode::PackageUnusable,
                format!(
                    "{title} is not made for {base}: the operator has to set another base image (`packages.{registry}_base_image`), or choose another version"
                ),
            );
        }
        if self.is_unknown(name) {
            let sources = match (package.registry, package.install_scripts) {
                (PackageRegistry::Pypi, false) => {
                    "; if it is there as sources only, allow `install_scripts` in the entry's version"
                }
                _ => "",
            };
            return (
                ErrorCode::PackageNotFound,
                format!(
                    "the {registry} registry has no version {version} of {name} that can be installed: check name and version{sources}"
                ),
            );
        }
        (ErrorCode::BuildFailed, format!("installing {title} failed"))
    }

    /// Whether it is the package itself that is not there, and not something that it needs.
    fn is_unknown(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let words = [
            "e404",
            "etarget",
            "404 not found",
            "no matching version",
            "no matching distribution",
            "could not find a version",
        ];
        self.has(&words)
            && self.lines.iter().any(|line| {
                let line = line.to_ascii_lowercase();
                let words = words
                    .iter()
                    .chain(&["is not in this registry", "not found"]);
                words.into_iter().any(|word| line.contains(word))
                    && (line.contains(&name) || line.contains(&name.replace('/', "%2f")))
            })
    }
}

/// Words of npm and pip for a registry that is not reached.
const UNREACHABLE: [&str; 18] = [
    "enotfound",
    "eai_again",
    "econnrefused",
    "econnreset",
    "etimedout",
    "enetunreach",
    "ehostunreach",
    "err_socket_timeout",
    "self_signed_cert",
    "self-signed certificate",
    "unable_to_verify_leaf_signature",
    "unable_to_get_issuer_cert",
    "certificate_verify_failed",
    "temporary failure in name resolution",
    "failed to establish a new connection",
    "connection timed out",
    "read timed out",
    "max retries exceeded",
];

#[cfg(test)]
mod tests {
    use super::super::tests::package;
    use super::*;

    fn said(text: &str) -> Output {
        let mut output = Output::default();
        output.take(text.as_bytes());
        output
    }

    const LOCK: &str = "f24852f98e8747e91d14703287c25fcfe66331914061a1dbe45e752ab0701285";

    #[test]
    fn what_was_made_is_taken_from_the_recipes_own_lines() {
        let npm = package(PackageRegistry::Npm, "@a/server", "1.0.0");
        let good = format!(
            "added 1 package\n@agentopia program server\n@agentopia lock {LOCK}\n@agentopia integrity sha512-a\n@agentopia scripts esbuild\n"
        );
        let told = said(&good).made(&npm).unwrap();
        assert_eq!(told.program, "server");
        assert_eq!(told.scripted, ["esbuild"]);
        let mut other = npm.clone();
        other.integrity = Some("sha512-b".to_owned());
        let refused = said(&good).made(&other).unwrap_err();
        assert_eq!(refused.code, ErrorCode::PackageUnusable);
        let odd = format!("@agentopia program ../../bin/sh\n@agentopia lock {LOCK}\n");
        assert_eq!(
            said(&odd).made(&npm).unwrap_err().code,
            ErrorCode::BuildFailed
        );
    }

    #[test]
    fn every_way_to_fail_says_what_to_do() {
        use PackageRegistry::{Npm, Pypi};
        for (registry, words, code, advice) in [
            (
                Npm,
                "npm error code ETARGET\nnpm error notarget No matching version found for server@9.9.9.\n",
                ErrorCode::PackageNotFound,
                "check name and version",
            ),
            (
                Npm,
                "npm error code E404\nnpm error 404  'server@9.9.9' is not in this registry.\n",
                ErrorCode::PackageNotFound,
                "check name",
            ),
            (
                Npm,
                "npm error code ENOTFOUND\n",
                ErrorCode::RegistryUnreachable,
                "tried again",
            ),
            (
                Npm,
                "npm error code SELF_SIGNED_CERT_IN_CHAIN\n",
                ErrorCode::RegistryUnreachable,
                "could not be reached",
            ),
            (
                Npm,
                "npm error code ENOSPC\n",
                ErrorCode::DiskFull,
                "larger machine",
            ),
            (
                Npm,
                "npm error code EINTEGRITY\n",
                ErrorCode::PackageUnusable,
                "not what",
            ),
            (
                Npm,
                "npm error code E403\n",
                ErrorCode::RegistryUnauthorised,
                "login",
            ),
            (
                Npm,
                "npm error code E404\nnpm error 404 'left@^1' is not in this registry.\n",
                ErrorCode::BuildFailed,
                "left@^1",
            ),
            (
                Npm,
                "@agentopia no-manager npm\n",
                ErrorCode::PackageUnusable,
                "packages.npm_base_image",
            ),
            (
                Npm,
                "@agentopia no-program\n",
                ErrorCode::PackageUnusable,
                "no server",
            ),
            (
                Npm,
                "@agentopia no-program a b\n",
                ErrorCode::PackageUnusable,
                "packaging.program",
            ),
            (
                Pypi,
                "ERROR: Could not find a version that satisfies the requirement server==9.9.9 (from versions: 1.0)\nERROR: No matching distribution found for server==9.9.9\n",
                ErrorCode::PackageNotFound,
                "install_scripts",
            ),
            (
                Pypi,
                "WARNING: Retrying after connection broken by 'NewConnectionError(...: Failed to establish a new connection: [Errno 111] Connection refused')'\nERROR: No matching distribution found for server==9.9.9\n",
                ErrorCode::RegistryUnreachable,
                "tried again",
            ),
            (
                Pypi,
                "something new\n",
                ErrorCode::BuildFailed,
                "something new",
            ),
        ] {
            let error = said(words).failure(&package(registry, "server", "9.9.9"), "base:1");
            assert_eq!(error.code, code, "{words}");
            assert!(error.message.contains(advice), "{}", error.message);
        }
    }

    #[test]
    fn what_was_withdrawn_is_not_run() {
        let text = format!(
            "WARNING: The candidate selected for download or install is a yanked version: 'server'\n@agentopia program server\n@agentopia lock {LOCK}\n"
        );
        let refused = said(&text).made(&package(PackageRegistry::Pypi, "server", "1.0"));
        assert!(refused.unwrap_err().message.contains("withdrawn"));
    }

    #[test]
    fn a_flood_of_words_is_bounded() {
        let mut output = Output::default();
        for _ in 0..5_000 {
            output.take(b"0123456789 \x1b[31mred\n");
        }
        output.take(&vec![b'x'; 1 << 20]);
        output.take(b"\n");
        assert_eq!(output.lines.len(), KEPT);
        assert_eq!(output.lines.back().unwrap().len(), LONGEST);
        assert_eq!(output.last_words().lines().count(), SHOWN + 1);
        assert!(!output.last_words().contains('\x1b'));
    }
}
