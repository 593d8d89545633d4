//! One instance: plan, apply, rest. See the parent module.

mod apply;

use std::sync::Arc;
use std::time::Duration;

use agentopia_domain::InstanceId;
use agentopia_domain::direct_access::DirectAccess;
use agentopia_domain::egress::Egress;
use agentopia_domain::instance::{DesiredInstance, RuntimeDetails};
use agentopia_domain::observed::{ObservedInstance, Phase};
use agentopia_domain::spec::InstanceSpec;
use tokio::sync::Notify;

use super::backoff::Backoff;
use super::history::{History, Instant};
use super::plan::{Grip, Situation, plan};
use super::shared::Shared;
use crate::runtime::{RunState, RuntimeInstance, spec_hash};
use apply::Flow;

/// Even without a signal everything is looked at so often.
const RESYNC: Duration = Duration::from_secs(30);

/// How long a tool that never answered gets to end: it has nothing to save.
const PROBE_GRACE: Duration = Duration::from_secs(2);

/// When the engine is told to stop, it ends the tools first, and takes at most 15 s for it unless
/// it is configured otherwise (dockerd's `shutdown-timeout`): such ends come before its own.
const ENGINE_STOPS: Duration = Duration::from_secs(20);

/// The last time that the engine was seen, and how often it had gone away by then.
#[derive(Debug, Clone, Copy, Default)]
struct EngineSeen {
    at: Instant,
    interruptions: u64,
}

/// Drives one instance until it is gone.
pub(super) struct Task {
    shared: Arc<Shared>,
    id: InstanceId,
    wake: Arc<Notify>,
    grip: Grip,
    history: History,
    /// Up to when the engine was there, as far as we saw.
    engine: EngineSeen,
    /// Generation and hash of the spec seen last.
    seen: Option<(i64, String)>,
    /// Who was last let in to its port, where it was let go to, and when.
    admitted: Option<(Option<DirectAccess>, Egress, Instant)>,
    /// The engine or the disk fails us: how long to wait.
    trouble: Backoff,
    /// Of the last start, to take them out of what the tool wrote.
    secrets: std::collections::BTreeMap<String, secrecy::SecretString>,
    /// What people should know of what was last started, if it does not come up.
    note: Option<String>,
}

impl Task {
    pub(super) fn new(shared: Arc<Shared>, id: InstanceId, wake: Arc<Notify>) -> Self {
        Self {
            shared,
            id,
            wake,
            grip: Grip::None,
            history: History::default(),
            engine: EngineSeen::default(),
            seen: None,
            admitted: None,
            trouble: Backoff::new(Duration::from_secs(1), Duration::from_secs(15)),
            secrets: std::collections::BTreeMap::new(),
            note: None,
        }
    }

    /// Returns when the instance is gone, or at shutdown.
    pub(super) async fn run(mut self) {
        while let Some(spec) = self.shared.ledger.spec(self.id) {
            if self.shared.shutdown.is_cancelled() {
                return;
            }
            self.notice(&spec);
            let flow = self.round(&spec).await;
            let until = match flow {
                Flow::Again => continue,
                Flow::Gone => return,
                Flow::Rest(until) => until,
            };
            let shared = Arc::clone(&self.shared);
            let timer = async {
                match until {
                    Some(at) => shared.sleep_until(at).await,
                    None => tokio::time::sleep(RESYNC).await,
                }
            };
            tokio::select! {
                () = timer => {}
                () = self.wake.notified() => {}
                () = self.shared.shutdown.cancelled() => return,
            }
        }
    }

    /// Looks, decides and acts once.
    async fn round(&mut self, spec: &InstanceSpec) -> Flow {
        let observed = match self.shared.runtime.inspect(self.id).await {
            Ok(observed) => observed,
            Err(error) => return self.trouble(spec, &error),
        };
        self.regard_engine(observed.as_ref());
        self.show_details(spec, observed.as_ref());
        let step = plan(&Situation {
            spec,
            observed: observed.as_ref(),
            grip: &self.grip,
            history: &self.history,
            admission_due: self.admission_due(spec),
            locked: self.shared.link.is_locked(),
            now: self.shared.now(),
        });
        tracing::debug!(instance = %self.id, generation = spec.generation, ?step, "next step");
        self.apply(spec, step).await
    }

    /// Now and then also when nothing changed: somebody may have taken our rules away.
    fn admission_due(&self, spec: &InstanceSpec) -> bool {
        // What is told to the kernel for a tool that is free to go costs as much and protects less.
        let pause = match spec.direct_access.is_none() && spec.egress.is_open() {
            true => RESYNC * 10,
            false => RESYNC,
        };
        !self.admitted.as_ref().is_some_and(|(access, egress, at)| {
            *access == spec.direct_access
                && *egress == spec.egress
                && self.now().saturating_sub(*at) < pause
        })
    }

    fn note_admission(&mut self, spec: &InstanceSpec) {
        self.admitted = Some((spec.direct_access.clone(), spec.egress.clone(), self.now()));
    }

    /// An engine that went away took the tool with it: that is no failure of the tool, which is
    /// started again at once and as often as it takes.
    fn regard_engine(&mut self, observed: Option<&RuntimeInstance>) {
        let before = self.engine;
        self.engine = EngineSeen {
            at: self.now(),
            interruptions: self.shared.runtime.interruptions(),
        };
        if before.interruptions == self.engine.interruptions {
            return;
        }
        self.history.excuse(before.at.saturating_sub(ENGINE_STOPS));
        if observed.is_none_or(|it| it.state != RunState::Running) {
            self.grip = Grip::None;
            self.history.healthy_since = None;
        }
    }

    /// A new generation is a new beginning: what failed before says nothing about it.
    fn notice(&mut self, spec: &InstanceSpec) {
        let hash = spec_hash(spec);
        let Some((generation, known)) = &self.seen else {
            self.seen = Some((spec.generation, hash));
            return;
        };
        if *generation != spec.generation {
            let healthy_since = self.history.healthy_since;
            self.history = History::default();
            if *known == hash {
                self.history.healthy_since = healthy_since;
            } else {
                self.grip = Grip::None;
            }
            self.seen = Some((spec.generation, hash));
        }
    }

    /// Puts on the board where and as what it runs.
    fn show_details(&self, spec: &InstanceSpec, observed: Option<&RuntimeInstance>) {
        let restarts = self.history.restarts;
        let running = observed
            .is_some_and(|it| it.state == RunState::Running && it.spec_hash == spec_hash(spec));
        self.shared.board.change(self.id, |shown| {
            shown.generation = spec.generation;
            shown.running_version = running.then(|| spec.version.clone());
            shown.runtime = RuntimeDetails {
                port: observed.and_then(|it| it.port),
                container_id: observed.and_then(|it| it.container_id.clone()),
                endpoint: running.then(|| format!("/v1/instances/{}/mcp", spec.instance_id)),
                image_digest: observed.and_then(|it| it.image_digest.clone()),
                restarts,
            };
        });
    }

    /// The runtime could not be asked or did not obey: say so, and try again soon.
    fn trouble(&mut self, spec: &InstanceSpec, error: &crate::runtime::RuntimeError) -> Flow {
        tracing::warn!(instance = %self.id, %error, "trying again");
        let message = Some(error.to_string());
        match spec.desired {
            DesiredInstance::Running => self.shared.board.phase(self.id, Phase::Backoff, message),
            _ => self
                .shared
                .board
                .change(self.id, |shown| shown.message = message),
        }
        self.rest_for_trouble()
    }

    fn rest_for_trouble(&mut self) -> Flow {
        let pause = self.trouble.next(&self.shared.ambient);
        Flow::Rest(Some(self.shared.now() + pause))
    }

    /// Completes when what is wanted is no longer `spec`.
    async fn changed(shared: &Shared, wake: &Notify, spec: &InstanceSpec) {
        loop {
            if shared.ledger.spec(spec.instance_id).as_ref() != Some(spec)
                || shared.link.is_locked()
            {
                return;
            }
            wake.notified().await;
        }
    }

    fn now(&self) -> Instant {
        self.shared.now()
    }
}

/// Puts a spec that just came in on the board, so that the answer to it describes it.
pub(super) fn announce(shared: &Shared, spec: &InstanceSpec) {
    let id = spec.instance_id;
    let unchanged = shared
        .board
        .get(id)
        .is_some_and(|shown| shown.generation == spec.generation && shown.phase != Phase::Removed);
    if unchanged {
        return;
    }
    let before = shared.board.get(id);
    shared.board.show(ObservedInstance {
        instance_id: id,
        generation: spec.generation,
        phase: Phase::Pending,
        message: None,
        running_version: before.as_ref().and_then(|it| it.running_version.clone()),
        runtime: before.map(|it| it.runtime).unwrap_or_default(),
    });
}
