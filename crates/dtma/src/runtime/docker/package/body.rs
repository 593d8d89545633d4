//! The definition of a build's container and of its network, as pure functions: as hardened as a tool's, with
//! two differences: its root can be written (that is what becomes the image), and it reaches the network.

use std::collections::HashMap;

use agentopia_domain::EnvironmentId;
use agentopia_domain::package_build::PackageBuild;
use bollard::models::{
    ContainerConfig, ContainerCreateBody, HealthConfig, HostConfig, HostConfigCgroupnsModeEnum,
    HostConfigLogConfig, Mount, MountType, ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum,
};

use super::super::names::{self, Labels};
use super::recipe::{self, BUILDER, CACHE};
use super::told::Told;
use crate::runtime::LABEL_ENVIRONMENT;

/// Processes and threads of one build.
const PIDS: i64 = 512;
/// The package that an image was made of.
const LABEL_PACKAGE: &str = "agentopia.package";
/// SHA-256 of the lock file in it.
const LABEL_LOCK: &str = "agentopia.lock";
/// Packages in it whose install scripts were left out.
pub(super) const LABEL_SCRIPTS: &str = "agentopia.scripts";

/// Build and image belong to the environment, and to no instance.
pub(super) fn labels(environment: EnvironmentId) -> Labels {
    HashMap::from([(LABEL_ENVIRONMENT.to_owned(), environment.to_string())])
}

/// The container that installs the package. Network and container have the same name.
pub(super) fn container(
    package: &PackageBuild,
    base: &str,
    name: &str,
    environment: EnvironmentId,
) -> ContainerCreateBody {
    let limits = package.limits;
    let memory = i64::try_from(limits.memory_bytes).unwrap_or(i64::MAX);
    let mut command = recipe::command(package);
    let entrypoint = vec![command.remove(0)];
    let mounts = recipe::has_shared_cache(package).then(|| {
        vec![Mount {
            typ: Some(MountType::VOLUME),
            source: Some(cache(environment)),
            target: Some(CACHE.to_owned()),
            read_only: Some(false),
            ..Mount::default()
        }]
    });
    ContainerCreateBody {
        image: Some(base.to_owned()),
        user: Some(format!("{BUILDER}:{BUILDER}")),
        entrypoint: Some(entrypoint),
        cmd: Some(command),
        // What stood here would be in the image.
        env: None,
        labels: Some(labels(environment)),
        healthcheck: Some(HealthConfig {
            test: Some(vec!["NONE".to_owned()]),
            ..HealthConfig::default()
        }),
        host_config: Some(HostConfig {
            network_mode: Some(name.to_owned()),
            cap_drop: Some(vec!["ALL".to_owned()]),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            privileged: Some(false),
            tmpfs: Some(HashMap::from([(
                "/tmp".to_owned(),
                format!("rw,exec,nosuid,nodev,mode=1777,size={}", memory / 4),
            )])),
            mounts,
            memory: Some(memory),
            memory_swap: Some(memory),
            nano_cpus: Some(i64::from(limits.cpu_millis) * 1_000_000),
            pids_limit: Some(PIDS),
            ulimits: Some(vec![
                ulimit("core", 0),
                // No single file is larger than all of them may be.
                ulimit(
                    "fsize",
                    i64::try_from(limits.size_bytes).unwrap_or(i64::MAX),
                ),
            ]),
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::NO),
                maximum_retry_count: None,
            }),
            // It reaps what install scripts leave behind.
            init: Some(true),
            ipc_mode: Some("private".to_owned()),
            cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
            log_config: Some(HostConfigLogConfig {
                typ: Some("json-file".to_owned()),
                config: Some(HashMap::from([
                    ("max-size".to_owned(), "5m".to_owned()),
                    ("max-file".to_owned(), "2".to_owned()),
                ])),
            }),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

fn ulimit(name: &str, most: i64) -> ResourcesUlimits {
    ResourcesUlimits {
        name: Some(name.to_owned()),
        soft: Some(most),
        hard: Some(most),
    }
}

/// What the image is told to be. What is not named here it takes from the container.
pub(super) fn image(
    package: &PackageBuild,
    told: &Told,
    path: &str,
    environment: EnvironmentId,
) -> ContainerConfig {
    let (program, env) = recipe::runs(package, told, path);
    let mut labels = labels(environment);
    labels.insert(LABEL_PACKAGE.to_owned(), package.title());
    labels.insert(LABEL_LOCK.to_owned(), format!("sha256:{}", told.lock));
    if !package.install_scripts && !told.scripted.is_empty() {
        labels.insert(LABEL_SCRIPTS.to_owned(), told.scripted.join(" "));
    }
    ContainerConfig {
        entrypoint: Some(vec![program]),
        cmd: Some(Vec::new()),
        env: Some(env),
        working_dir: Some("/tmp".to_owned()),
        labels: Some(labels),
        ..ContainerConfig::default()
    }
}

/// The repository of the environment's images; the tag is [`recipe::key`].
pub(super) fn repository(environment: EnvironmentId) -> String {
    format!("agentopia-built/{environment}")
}

/// The name of a build's container and of its network.
pub(super) fn name(environment: EnvironmentId, key: &str) -> String {
    format!("{}{key}", prefix(environment))
}

/// What the names of the environment's builds begin with, and nothing else's name does.
pub(super) fn prefix(environment: EnvironmentId) -> String {
    format!("agentopia-build-{environment}-")
}

/// The volume that builds share.
pub(super) fn cache(environment: EnvironmentId) -> String {
    format!("agentopia-{environment}-packages")
}

/// Whether something of this name and with these labels is a build of the environment.
pub(super) fn is_build(name: &str, labels: Option<&Labels>, environment: EnvironmentId) -> bool {
    names::is_ours(labels, environment)
        && names::instance(labels).is_none()
        && name
            .trim_start_matches('/')
            .starts_with(&prefix(environment))
}

#[cfg(test)]
mod tests {
    use agentopia_domain::Ambient;
    use agentopia_domain::catalog::package::PackageRegistry;

    use super::super::tests::package;
    use super::*;

    #[test]
    fn a_build_is_confined_like_a_tool_and_leaves_no_setting_in_the_image() {
        let environment = Ambient::system().new_id();
        let mut package = package(PackageRegistry::Npm, "a", "1.0.0");
        let body = container(&package, "sha256:base", "build", environment);
        assert_eq!(body.user.as_deref(), Some("199999:199999"));
        assert_eq!(body.env, None);
        let host = body.host_config.unwrap();
        assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
        assert_eq!(
            host.security_opt,
            Some(vec!["no-new-privileges".to_owned()])
        );
        assert_eq!(host.memory, Some(1 << 30));
        assert_eq!(host.memory_swap, host.memory);
        assert_eq!(host.binds, None);
        assert_eq!(host.mounts.unwrap().len(), 1);
        package.install_scripts = true;
        let body = container(&package, "sha256:base", "build", environment);
        assert_eq!(body.host_config.unwrap().mounts, None);
    }

    #[test]
    fn only_builds_of_the_own_environment_are_taken_for_such() {
        let (own, other) = (Ambient::system().new_id(), Ambient::system().new_id());
        let mut labels = labels(own);
        let build = name(own, "k");
        assert!(is_build(&format!("/{build}"), Some(&labels), own));
        assert!(!is_build(&build, Some(&labels), other));
        assert!(!is_build("agentopia-build-else", Some(&labels), own));
        assert!(!is_build(&build, None, own));
        let instance: agentopia_domain::InstanceId = Ambient::system().new_id();
        labels.insert(
            crate::runtime::LABEL_INSTANCE.to_owned(),
            instance.to_string(),
        );
        assert!(!is_build(&build, Some(&labels), own));
    }
}
