//! Carrying out one step of the plan. Everything here may be cut off by a crash after any line.

use std::sync::Arc;

use agentopia_domain::catalog::Transport;
use agentopia_domain::instance::DesiredInstance;
use agentopia_domain::observed::Phase;
use agentopia_domain::spec::InstanceSpec;

use tokio::sync::Notify;

use super::{PROBE_GRACE, Task};
use crate::health;
use crate::reconciler::backoff::jitter;
use crate::reconciler::history::Instant;
use crate::reconciler::plan::{Grip, Step};
use crate::reconciler::redact::redact;
use crate::reconciler::{Shared, orphans, secrets};
use crate::runtime::{ErrorCode, Progress, RuntimeError};

/// So many lines of stderr go into an error message (TOOL-5).
const STDERR_LINES: usize = 20;
/// Secrets older than this are fetched again: pulling the image took long.
const SECRETS_AGE: std::time::Duration = std::time::Duration::from_secs(30);
/// How long nothing was asked of a tool that was replaced before it is stopped: longer than it takes
/// every replica of the control plane to hear where calls go now.
const SETTLE: std::time::Duration = std::time::Duration::from_secs(5);
/// How long calls of a tool that was replaced may take to end.
const DRAIN: std::time::Duration = std::time::Duration::from_secs(600);

/// What the task does next.
#[derive(Debug)]
pub(super) enum Flow {
    /// Plan again at once.
    Again,
    /// Wait for a signal, or until then.
    Rest(Option<Instant>),
    /// Nothing is left of the instance.
    Gone,
}

/// Why a start ended early.
enum Cut {
    /// Another spec came in.
    Changed,
    /// It failed.
    Failed(RuntimeError),
}

impl From<RuntimeError> for Cut {
    fn from(error: RuntimeError) -> Self {
        Self::Failed(error)
    }
}

impl Task {
    pub(super) async fn apply(&mut self, spec: &InstanceSpec, step: Step) -> Flow {
        match step {
            Step::Start(reason) => {
                tracing::info!(instance = %self.id, generation = spec.generation, ?reason, "starting");
                match self.start(spec).await {
                    Ok(()) => Flow::Again,
                    Err(cut) => self.cut(cut).await,
                }
            }
            Step::Adopt => match self.adopt(spec).await {
                Ok(()) => Flow::Again,
                Err(cut) => self.cut(cut).await,
            },
            Step::Probe => self.probe(spec).await,
            Step::Admit => match self.shared.runtime.admit(spec).await {
                Ok(()) => {
                    self.note_admission(spec);
                    Flow::Again
                }
                Err(error) => self.trouble(spec, &error),
            },
            Step::NoteCrash(exit) => {
                let error =
                    RuntimeError::new(ErrorCode::Unhealthy, format!("the tool stopped: {exit}"));
                self.fail(error).await;
                Flow::Again
            }
            Step::Stop => self.stop(spec).await,
            Step::Remove { purge_data } => self.remove(spec, purge_data).await,
            Step::Rest { phase, until } => {
                self.trouble.reset();
                self.show_rest(phase);
                Flow::Rest(until)
            }
        }
    }

    fn show_rest(&self, phase: Phase) {
        let message = match phase {
            Phase::Backoff | Phase::Failed => self.history.message.clone(),
            Phase::Pending => Some(
                "this machine is locked because a copy of it was seen: nothing is started until \
                 the environment was disabled and enabled again"
                    .to_owned(),
            ),
            _ => None,
        };
        self.shared.board.phase(self.id, phase, message);
    }

    async fn start(&mut self, spec: &InstanceSpec) -> Result<(), Cut> {
        let shared = Arc::clone(&self.shared);
        let wake = Arc::clone(&self.wake);
        let begun = self.begin_phase(spec);
        let gather = async {
            let for_fetch = shared.runtime.needs_fetch(spec).await?;
            if for_fetch {
                orphans::make_room(&shared).await;
                shared.disk.check()?;
            }
            let fetched = secrets::fetch(&shared, spec, for_fetch).await?;
            let fetched_at = shared.now();
            // Not among the starts: it takes minutes, and others are to start meanwhile.
            if for_fetch {
                shared
                    .runtime
                    .build(spec, fetched.login.as_ref(), &begun)
                    .await?;
            }
            let permit = shared.starts.acquire().await;
            let prepared = shared
                .runtime
                .prepare(spec, fetched.login.as_ref(), &begun)
                .await?;
            let env = if shared.now() - fetched_at > SECRETS_AGE && !spec.secret_names.is_empty() {
                secrets::fetch(&shared, spec, false).await?.env
            } else {
                fetched.env
            };
            Ok::<_, RuntimeError>((prepared, env, permit))
        };
        let (prepared, env, _permit) = tokio::select! {
            gathered = gather => gathered?,
            () = Self::changed(&shared, &wake, spec) => return Err(Cut::Changed),
            () = shared.shutdown.cancelled() => return Err(Cut::Changed),
        };
        begun.report(Phase::Starting, "starting");
        self.secrets.clone_from(&env);
        self.note.clone_from(&prepared.note);
        // From here on not cut off: half-made things would cost more than finishing.
        shared.runtime.start(spec, &prepared, env).await?;
        if self.history.message.is_some() {
            self.history.restarts += 1;
        }
        self.grip = Grip::Started;
        self.note_admission(spec);
        Ok(())
    }

    /// Progress on the board. What is reported as failed stays so until it runs: a tool that can't
    /// start must not flap between failed and starting.
    fn begin_phase(&self, spec: &InstanceSpec) -> Progress {
        let shared = Arc::clone(&self.shared);
        let id = spec.instance_id;
        let failed = self.history.is_failed;
        Progress::new(move |phase, message| {
            if !failed {
                shared.board.phase(id, phase, Some(message));
            }
        })
    }

    async fn adopt(&mut self, spec: &InstanceSpec) -> Result<(), Cut> {
        let shared = Arc::clone(&self.shared);
        let wake = Arc::clone(&self.wake);
        let progress = self.begin_phase(spec);
        progress.report(
            Phase::Starting,
            "taking over after a restart of the management agent",
        );
        // Each new process of a stdio server needs the secrets; an HTTP server has them.
        let fetch = async {
            match spec.transport {
                Transport::Stdio { .. } => secrets::fetch(&shared, spec, false).await,
                Transport::StreamableHttp { .. } | Transport::Sse { .. } => {
                    Ok(secrets::Fetched::default())
                }
            }
        };
        let fetched = tokio::select! {
            fetched = fetch => fetched?,
            () = Self::changed(&shared, &wake, spec) => return Err(Cut::Changed),
            () = shared.shutdown.cancelled() => return Err(Cut::Changed),
        };
        self.secrets.clone_from(&fetched.env);
        if shared.runtime.adopt(spec, fetched.env).await? {
            self.grip = Grip::Started;
            self.note_admission(spec);
            return Ok(());
        }
        tracing::warn!(instance = %self.id, "it can't be taken over and is started anew");
        if shared.link.is_locked() {
            return Err(Cut::Changed);
        }
        self.start(spec).await
    }

    async fn probe(&mut self, spec: &InstanceSpec) -> Flow {
        let shared = Arc::clone(&self.shared);
        let wake = Arc::clone(&self.wake);
        let Some(handle) = shared.runtime.tool(self.id).await else {
            let gone = RuntimeError::new(ErrorCode::Unhealthy, "the tool went away at once");
            self.fail(gone).await;
            return Flow::Again;
        };
        self.begin_phase(spec)
            .report(Phase::Starting, "waiting for the first answer");
        let outcome = tokio::select! {
            outcome = health::probe(&handle, shared.limits.health_timeout) => outcome,
            () = Self::unwanted(&shared, &wake, spec) => return Flow::Again,
            () = shared.shutdown.cancelled() => return Flow::Again,
        };
        match outcome {
            Ok(_) => {
                self.grip = Grip::Healthy;
                self.history.healthy(self.now());
            }
            Err(mut failure) => {
                let listeners = shared.runtime.listeners(self.id).await;
                let why = listeners.and_then(|found| health::why_silent(&handle, &found));
                if let Some(why) = why {
                    failure.explanation = format!("{}: {why}", failure.explanation);
                }
                let failure = RuntimeError::new(ErrorCode::Unhealthy, failure.to_string());
                self.fail(failure).await;
                if let Err(error) = shared.runtime.stop(self.id, PROBE_GRACE).await {
                    return self.trouble(spec, &error);
                }
            }
        }
        Flow::Again
    }

    async fn stop(&mut self, spec: &InstanceSpec) -> Flow {
        self.shared.board.phase(self.id, Phase::Stopping, None);
        if spec.drain && !self.drained(spec).await {
            return Flow::Again;
        }
        self.shared.data_path.forget(self.id);
        let grace = self.shared.limits.stop_grace;
        if let Err(error) = self.shared.runtime.stop(self.id, grace).await {
            return self.trouble(spec, &error);
        }
        self.let_go();
        Flow::Again
    }

    /// Waits for the calls in flight of one that was replaced; `false` where something else is wanted
    /// by now.
    async fn drained(&self, spec: &InstanceSpec) -> bool {
        let shared = Arc::clone(&self.shared);
        let wake = Arc::clone(&self.wake);
        tokio::select! {
            quiet = tokio::time::timeout(DRAIN, shared.data_path.quiet(self.id, SETTLE)) => {
                if quiet.is_err() {
                    tracing::warn!(instance = %self.id, "it was replaced and its calls do not end: stopping it");
                }
                true
            }
            () = Self::changed(&shared, &wake, spec) => false,
            () = shared.shutdown.cancelled() => false,
        }
    }

    async fn remove(&mut self, spec: &InstanceSpec, purge_data: bool) -> Flow {
        self.shared.board.phase(self.id, Phase::Removing, None);
        self.shared.data_path.forget(self.id);
        let grace = self.shared.limits.stop_grace;
        let removed = match self.shared.runtime.stop(self.id, grace).await {
            Ok(()) => self.shared.runtime.remove(self.id, purge_data).await,
            Err(error) => Err(error),
        };
        if let Err(error) = removed {
            return self.trouble(spec, &error);
        }
        self.let_go();
        // Last of all: a crash before this does the removal again.
        match self
            .shared
            .ledger
            .bury(self.id, spec.generation, purge_data)
            .await
        {
            Ok(true) => {
                self.shared
                    .board
                    .show(crate::reconciler::gone(self.id, spec.generation));
                Flow::Gone
            }
            Ok(false) => Flow::Again,
            Err(error) => {
                let error = RuntimeError::new(ErrorCode::Io, error.to_string());
                self.trouble(spec, &error)
            }
        }
    }

    fn let_go(&mut self) {
        self.grip = Grip::None;
        self.admitted = None;
        self.history = Default::default();
        self.secrets.clear();
    }

    async fn cut(&mut self, cut: Cut) -> Flow {
        match cut {
            Cut::Changed => Flow::Again,
            Cut::Failed(error) => {
                self.fail(error).await;
                Flow::Again
            }
        }
    }

    /// Writes a failure down, with what the tool said last.
    async fn fail(&mut self, error: RuntimeError) {
        let mut message = error.to_string();
        if error.code == ErrorCode::Unhealthy {
            let lines = self.shared.runtime.last_stderr(self.id, STDERR_LINES).await;
            if !lines.is_empty() {
                message.push_str("; its last words:\n");
                message.push_str(&lines.join("\n"));
            }
            if let Some(note) = &self.note {
                message.push('\n');
                message.push_str(note);
            }
        }
        let message = redact(&message, &self.secrets);
        tracing::warn!(instance = %self.id, message, "the tool failed");
        let ambient = self.shared.ambient.clone();
        let now = self.now();
        self.history
            .failed(&error, now, |pause| jitter(pause, &ambient));
        self.history.message = Some(message);
        self.grip = Grip::None;
    }

    /// Completes when the tool should not run as `spec` says any more. Unlike a lock, which lets
    /// a tool that was started go on.
    async fn unwanted(shared: &Shared, wake: &Notify, spec: &InstanceSpec) {
        loop {
            let wanted = shared.ledger.spec(spec.instance_id);
            let same = wanted.is_some_and(|wanted| {
                wanted.desired == DesiredInstance::Running && !wanted.needs_recreate(spec)
            });
            if !same {
                return;
            }
            wake.notified().await;
        }
    }
}
