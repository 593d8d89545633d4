//! Takes the control plane's offers while the DTMA runs, gets a program ready, puts it on trial; and
//! on the other side of that, as the program on trial, finds out that it is good.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use agentopia_domain::Ambient;
use agentopia_dtma_api::to_control_plane::{DtmaOffer, UpdateOutcome, UpdateReport};
use chrono::TimeDelta;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::prepare::{NotReady, Preparation, own_digest};
use super::programs::{Programs, TOOL_INIT};
use super::state::{Fault, Program, Stamp, State};
use crate::config::Config;
use crate::disk::DiskGuard;
use crate::files;
use crate::identity::Link;
use crate::reconciler::backoff::Backoff;

/// So many answered heartbeats show that a version is good: it enrolled, serves and keeps running.
const HEARTBEATS: u32 = 3;
/// Between two attempts to fetch a program.
const PAUSES: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(1800));
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How updates are done here.
#[derive(Debug, Clone)]
pub struct Settings {
    directory: PathBuf,
    pause: TimeDelta,
    disk: DiskGuard,
    config_file: Option<PathBuf>,
}

impl Settings {
    /// As configured, by `config_file` if there is one.
    #[must_use]
    pub fn new(config: &Config, config_file: Option<PathBuf>) -> Self {
        Self {
            directory: config.update_dir(),
            pause: TimeDelta::seconds(config.update_pause_seconds.into()),
            disk: DiskGuard::new(config.data_dir.clone(), config.disk_floor_bytes),
            config_file,
        }
    }
}

/// The updates of this machine.
#[derive(Debug)]
pub struct Updates {
    settings: Settings,
    ambient: Ambient,
    programs: Programs,
    /// SHA-256 of the program that runs, once it is known.
    own: Mutex<Option<String>>,
    state: Mutex<State>,
    /// What was told last of a program that could not be fetched.
    postponed: Mutex<Option<(String, String)>>,
    offers: watch::Sender<Option<DtmaOffer>>,
    heard: AtomicU32,
    again: AtomicBool,
}

impl Updates {
    /// Reads what is on disk. `own` is the SHA-256 of the program that runs, as far as known.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn open(settings: Settings, own: Option<&str>, ambient: Ambient) -> anyhow::Result<Self> {
        Ok(Self {
            programs: Programs::new(&settings.directory),
            state: Mutex::new(State::load(&settings.directory)?),
            own: Mutex::new(own.map(str::to_owned)),
            postponed: Mutex::new(None),
            offers: watch::Sender::new(None),
            heard: AtomicU32::new(0),
            again: AtomicBool::new(false),
            settings,
            ambient,
        })
    }

    /// SHA-256 of the program that runs, once it is known.
    #[must_use]
    pub fn own(&self) -> Option<String> {
        self.own.lock().clone()
    }

    /// The `tool-init` that came with the program that runs.
    #[must_use]
    pub fn tool_init(&self) -> Option<PathBuf> {
        let path = self.programs.path(&self.own()?, TOOL_INIT);
        path.is_file().then_some(path)
    }

    /// What the control plane has still to be told.
    #[must_use]
    pub fn report(&self) -> Option<UpdateReport> {
        self.state.lock().report().cloned()
    }

    /// A heartbeat that carried `sent` was answered with `offer`.
    pub fn heard(&self, sent: Option<&UpdateReport>, offer: Option<DtmaOffer>) {
        let heard = self.heard.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(sent) = sent {
            self.change(|state| state.reported(&sent.id));
        }
        let own = self.own();
        let on_trial = own.is_some_and(|own| self.state.lock().tries(&own));
        if on_trial && heard >= HEARTBEATS {
            tracing::info!(version = VERSION, "the new version is in charge");
            let stamp = Stamp::new(&self.ambient);
            // If it can't be stored, the next heartbeat tries again.
            self.change(|state| state.confirm(stamp));
        }
        self.offers.send_if_modified(|current| {
            let changed = *current != offer;
            *current = offer;
            changed
        });
    }

    /// Whether this process is to go through the launcher again.
    #[must_use]
    pub fn wants_again(&self) -> bool {
        self.again.load(Ordering::Relaxed)
    }

    /// Takes offers until `stop`, which it cancels itself when a program is ready for its trial.
    pub async fn run(self: Arc<Self>, link: Arc<Link>, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            done = self.take_offers(&link) => match done {
                Ok(()) => {
                    self.again.store(true, Ordering::Relaxed);
                    stop.cancel();
                }
                Err(error) => tracing::error!(%error, "there are no updates on this machine"),
            },
        }
    }

    /// Returns when a program is on trial.
    async fn take_offers(&self, link: &Link) -> anyhow::Result<()> {
        let own = self.find_own().await?;
        self.keep_needed(&own);
        let mut offers = self.offers.subscribe();
        let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
        loop {
            let offer = offers.borrow_and_update().clone();
            let wait = if let Some(offer) = offer.filter(|offer| self.wants(&own, offer)) {
                self.spread(&offer).await;
                if self.prepare(link, &own, &offer).await {
                    return Ok(());
                }
                backoff.next(&self.ambient)
            } else {
                backoff.reset();
                let pause = self.settings.pause.to_std().unwrap_or_default();
                pause.max(PAUSES.0)
            };
            tokio::select! {
                changed = offers.changed() => changed?,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn find_own(&self) -> anyhow::Result<String> {
        if let Some(own) = self.own() {
            return Ok(own);
        }
        let own = own_digest().await?;
        self.own.lock().replace(own.clone());
        Ok(own)
    }

    fn wants(&self, own: &str, offer: &DtmaOffer) -> bool {
        let sha256 = &offer.dtma.sha256;
        let plain = sha256.len() == 64 && sha256.bytes().all(|b| b.is_ascii_hexdigit());
        let (pause, now) = (self.settings.pause, self.ambient.now());
        plain && sha256 != own && self.state.lock().may_try(sha256, pause, now)
    }

    async fn spread(&self, offer: &DtmaOffer) {
        let part = u32::from(u16::from_le_bytes(self.ambient.random::<2>()));
        let most = Duration::from_secs(offer.spread_seconds.min(600).into());
        tokio::time::sleep(most * part / u32::from(u16::MAX)).await;
    }

    /// Gets what is offered ready and puts it on trial; whether that came about.
    async fn prepare(&self, link: &Link, own: &str, offer: &DtmaOffer) -> bool {
        let sha256 = &offer.dtma.sha256;
        tracing::info!(sha256, "another version is offered: fetching it");
        let preparation = Preparation {
            client: link.client(),
            programs: &self.programs,
            disk: &self.settings.disk,
            config_file: self.settings.config_file.as_deref(),
        };
        match self.ready(&preparation, own, offer).await {
            Ok(program) => {
                tracing::info!(version = program.version, "starting the new version");
                let before = Program {
                    sha256: own.to_owned(),
                    version: VERSION.to_owned(),
                };
                return self.change(|state| state.begin(before, program));
            }
            Err(NotReady::Later(reason)) => {
                tracing::warn!(reason, "the new version can't be had now; trying again");
                self.postpone(sha256, reason);
            }
            Err(NotReady::Never(program, reason)) => {
                tracing::error!(reason, "the new version can't run here");
                let stamp = Stamp::new(&self.ambient);
                self.change(|state| state.reject(VERSION, &program, Fault::Refused, reason, stamp));
                self.keep_needed(own);
            }
        }
        false
    }

    async fn ready(
        &self,
        preparation: &Preparation<'_>,
        own: &str,
        offer: &DtmaOffer,
    ) -> Result<Program, NotReady> {
        let later = |error: anyhow::Error| NotReady::Later(format!("{error:#}"));
        files::private_dir(&self.settings.directory).map_err(|error| later(error.into()))?;
        // What earlier attempts left; the new one stays, if it is there in whole.
        let needed = [own, offer.dtma.sha256.as_str()];
        self.programs
            .keep(&needed)
            .map_err(|error| later(error.into()))?;
        let program = preparation.program(offer).await?;
        preparation.keep_own(own).await.map_err(later)?;
        Ok(program)
    }

    fn keep_needed(&self, own: &str) {
        let state = self.state.lock();
        let needed: Vec<_> = state.needed().chain([own]).collect();
        if let Err(error) = self.programs.keep(&needed) {
            tracing::warn!(%error, "programs that are not needed can't be removed");
        }
    }

    /// Tells of what keeps a program away, once for each reason. What is more important and was not
    /// told yet comes first.
    fn postpone(&self, sha256: &str, reason: String) {
        let told = (sha256.to_owned(), reason.clone());
        if self.report().is_some() || self.postponed.lock().as_ref() == Some(&told) {
            return;
        }
        let report = UpdateReport {
            id: Stamp::new(&self.ambient).id,
            sha256: sha256.to_owned(),
            from_version: VERSION.to_owned(),
            to_version: None,
            outcome: UpdateOutcome::Postponed,
            reason: Some(reason),
        };
        if self.change(|state| state.postpone(report)) {
            self.postponed.lock().replace(told);
        }
    }

    /// Changes what is on disk; whether that succeeded. Nothing has changed otherwise.
    fn change(&self, change: impl FnOnce(&mut State)) -> bool {
        let mut state = self.state.lock();
        let mut new = state.clone();
        change(&mut new);
        if let Err(error) = new.save(&self.settings.directory) {
            tracing::error!(%error, "the state of updates can't be stored");
            return false;
        }
        *state = new;
        true
    }
}
