//! What is there: containers, and what a start that was cut off left behind.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use agentopia_domain::InstanceId;
use bollard::models::{ContainerInspectResponse, ContainerState, ContainerStateStatusEnum};
use bollard::query_parameters::ListContainersOptions;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::init::HttpState;
use super::lifecycle::labels;
use super::names::{LABEL_DIGEST, LABEL_PORT};
use super::{DockerRuntime, engine, names};
use crate::runtime::{ExitInfo, RunState, RuntimeError, RuntimeFacts, RuntimeInstance};

/// The engine is asked for its versions no more often than this: every heartbeat has them, and
/// answering costs it tens of milliseconds, which a start that is under way would wait for.
const FACTS_AGE: Duration = Duration::from_secs(60);

/// What the engine told of itself last.
#[derive(Debug, Default)]
pub(super) struct FactsCache(Mutex<Option<(Instant, RuntimeFacts)>>);

impl FactsCache {
    /// What is known, if it is young enough, else what `ask` tells. An engine that did not answer
    /// is asked again the next time.
    pub(super) async fn or_ask(
        &self,
        now: Instant,
        ask: impl Future<Output = RuntimeFacts>,
    ) -> RuntimeFacts {
        if let Some((told, facts)) = &*self.0.lock()
            && now - *told < FACTS_AGE
        {
            return facts.clone();
        }
        let facts = ask.await;
        if !facts.versions.is_empty() && facts.store.is_some() {
            *self.0.lock() = Some((now, facts.clone()));
        }
        facts
    }
}

impl DockerRuntime {
    pub(super) async fn observe_all(&self) -> Result<Vec<RuntimeInstance>, RuntimeError> {
        let options = ListContainersOptions {
            all: true,
            filters: Some(names::filter(self.environment)),
            ..ListContainersOptions::default()
        };
        let containers = self
            .docker
            .list_containers(Some(options))
            .await
            .map_err(|error| engine::failed("listing containers", &error))?;
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        for id in containers
            .iter()
            .filter_map(|container| names::instance(container.labels.as_ref()))
        {
            // Gone since the list was made: nothing to report.
            if seen.insert(id)
                && let Some(container) = self.container(id).await?
            {
                found.push(self.describe(id, &container));
            }
        }
        for id in self.leftovers().await? {
            if seen.insert(id) {
                found.push(partial(id));
            }
        }
        Ok(found)
    }

    pub(super) async fn observe_one(
        &self,
        id: InstanceId,
    ) -> Result<Option<RuntimeInstance>, RuntimeError> {
        if let Some(container) = self.container(id).await? {
            return Ok(Some(self.describe(id, &container)));
        }
        Ok(self.leftovers().await?.contains(&id).then(|| partial(id)))
    }

    /// Instances that have a network or a socket directory.
    async fn leftovers(&self) -> Result<HashSet<InstanceId>, RuntimeError> {
        let networks = self.our_networks().await?;
        let with_network = networks
            .iter()
            .filter_map(|network| names::instance(network.labels.as_ref()));
        let directories = std::fs::read_dir(&self.context.run_dir)
            .into_iter()
            .flatten()
            .flatten();
        let with_directory =
            directories.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        Ok(with_network.chain(with_directory).collect())
    }

    fn describe(&self, id: InstanceId, container: &ContainerInspectResponse) -> RuntimeInstance {
        let labels = labels(container);
        let tool = self.tools.get(&id);
        let mut state = run_state(container.state.as_ref());
        if let (RunState::Running, Some(tool)) = (&state, &tool)
            && let HttpState::Exited(info) = tool.link.http()
        {
            state = RunState::Exited(info);
        }
        RuntimeInstance {
            instance_id: id,
            generation: tool.map_or_else(|| names::generation(labels), |tool| tool.generation),
            spec_hash: names::spec(labels),
            container_id: container.id.clone(),
            image_digest: names::text(labels, LABEL_DIGEST),
            port: names::number(labels, LABEL_PORT),
            state,
        }
    }

    pub(super) async fn engine_facts(&self) -> RuntimeFacts {
        let mut versions = BTreeMap::new();
        if let Ok(version) = self.docker.version().await {
            for component in version.components.unwrap_or_default() {
                let name = match component.name.as_str() {
                    "Engine" => "docker".to_owned(),
                    other => other.to_owned(),
                };
                versions.insert(name, component.version);
            }
            if let Some(kernel) = version.kernel_version {
                versions.insert("kernel".to_owned(), kernel);
            }
        }
        let info = self.docker.info().await.ok();
        let store = info.and_then(|info| info.docker_root_dir).map(Into::into);
        RuntimeFacts {
            versions,
            store,
            capacity: None,
        }
    }
}

fn partial(id: InstanceId) -> RuntimeInstance {
    RuntimeInstance {
        instance_id: id,
        generation: 0,
        spec_hash: String::new(),
        container_id: None,
        image_digest: None,
        port: None,
        state: RunState::Partial,
    }
}

fn run_state(state: Option<&ContainerState>) -> RunState {
    use ContainerStateStatusEnum as Status;
    let Some(state) = state else {
        return RunState::Partial;
    };
    match state.status {
        // A paused one answers nothing, which is for the health probe to find.
        Some(Status::RUNNING | Status::PAUSED | Status::RESTARTING) => RunState::Running,
        Some(Status::EXITED | Status::DEAD) => RunState::Exited(exit_info(state)),
        _ => RunState::Partial,
    }
}

/// Above 128 an exit status is a signal's, by convention.
fn exit_info(state: &ContainerState) -> ExitInfo {
    let code = state.exit_code.and_then(|code| i32::try_from(code).ok());
    let signal = code
        .filter(|code| (129..=192).contains(code))
        .map(|code| code - 128);
    ExitInfo {
        code: if signal.is_some() { None } else { code },
        signal,
        out_of_memory: state.oom_killed == Some(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(status: ContainerStateStatusEnum, exit_code: i64) -> ContainerState {
        ContainerState {
            status: Some(status),
            exit_code: Some(exit_code),
            ..ContainerState::default()
        }
    }

    #[tokio::test]
    async fn the_engine_is_asked_once_a_minute_and_again_if_it_did_not_answer() {
        let cache = FactsCache::default();
        let facts = |engine: &str| RuntimeFacts {
            versions: BTreeMap::from([("docker".to_owned(), engine.to_owned())]),
            store: Some("/var/lib/docker".into()),
            capacity: None,
        };
        let now = Instant::now();
        let told = cache.or_ask(now, async { RuntimeFacts::default() }).await;
        assert_eq!(told, RuntimeFacts::default());
        assert_eq!(cache.or_ask(now, async { facts("1") }).await, facts("1"));
        assert_eq!(cache.or_ask(now, async { facts("2") }).await, facts("1"));
        let later = now + FACTS_AGE;
        assert_eq!(cache.or_ask(later, async { facts("2") }).await, facts("2"));
    }

    #[test]
    fn an_exit_status_above_128_is_a_signal() {
        let killed = run_state(Some(&state(ContainerStateStatusEnum::EXITED, 137)));
        assert_eq!(
            killed,
            RunState::Exited(ExitInfo {
                signal: Some(9),
                ..ExitInfo::default()
            })
        );
        let failed = run_state(Some(&state(ContainerStateStatusEnum::EXITED, 3)));
        assert_eq!(
            failed,
            RunState::Exited(ExitInfo {
                code: Some(3),
                ..ExitInfo::default()
            })
        );
    }

    #[test]
    fn a_container_that_was_never_started_is_half_made() {
        assert_eq!(
            run_state(Some(&state(ContainerStateStatusEnum::CREATED, 0))),
            RunState::Partial
        );
        assert_eq!(run_state(None), RunState::Partial);
    }
}
