//! What is put into a build's container, and what the finished image runs. Pure: the texts in `recipes/`, settings
//! files made of the package's data, and the hash of all that decides the result.

use agentopia_domain::catalog::package::PackageRegistry;
use agentopia_domain::package_build::PackageBuild;
use sha2::{Digest as _, Sha256};

use super::archive::Archive;
use super::told::Told;

/// The user that installs: never root, and never an instance's.
pub(super) const BUILDER: u32 = 199_999;
/// Where the cache that builds share is mounted.
pub(super) const CACHE: &str = "/var/cache/agentopia";
/// Where the package ends up.
const APP: &str = "/opt/agentopia/app";

/// The scripts of one registry: first the one that is run.
fn scripts(registry: PackageRegistry) -> [(&'static str, &'static str); 2] {
    match registry {
        PackageRegistry::Npm => [
            ("npm.sh", include_str!("recipes/npm.sh")),
            ("finish.js", include_str!("recipes/finish.js")),
        ],
        PackageRegistry::Pypi => [
            ("pypi.sh", include_str!("recipes/pypi.sh")),
            ("finish.py", include_str!("recipes/finish.py")),
        ],
    }
}

/// Names what comes out: whatever changes the result changes it, and nothing else does. `base` is the id of the
/// base image.
pub(super) fn key(package: &PackageBuild, base: &str) -> String {
    let inputs = serde_json::json!([
        1,
        base,
        package.content(),
        scripts(package.registry),
        BUILDER
    ]);
    hex::encode(&Sha256::digest(inputs.to_string().as_bytes())[..16])
}

/// What is run in the container. No shell reads the package's data: they are arguments.
pub(super) fn command(package: &PackageBuild) -> Vec<String> {
    let [(script, _), _] = scripts(package.registry);
    let word = |may: bool| if may { "yes" } else { "no" };
    vec![
        "sh".to_owned(),
        format!("/opt/agentopia/build/{script}"),
        package.name.clone(),
        package.version.clone(),
        package.program.clone().unwrap_or_default(),
        word(package.install_scripts).to_owned(),
    ]
}

/// The files of the container, to be unpacked at its root.
pub(super) fn files(package: &PackageBuild) -> Vec<u8> {
    let mut archive = Archive::default();
    archive.directory("opt/", 0);
    for directory in ["", "app/", "build/", "build/tmp/"] {
        archive.directory(&format!("opt/agentopia/{directory}"), BUILDER);
    }
    for (name, text) in scripts(package.registry) {
        archive.file(
            &format!("opt/agentopia/build/{name}"),
            BUILDER,
            text.as_bytes(),
        );
    }
    let (name, text) = settings(package);
    archive.file(
        &format!("opt/agentopia/build/{name}"),
        BUILDER,
        text.as_bytes(),
    );
    let ca = package.ca.as_deref().unwrap_or_default();
    archive.file("opt/agentopia/build/ca.pem", BUILDER, ca.as_bytes());
    if package.registry == PackageRegistry::Npm {
        let about = br#"{"private":true}"#;
        archive.file("opt/agentopia/app/package.json", BUILDER, about);
    }
    archive.finish()
}

/// Whether the build shares the cache. One that runs code of packages could put into it whatever it likes.
pub(super) const fn has_shared_cache(package: &PackageBuild) -> bool {
    !package.install_scripts
}

/// The package manager's configuration. The index is checked (`PackageBuild::check`): it has no line's end.
fn settings(package: &PackageBuild) -> (&'static str, String) {
    let cache = match has_shared_cache(package) {
        true => CACHE,
        false => "/opt/agentopia/build/tmp/cache",
    };
    let index = package.index.as_deref();
    match package.registry {
        PackageRegistry::Npm => {
            let index = index.map(|it| format!("registry={it}\nreplace-registry-host=always\n"));
            let index = index.unwrap_or_default();
            (
                "npmrc",
                format!("{index}cache={cache}/npm\nfetch-retries=2\n"),
            )
        }
        PackageRegistry::Pypi => {
            let index = index.map(|it| format!("index-url = {it}\n"));
            let index = index.unwrap_or_default();
            (
                "pip.conf",
                format!("[global]\n{index}cache-dir = {cache}/pip\nretries = 2\n"),
            )
        }
    }
}

/// What the finished image starts, and what stands in its environment. `path` is the base image's `PATH`.
pub(super) fn runs(package: &PackageBuild, told: &Told, path: &str) -> (String, Vec<String>) {
    let (directory, rest): (_, &[&str]) = match package.registry {
        PackageRegistry::Npm => ("node_modules/.bin", &["NODE_ENV=production"]),
        PackageRegistry::Pypi => ("bin", &["PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1"]),
    };
    let mut environment = vec![format!("PATH={APP}/{directory}:{path}")];
    environment.extend(rest.iter().map(|entry| (*entry).to_owned()));
    (format!("{APP}/{directory}/{}", told.program), environment)
}

#[cfg(test)]
mod tests {
    use super::super::tests::package;
    use super::*;

    #[test]
    fn every_input_changes_the_key_and_nothing_else_does() {
        let one = package(PackageRegistry::Npm, "a", "1.0.0");
        let same = key(&one, "sha256:base");
        type Change = fn(&mut PackageBuild);
        let inputs: [Change; 7] = [
            |it| it.registry = PackageRegistry::Pypi,
            |it| it.name = "b".to_owned(),
            |it| it.version = "1.0.1".to_owned(),
            |it| it.program = Some("c".to_owned()),
            |it| it.integrity = Some("sha512-x".to_owned()),
            |it| it.install_scripts = true,
            |it| it.index = Some("https://packages.example".to_owned()),
        ];
        for change in inputs {
            let mut other = one.clone();
            change(&mut other);
            assert_ne!(key(&other, "sha256:base"), same, "{other:?}");
        }
        assert_ne!(key(&one, "sha256:other"), same);
        let mut other = one.clone();
        other.limits.seconds = 11;
        other.ca = Some("pem".to_owned());
        assert_eq!(key(&other, "sha256:base"), same);
    }

    #[test]
    fn code_of_packages_never_reaches_the_cache_of_others() {
        let mut one = package(PackageRegistry::Npm, "a", "1.0.0");
        assert!(settings(&one).1.contains(CACHE));
        one.install_scripts = true;
        assert!(!has_shared_cache(&one) && !settings(&one).1.contains(CACHE));
        assert_eq!(command(&one).last().map(String::as_str), Some("yes"));
    }

    #[test]
    fn the_program_is_found_where_it_was_installed() {
        let told = Told {
            program: "server".to_owned(),
            ..Told::default()
        };
        let (program, environment) =
            runs(&package(PackageRegistry::Pypi, "a", "1"), &told, "/usr/bin");
        assert_eq!(program, "/opt/agentopia/app/bin/server");
        assert_eq!(environment[0], "PATH=/opt/agentopia/app/bin:/usr/bin");
    }
}
