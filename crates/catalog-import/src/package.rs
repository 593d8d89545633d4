//! Entries of packages: `npm:@scope/name@1.2.3`, `pypi:name@1.2.3`, and how they get their version.

use agentopia_domain::catalog::package::{PackageRegistry, PackageVersion, is_exact_version};
use agentopia_domain::catalog::{Packaging, ToolVersion};

use crate::build::{Builder, version};
use crate::{Draft, Lookup, Options, Problem, words};

/// What stands for a version until it is looked up.
const NOT_YET: &str = "0";

/// A package with what was said about its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spec {
    pub(crate) registry: PackageRegistry,
    pub(crate) name: String,
    pub(crate) wanted: Option<String>,
}

impl Spec {
    /// Reads `name`, `name@version` and, of Python, `name==version`.
    pub(crate) fn parse(registry: PackageRegistry, text: &str) -> Result<Self, Problem> {
        let separated = match registry {
            // The first character may be the scope's own `@`.
            PackageRegistry::Npm => text
                .char_indices()
                .skip(1)
                .find(|(_, c)| *c == '@')
                .map(|(at, _)| (&text[..at], &text[at + 1..])),
            PackageRegistry::Pypi => text.split_once("==").or_else(|| text.split_once('@')),
        };
        let (name, wanted) = match separated {
            Some((name, wanted)) => (name, Some(wanted)),
            None => (text, None),
        };
        if !registry.is_name(name) {
            return Err(Problem::new(format!(
                "`{}` is no name of a package in {}: write {}, without spaces and other characters",
                words::line(text, 100),
                registry.as_str(),
                match registry {
                    PackageRegistry::Npm =>
                        "NAME or @SCOPE/NAME in lower case, perhaps with @VERSION",
                    PackageRegistry::Pypi => "NAME, perhaps with @VERSION",
                }
            )));
        }
        let wanted = wanted.filter(|wanted| *wanted != "latest");
        if wanted.is_some_and(|wanted| !is_exact_version(wanted)) {
            return Err(Problem::new(format!(
                "the version of {name} has to be an exact one, such as 1.4.0: no range and no tag"
            )));
        }
        Ok(Self {
            registry,
            name: name.to_owned(),
            wanted: wanted.map(str::to_owned),
        })
    }

    /// The entry's version, and what has to be looked up.
    pub(crate) fn version(&self, runtime_args: Vec<String>) -> (ToolVersion, Lookup) {
        let text = self.wanted.as_deref().unwrap_or(NOT_YET);
        let version = ToolVersion {
            package: Some(PackageVersion {
                version: text.to_owned(),
                integrity: None,
                runtime_args,
                install_scripts: false,
            }),
            ..version(text)
        };
        let lookup = Lookup::Package {
            registry: self.registry,
            name: self.name.clone(),
            wanted: self.wanted.clone(),
        };
        (version, lookup)
    }
}

/// An entry of a package that nothing else is known of.
///
/// # Errors
/// Where name or version are none.
pub fn draft(registry: PackageRegistry, text: &str, options: &Options) -> Result<Draft, Problem> {
    let spec = Spec::parse(registry, text)?;
    let last = words::last_part(&spec.name);
    let (version, lookup) = spec.version(Vec::new());
    let builder = Builder {
        slug: words::slug(last)?,
        name: last.to_owned(),
        lookup: Some(lookup),
        ..Builder::default()
    };
    let packaging = Packaging::Package {
        registry,
        name: spec.name,
        program: None,
    };
    let transport = options.transport.clone().unwrap_or_default();
    builder.finish(packaging, transport, version)
}

impl Draft {
    /// Puts in the version that was looked up.
    ///
    /// # Errors
    /// Where the registry named something that is no version.
    pub fn resolved(&mut self, exact: &str, integrity: Option<String>) -> Result<(), Problem> {
        if !is_exact_version(exact) {
            return Err(Problem::new(format!(
                "its registry calls its version `{}`, which is none",
                words::line(exact, 60)
            )));
        }
        self.lookup = None;
        for version in &mut self.definition.versions {
            if let Some(package) = &mut version.package {
                if package.version == version.version {
                    exact.clone_into(&mut version.version);
                    exact.clone_into(&mut self.definition.default_version);
                }
                exact.clone_into(&mut package.version);
                package.integrity.clone_from(&integrity);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use PackageRegistry::{Npm, Pypi};

    #[test]
    fn packages_are_read_with_their_versions() {
        let read = |registry, text: &str| {
            let it = Spec::parse(registry, text).unwrap();
            (it.name, it.wanted)
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(read(Npm, "@a/b"), ("@a/b".into(), None));
        assert_eq!(read(Npm, "@a/b@1.2.3"), ("@a/b".into(), some("1.2.3")));
        assert_eq!(read(Npm, "a@latest"), ("a".into(), None));
        assert_eq!(read(Pypi, "a==1.2"), ("a".into(), some("1.2")));
        assert_eq!(read(Pypi, "a@1.2"), ("a".into(), some("1.2")));
        for bad in [
            "a@^1",
            "a@next",
            "@a",
            "a;rm -rf /",
            "a@1;id",
            "a@$(id)",
            "git+https://x/y",
            "./a",
            "a@",
        ] {
            assert!(Spec::parse(Npm, bad).is_err(), "{bad}");
        }
        for bad in [
            "a>=1",
            "a[cli]",
            "a==1.*",
            "a @ file:///x",
            "a==1;id",
            "-r x",
        ] {
            assert!(Spec::parse(Pypi, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_version_that_was_looked_up_is_the_entrys() {
        let mut draft = draft(Npm, "@a/server-x", &Options::default()).unwrap();
        assert_eq!(draft.definition.slug, "server-x");
        assert!(draft.resolved("latest", None).is_err());
        draft.resolved("1.2.3", Some("sha512-x".into())).unwrap();
        assert_eq!(draft.definition.default_version, "1.2.3");
        let package = draft.definition.versions[0].package.as_ref().unwrap();
        assert_eq!(package.version, "1.2.3");
        assert_eq!(draft.definition.check(), Ok(()));
    }
}
