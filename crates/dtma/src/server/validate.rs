//! The control plane checks specs; the DTMA checks them again, because it is root on its machine
//! and whoever can make a container of free-form options is, too (security.md).

use agentopia_domain::catalog::{Transport, is_digest, is_env_name, is_repository};
use agentopia_domain::spec::InstanceSpec;
use agentopia_domain::{EnvironmentId, InstanceId};

/// What is wrong with a spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SpecProblem {
    pub(super) code: &'static str,
    pub(super) detail: String,
}

/// Limits that no tool needs to pass.
mod bounds {
    pub(super) const ARGS: usize = 256;
    pub(super) const VARIABLES: usize = 512;
    pub(super) const TEXT: usize = 128 << 10;
    pub(super) const VERSION: usize = 256;
    pub(super) const CPU_MILLIS: std::ops::RangeInclusive<u32> = 1..=1_024_000;
    pub(super) const MEMORY: std::ops::RangeInclusive<u64> = 4 << 20..=16 << 40;
    pub(super) const PIDS: std::ops::RangeInclusive<u32> = 1..=32_768;
}

/// Checks everything that the types leave open.
pub(super) fn validate(
    spec: &InstanceSpec,
    id: InstanceId,
    own: EnvironmentId,
) -> Result<(), SpecProblem> {
    if spec.environment_id != own {
        return problem(
            "other_environment",
            format!(
                "the spec is for environment {}, this machine is {own}",
                spec.environment_id
            ),
        );
    }
    if spec.instance_id != id {
        return invalid("instance_id", "it is another id than the one in the path");
    }
    if spec.generation < 0 {
        return invalid("generation", "it is negative");
    }
    if spec.version.len() > bounds::VERSION || has_control(&spec.version) {
        return invalid("version", "use up to 256 bytes without control characters");
    }
    image(spec)?;
    if let Some(package) = &spec.package
        && let Err((field, detail)) = package.check()
    {
        return invalid(&format!("package.{field}"), detail);
    }
    texts("program.args", &spec.program.args)?;
    texts("program.process", &spec.program.process)?;
    environment(spec)?;
    resources(spec)?;
    if let Some(volume) = &spec.volume {
        mount("volume.mount_path", &volume.mount_path)?;
    }
    if let Some(access) = &spec.direct_access
        && (access.port == 0 || access.protocols.is_empty())
    {
        return invalid(
            "direct_access",
            "use a port from 1 and at least one protocol",
        );
    }
    if let Transport::StreamableHttp { port, path } | Transport::Sse { port, path } =
        &spec.transport
        && (*port == 0
            || !path.starts_with('/')
            || path.len() > 1024
            || path.contains(['?', '#', ' '])
            || has_control(path))
    {
        return invalid("transport", "use a port from 1 and a path without query");
    }
    Ok(())
}

fn image(spec: &InstanceSpec) -> Result<(), SpecProblem> {
    let image = &spec.program.image;
    if !is_repository(&image.repository) {
        return invalid("program.image.repository", "it is no image repository");
    }
    if image
        .digest
        .as_deref()
        .or(spec.pinned.as_deref())
        .is_some_and(|digest| !is_digest(digest))
    {
        return invalid("program.image.digest", "use sha256: and 64 hex digits");
    }
    let tag_ok = |tag: &str| {
        (1..=128).contains(&tag.len())
            && !tag.starts_with(['.', '-'])
            && tag
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
    };
    if image.tag.as_deref().is_some_and(|tag| !tag_ok(tag)) {
        return invalid("program.image.tag", "use letters, digits, `_`, `.`, `-`");
    }
    Ok(())
}

fn texts(field: &str, texts: &[String]) -> Result<(), SpecProblem> {
    if texts.len() > bounds::ARGS {
        return invalid(field, "there are more than 256");
    }
    if texts
        .iter()
        .any(|text| text.len() > bounds::TEXT || text.contains('\0'))
    {
        return invalid(field, "each may have 128 KiB and no NUL byte");
    }
    Ok(())
}

fn environment(spec: &InstanceSpec) -> Result<(), SpecProblem> {
    if spec.env.len() + spec.secret_names.len() > bounds::VARIABLES {
        return invalid("env", "there are more than 512 variables and secrets");
    }
    if !spec
        .env
        .keys()
        .chain(&spec.secret_names)
        .all(|name| is_env_name(name))
    {
        return invalid("env", "names are letters, digits and `_`");
    }
    if spec
        .env
        .values()
        .any(|value| value.len() > bounds::TEXT || value.contains('\0'))
    {
        return invalid("env", "each value may have 128 KiB and no NUL byte");
    }
    Ok(())
}

fn resources(spec: &InstanceSpec) -> Result<(), SpecProblem> {
    let resources = &spec.resources;
    if !bounds::CPU_MILLIS.contains(&resources.cpu_millis) {
        return invalid("resources.cpu_millis", "use 1 to 1,024,000");
    }
    if !bounds::MEMORY.contains(&resources.memory_bytes) {
        return invalid("resources.memory_bytes", "use 4 MiB to 16 TiB");
    }
    if !bounds::PIDS.contains(&resources.pids) {
        return invalid("resources.pids", "use 1 to 32,768");
    }
    Ok(())
}

fn mount(field: &str, path: &str) -> Result<(), SpecProblem> {
    let inside = path.strip_prefix('/').is_some_and(|rest| {
        rest.split('/')
            .all(|part| !part.is_empty() && part != "." && part != "..")
    });
    let taken = ["/proc", "/sys", "/dev", "/run/dtma"].iter().any(|taken| {
        path.strip_prefix(taken)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    if !inside || taken || path.len() > 4096 || path.contains([':', ',']) || has_control(path) {
        return invalid(field, "use an absolute path below the root, without `..`");
    }
    Ok(())
}

fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}

fn invalid(field: &str, detail: &str) -> Result<(), SpecProblem> {
    problem("invalid_spec", format!("{field}: {detail}"))
}

fn problem(code: &'static str, detail: String) -> Result<(), SpecProblem> {
    Err(SpecProblem { code, detail })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use agentopia_domain::direct_access::{DirectAccess, PortProtocol, Sources};
    use agentopia_domain::spec::VolumeSpec;

    use super::*;
    use crate::testing::spec;

    #[test]
    fn a_good_spec_passes_and_each_mistake_is_named() {
        let good = spec();
        let check = |spec: &InstanceSpec| validate(spec, good.instance_id, good.environment_id);
        assert_eq!(check(&good), Ok(()));
        type Change = fn(&mut InstanceSpec);
        let wrong: [(&str, Change); 19] = [
            ("path", |it| it.instance_id = spec().instance_id),
            ("generation", |it| it.generation = -1),
            ("version", |it| it.version = "1\n2".to_owned()),
            ("repository", |it| {
                it.program.image.repository = "a/../b".to_owned()
            }),
            ("tag", |it| it.program.image.tag = Some("-v".to_owned())),
            ("digest", |it| {
                it.program.image.digest = Some("sha256:0".to_owned())
            }),
            ("args", |it| it.program.args = vec!["\0".to_owned()]),
            ("args", |it| it.program.args = vec![String::new(); 257]),
            ("process", |it| {
                it.program.process = vec!["x".repeat((128 << 10) + 1)]
            }),
            ("env", |it| {
                drop(it.env.insert("A=B".to_owned(), String::new()))
            }),
            ("env", |it| it.secret_names.push("LD PRELOAD".to_owned())),
            ("env", |it| {
                drop(it.env.insert("A".to_owned(), "\0".to_owned()))
            }),
            ("cpu", |it| it.resources.cpu_millis = 0),
            ("memory", |it| it.resources.memory_bytes = 1),
            ("pids", |it| it.resources.pids = 0),
            ("mount_path", |it| {
                it.volume = Some(VolumeSpec {
                    mount_path: "/a/../etc".to_owned(),
                    of: None,
                });
            }),
            ("direct_access", |it| {
                it.direct_access = Some(direct_access(0, BTreeSet::from([PortProtocol::Tcp])));
            }),
            ("direct_access", |it| {
                it.direct_access = Some(direct_access(53, BTreeSet::new()));
            }),
            ("transport", |it| {
                it.transport = Transport::StreamableHttp {
                    port: 0,
                    path: "/mcp".to_owned(),
                };
            }),
        ];
        for (field, change) in wrong {
            let mut spec = good.clone();
            change(&mut spec);
            let problem = check(&spec).unwrap_err();
            assert!(problem.detail.contains(field), "{field}: {problem:?}");
            assert_eq!(problem.code, "invalid_spec");
        }
    }

    fn direct_access(port: u16, protocols: BTreeSet<PortProtocol>) -> DirectAccess {
        DirectAccess {
            port,
            protocols,
            sources: Sources::parse(["10.0.0.0/8"]).unwrap(),
        }
    }

    #[test]
    fn the_spec_of_another_machine_is_refused() {
        let mine = spec();
        let problem = validate(&mine, mine.instance_id, spec().environment_id).unwrap_err();
        assert_eq!(problem.code, "other_environment");
    }

    #[test]
    fn mounts_stay_out_of_the_systems_places() {
        for bad in [
            "/",
            "data",
            "/proc",
            "/run/dtma/x",
            "/dev/sda",
            "/a//b",
            "/a:ro",
            "/a\n",
        ] {
            assert!(mount("m", bad).is_err(), "{bad}");
        }
        for good in ["/data", "/devices", "/run/dtmax"] {
            assert!(mount("m", good).is_ok(), "{good}");
        }
    }
}
