//! Tools that come as a package of a language's registry: what its name and version may look like.
//!
//! Strict on purpose: both become parts of addresses and arguments of package managers.

use serde::{Deserialize, Serialize};

/// Which kind of registry a package is in.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum PackageRegistry {
    /// Packages for Node.
    Npm,
    /// Packages for Python.
    Pypi,
}

impl PackageRegistry {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Npm => "npm",
            Self::Pypi => "pypi",
        }
    }

    /// Whether a package can have this name.
    #[must_use]
    pub fn is_name(self, text: &str) -> bool {
        match self {
            Self::Npm => is_npm_name(text),
            Self::Pypi => is_pypi_name(text),
        }
    }
}

/// The exact package of one version of a tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PackageVersion {
    /// The exact version: no range, no `latest`.
    pub version: String,
    /// What the registry says the package's content is, for example `sha512-…`, if it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integrity: Option<String>,
    /// Arguments of the program that runs it (`npx`, `uvx`), before its name. What comes after the name
    /// stands in the version's `args`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runtime_args: Vec<String>,
    /// Whether code of the package and of what it needs may run while its image is made: install scripts
    /// of npm, packages of Python that come as sources. Without it they are left out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub install_scripts: bool,
}

/// `name` or `@scope/name`, in lower case.
fn is_npm_name(text: &str) -> bool {
    let part = |part: &str| {
        !part.starts_with(['.', '_', '-'])
            && !part.is_empty()
            && part.bytes().all(|b| {
                b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-')
            })
    };
    text.len() <= 214
        && match text.strip_prefix('@') {
            Some(scoped) => scoped
                .split_once('/')
                .is_some_and(|(scope, name)| part(scope) && part(name)),
            None => part(text),
        }
}

/// Letters, digits, `.`, `_`, `-`; the first and the last are letters or digits.
fn is_pypi_name(text: &str) -> bool {
    let ends = [text.bytes().next(), text.bytes().next_back()];
    text.len() <= 128
        && ends
            .iter()
            .all(|end| end.is_some_and(|b| b.is_ascii_alphanumeric()))
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// An exact version of a package: begins with a digit and has no range in it. `latest` and other tags
/// are none.
#[must_use]
pub fn is_exact_version(text: &str) -> bool {
    text.len() <= 128
        && text.bytes().next().is_some_and(|b| b.is_ascii_digit())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'+' | b'!'))
        && !text.split('.').any(|part| matches!(part, "x" | "X" | ""))
}

/// The name of a program that a package brings.
#[must_use]
pub fn is_program(text: &str) -> bool {
    text.len() <= 128
        && text
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_')
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_packages_have_nothing_that_a_shell_or_an_address_reads() {
        use PackageRegistry::{Npm, Pypi};
        for (registry, good) in [
            (Npm, "left-pad"),
            (Npm, "@modelcontextprotocol/server-filesystem"),
            (Npm, "a.b_c"),
            (Pypi, "mcp-server-time"),
            (Pypi, "Zope.Interface"),
            (Pypi, "a"),
        ] {
            assert!(registry.is_name(good), "{good}");
        }
        for bad in [
            "", "a b", "a;b", "$(x)", "`x`", "a|b", "a&b", "../x", "a/../b", "-rf", "a\nb", "a\0",
            "a?b", "a#b", "a%2f", "http://x", "a'b", "a\"b", "ä", "@", "@a", "@a/", "@/a",
            "@a/b/c",
        ] {
            assert!(!Npm.is_name(bad), "{bad}");
            assert!(!Pypi.is_name(bad), "{bad}");
        }
        assert!(!Npm.is_name("Upper"));
        assert!(!Pypi.is_name("a-"));
        assert!(!Npm.is_name(&"a".repeat(215)));
    }

    #[test]
    fn versions_are_exact() {
        for good in [
            "1",
            "1.2.3",
            "2026.10.19",
            "1.0.0-beta.1",
            "1!2.0+local",
            "0.6.2.post1",
        ] {
            assert!(is_exact_version(good), "{good}");
        }
        for bad in [
            "", "latest", "^1.2", "~1", ">=1", "1.x", "1.*", "*", "1 || 2", "1;2", "1/..", "1..2",
        ] {
            assert!(!is_exact_version(bad), "{bad}");
        }
    }
}
