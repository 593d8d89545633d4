//! From a catalog entry and an instance's settings to the spec that its machine gets. Pure.
//!
//! Configuration values are turned into environment variables and arguments here and nowhere
//! else. They are passed as they are, one argument each, and never through a shell.

use std::collections::BTreeMap;

use agentopia_domain::catalog::text::filled;
use agentopia_domain::catalog::{
    CatalogDefinition, ConfigTarget, Packaging, StdioProcesses, ToolVersion, Transport,
};
use agentopia_domain::egress::Egress;
use agentopia_domain::instance::{DesiredInstance, Instance, InstanceStatus};
use agentopia_domain::observed::{ObservedInstance, Phase};
use agentopia_domain::package_build::PackageBuild;
use agentopia_domain::spec::{ImageRef, InstanceSpec, Program, VolumeSpec};
use agentopia_domain::versions::Slot;
use agentopia_store::InstanceReport;
use serde_json::{Map, Value};

use crate::packages::PackageSettings;

/// The version that the instance is to run is no longer in the catalog.
#[derive(Debug, thiserror::Error)]
#[error("version {0} is no longer in the catalog; choose another one")]
pub struct UnknownVersion(String);

/// What is wanted in one of the two places of an instance.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Which place.
    pub slot: Slot,
    /// The version in it.
    pub version: &'a str,
    /// What its tag was resolved to, where that is known.
    pub digest: Option<&'a str>,
    /// Run, stop, or take away.
    pub desired: DesiredInstance,
    /// Whether calls in flight end before it is stopped.
    pub drain: bool,
}

impl<'a> Place<'a> {
    /// The place that serves, and whatever is wanted of the instance.
    #[must_use]
    pub fn serving(instance: &'a Instance) -> Self {
        let versions = &instance.versions;
        let removed = matches!(instance.desired, DesiredInstance::Removed { .. });
        Self {
            slot: match removed {
                true => Slot::First,
                false => versions.serving,
            },
            version: &instance.version,
            digest: versions.digest.as_deref(),
            desired: match instance.status {
                // Its machine knows no difference between one that sleeps and one that is stopped.
                InstanceStatus::Asleep => DesiredInstance::Stopped,
                _ if versions.is_vacated() && !removed => DesiredInstance::Stopped,
                _ => instance.desired,
            },
            drain: false,
        }
    }
}

/// Renders the desired state of one place.
///
/// # Errors
/// [`UnknownVersion`].
pub fn render(
    instance: &Instance,
    catalog: &CatalogDefinition,
    secrets_revision: i64,
    place: &Place<'_>,
    packages: &PackageSettings,
) -> Result<InstanceSpec, UnknownVersion> {
    let version = catalog
        .version(place.version)
        .ok_or_else(|| UnknownVersion(place.version.to_owned()))?;
    let settings = Settings::new(catalog, version, &instance.config);
    let (image, package) = to_run(catalog, version, packages, place.digest)
        .ok_or_else(|| UnknownVersion(place.version.to_owned()))?;
    // What a package was made into is made anew from its lock, and not pulled.
    let pinned = match package {
        Some(_) => None,
        None => place.digest.map(str::to_owned),
    };
    Ok(InstanceSpec {
        instance_id: place.slot.on_machine(instance.id),
        environment_id: instance.environment_id,
        account_id: instance.account_id,
        generation: instance.generation,
        desired: place.desired,
        drain: place.drain,
        restart_nonce: instance.restart_nonce,
        version: version.version.clone(),
        program: Program {
            image,
            // The version's own `args` are the image's; what the owner set goes to either form.
            process: match version.process.is_empty() {
                true => Vec::new(),
                false => [&version.process[..], &settings.args[version.args.len()..]].concat(),
            },
            args: settings.args,
        },
        package,
        transport: version
            .transport
            .clone()
            .unwrap_or_else(|| catalog.transport.clone()),
        env: settings.env,
        secret_names: instance.secrets.keys().cloned().collect(),
        secrets_revision,
        resources: instance.resources,
        volume: catalog.volume.as_ref().map(|volume| VolumeSpec {
            mount_path: volume.mount_path.clone(),
            of: (place.slot == Slot::Second).then_some(instance.id),
        }),
        direct_access: instance.direct_access.clone(),
        pinned,
        egress: instance.egress.clone(),
    })
}

/// The image to run, or the package to make one of and what to make it on. Nothing for servers that run
/// elsewhere.
fn to_run(
    catalog: &CatalogDefinition,
    version: &ToolVersion,
    packages: &PackageSettings,
    resolved: Option<&str>,
) -> Option<(ImageRef, Option<PackageBuild>)> {
    match &catalog.packaging {
        Packaging::DockerImage { image } => {
            let image = ImageRef {
                repository: image.clone(),
                tag: version.tag.clone(),
                // Whoever changes the catalog entry changes what is started next, not what runs.
                digest: version
                    .digest
                    .as_deref()
                    .map(|digest| resolved.unwrap_or(digest).to_owned()),
            };
            Some((image, None))
        }
        Packaging::Package {
            registry,
            name,
            program,
        } => {
            let package = version.package.as_ref()?;
            let (base, build) = packages.build(*registry, name, program.as_deref(), package);
            Some((base, Some(build)))
        }
        Packaging::Remote { .. } => None,
    }
}

/// The specs that take an instance off a machine that is about to go, data and all. Built from the
/// record alone: the machine needs nothing but the wish. None when it is off already.
#[must_use]
pub fn wind_down(report: &InstanceReport) -> Vec<InstanceSpec> {
    let instance = &report.instance;
    let is_off = |observed: &ObservedInstance| observed.phase == Phase::Removed;
    if instance.remote.is_some() || report.observed.as_ref().is_some_and(is_off) {
        return Vec::new();
    }
    let serving = instance.versions.serving;
    // What serves last: its end is what is looked for.
    let spare = (instance.versions.counted > 0).then_some(serving.other());
    let slots = spare.into_iter().chain([serving]);
    slots.map(|slot| removal(instance, slot, true)).collect()
}

/// The spec that empties one place of an instance.
#[must_use]
pub fn removal(instance: &Instance, slot: Slot, purge_data: bool) -> InstanceSpec {
    InstanceSpec {
        instance_id: slot.on_machine(instance.id),
        environment_id: instance.environment_id,
        account_id: instance.account_id,
        generation: instance.generation,
        desired: DesiredInstance::Removed { purge_data },
        drain: false,
        restart_nonce: instance.restart_nonce,
        version: instance.version.clone(),
        program: Program {
            image: ImageRef {
                repository: "removed".to_owned(),
                tag: None,
                digest: None,
            },
            args: Vec::new(),
            process: Vec::new(),
        },
        pinned: None,
        package: None,
        transport: Transport::Stdio {
            processes: StdioProcesses::PerSession,
        },
        env: BTreeMap::new(),
        secret_names: Vec::new(),
        secrets_revision: 0,
        resources: instance.resources,
        volume: None,
        direct_access: None,
        egress: Egress::None,
    }
}

struct Settings {
    env: BTreeMap<String, String>,
    args: Vec<String>,
}

impl Settings {
    fn new(
        catalog: &CatalogDefinition,
        version: &ToolVersion,
        config: &Map<String, Value>,
    ) -> Self {
        let mut settings = Self {
            env: version.env.clone(),
            args: version.args.clone(),
        };
        let mut values = catalog.config.defaults.clone();
        values.extend(config.clone());
        for binding in &catalog.config.bindings {
            if !settings.bind_text(&binding.target, &values)
                && let Some(value) = values.get(&binding.property)
                && !value.is_null()
            {
                settings.bind(&binding.target, value);
            }
        }
        settings
    }

    /// Whether the target is a text made of several values; where one of them is missing, nothing is set.
    fn bind_text(&mut self, target: &ConfigTarget, values: &Map<String, Value>) -> bool {
        match target {
            ConfigTarget::EnvText { name, text } => {
                if let Some(text) = filled(text, values) {
                    self.env.insert(name.clone(), text);
                }
            }
            ConfigTarget::ArgText { flag, text } => {
                if let Some(text) = filled(text, values) {
                    self.args.extend(flag.clone());
                    self.args.push(text);
                }
            }
            ConfigTarget::Env { .. } | ConfigTarget::Arg { .. } => return false,
        }
        true
    }

    fn bind(&mut self, target: &ConfigTarget, value: &Value) {
        match target {
            ConfigTarget::Env { name } => {
                self.env.insert(name.clone(), text(value));
            }
            ConfigTarget::Arg { flag } => match (flag, value) {
                (_, Value::Bool(false)) => {}
                (Some(flag), Value::Bool(true)) => self.args.push(flag.clone()),
                (flag, Value::Array(items)) => {
                    for item in items {
                        self.args.extend(flag.clone());
                        self.args.push(text(item));
                    }
                }
                (flag, value) => {
                    self.args.extend(flag.clone());
                    self.args.push(text(value));
                }
            },
            // See `bind_text`.
            ConfigTarget::EnvText { .. } | ConfigTarget::ArgText { .. } => {}
        }
    }
}

/// A string as it is, everything else as JSON.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
#[path = "render_tests.rs"]
mod place_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use agentopia_domain::catalog::ConfigBinding;
    use serde_json::json;

    fn bind(target: ConfigTarget, value: &Value) -> Settings {
        let mut settings = Settings {
            env: BTreeMap::new(),
            args: Vec::new(),
        };
        settings.bind(&target, value);
        settings
    }

    #[test]
    fn values_become_variables_and_arguments() {
        let flag = |name: &str| ConfigTarget::Arg {
            flag: Some(name.to_owned()),
        };
        assert_eq!(bind(flag("--zone"), &json!("a b")).args, ["--zone", "a b"]);
        assert_eq!(bind(flag("--on"), &json!(true)).args, ["--on"]);
        assert!(bind(flag("--on"), &json!(false)).args.is_empty());
        assert_eq!(
            bind(ConfigTarget::Arg { flag: None }, &json!(["/a", "/b"])).args,
            ["/a", "/b"]
        );
        assert_eq!(
            bind(flag("-n"), &json!([1, 2])).args,
            ["-n", "1", "-n", "2"]
        );
        let env = bind(
            ConfigTarget::Env {
                name: "N".to_owned(),
            },
            &json!({"a": 1}),
        )
        .env;
        assert_eq!(env["N"], r#"{"a":1}"#);
    }

    #[test]
    fn a_text_of_several_values_is_one_argument_or_none() {
        let target = ConfigTarget::ArgText {
            flag: Some("--db".to_owned()),
            text: "${config:user}@${config:host}".to_owned(),
        };
        let bound = |values: Value| {
            let mut settings = Settings {
                env: BTreeMap::new(),
                args: Vec::new(),
            };
            assert!(settings.bind_text(&target, values.as_object().unwrap()));
            settings.args
        };
        assert_eq!(
            bound(json!({"user": "a b; c", "host": "h"})),
            ["--db", "a b; c@h"]
        );
        assert!(bound(json!({"user": "a"})).is_empty());
    }

    #[test]
    fn an_argument_is_never_split() {
        let target = ConfigTarget::Arg { flag: None };
        assert_eq!(
            bind(target, &json!("; rm -rf / && echo")).args,
            ["; rm -rf / && echo"]
        );
    }

    #[test]
    fn a_binding_names_its_property_and_target_in_one_object() {
        let binding: ConfigBinding =
            serde_json::from_value(json!({"property": "zone", "to": "arg", "flag": "--zone"}))
                .unwrap();
        assert_eq!(
            binding.target,
            ConfigTarget::Arg {
                flag: Some("--zone".to_owned())
            }
        );
    }
}
