//! The simulator: the state behind a lock, the clock it lives by, the machines it gives orders to, and
//! what a test may do to it from outside.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use agentopia_domain::Clock;
use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use parking_lot::{Mutex, MutexGuard};

use crate::clock::SteeredClock;
use crate::faults::{FaultPlan, RequestRule, ResourceRule};
use crate::journal::{Creations, JournalEntry, JournalFilter};
use crate::machines::{MachineError, Machines, NoMachines, ShutdownOutcome};
use crate::settings::{Settings, Token, standard_tokens};
use crate::state::{DropletId, DropletView, Order, Outcome, State, Work};

/// How often [`keep`] lets things happen that nobody asks about.
const TICK: Duration = Duration::from_millis(200);

/// What a simulator is made of.
#[derive(Debug)]
pub struct Options {
    /// Of all chance. The same seed and the same requests at the same times give the same run.
    pub seed: u64,
    /// What time it is; the simulator can run ahead of it or stand still.
    pub clock: Arc<dyn Clock>,
    /// What stands behind droplets.
    pub machines: Arc<dyn Machines>,
    /// The account's settings, at first and after a reset.
    pub settings: Settings,
    /// Who may call, at first and after a reset.
    pub tokens: Vec<Token>,
    /// What goes wrong, at first and after a reset.
    pub faults: FaultPlan,
}

impl Options {
    /// No machines, no faults, the standard tokens, realistic delays.
    #[must_use]
    pub fn new(seed: u64, clock: Arc<dyn Clock>) -> Self {
        Self {
            seed,
            clock,
            machines: Arc::new(NoMachines::default()),
            settings: Settings::default(),
            tokens: standard_tokens(),
            faults: FaultPlan::default(),
        }
    }
}

/// The simulator; cheap to clone, all clones are one.
#[derive(Debug, Clone)]
pub struct Simulator(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    clock: SteeredClock,
    machines: Arc<dyn Machines>,
    seed: u64,
    settings: Settings,
    tokens: Vec<Token>,
    faults: FaultPlan,
}

impl Simulator {
    /// A simulator with an account that is empty as of now.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let clock = SteeredClock::new(options.clock);
        let state = State::new(
            options.seed,
            options.settings.clone(),
            options.tokens.clone(),
            options.faults.clone(),
            clock.now(),
        );
        Self(Arc::new(Inner {
            state: Mutex::new(state),
            clock,
            machines: options.machines,
            seed: options.seed,
            settings: options.settings,
            tokens: options.tokens,
            faults: options.faults,
        }))
    }

    /// Its clock.
    #[must_use]
    pub fn clock(&self) -> &SteeredClock {
        &self.0.clock
    }

    /// Its time.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.0.clock.now()
    }

    /// Lets everything happen whose time has come, and machines begin what they were told. Every
    /// request does this first.
    pub async fn tick(&self) {
        self.tick_at(self.now()).await;
    }

    pub(crate) async fn tick_at(&self, now: DateTime<Utc>) {
        self.state().advance(now);
        self.drive().await;
    }

    /// The account's settings.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.state().settings.clone()
    }

    /// Changes them, for what begins from now on.
    pub fn set_settings(&self, settings: Settings) {
        self.state().settings = settings;
    }

    /// Who may call.
    #[must_use]
    pub fn tokens(&self) -> Vec<Token> {
        self.state().tokens.clone()
    }

    /// Changes who may call.
    pub fn set_tokens(&self, tokens: Vec<Token>) {
        self.state().tokens = tokens;
    }

    /// What goes wrong.
    #[must_use]
    pub fn faults(&self) -> FaultPlan {
        self.state().faults.plan()
    }

    /// Changes what goes wrong, and begins to count anew.
    pub fn set_faults(&self, plan: FaultPlan) {
        self.state().faults = crate::faults::Faults::new(plan);
    }

    /// One more fault of requests, asked after those that are there.
    pub fn add_request_fault(&self, rule: RequestRule) {
        self.state().faults.add_request(rule);
    }

    /// One more fault of resources, asked after those that are there.
    pub fn add_resource_fault(&self, rule: ResourceRule) {
        self.state().faults.add_resource(rule);
    }

    /// All droplets as they really are.
    pub async fn droplets(&self) -> Vec<DropletView> {
        self.tick().await;
        let state = self.state();
        state.droplets.existing().map(|d| d.view()).collect()
    }

    /// Destroys a droplet behind everybody's back; false where there is none.
    pub async fn destroy(&self, droplet: DropletId) -> bool {
        self.tick().await;
        let existed = {
            let mut state = self.state();
            let existed = state.droplets.get(droplet).is_some();
            state.vanish(self.now(), droplet);
            existed
        };
        self.drive().await;
        existed
    }

    /// Locks a droplet, or unlocks it; false where there is none.
    pub async fn set_locked(&self, droplet: DropletId, locked: bool) -> bool {
        self.tick().await;
        self.state().lock_droplet(droplet, locked)
    }

    /// A droplet goes off from inside, without any action; false where there is none. While an
    /// action is under way nothing happens: what it does comes after.
    pub async fn stop_from_inside(&self, droplet: DropletId) -> bool {
        self.tick().await;
        let mut state = self.state();
        state.machine_stopped(self.now(), droplet);
        state.droplets.get(droplet).is_some()
    }

    /// Requests that have arrived, oldest first.
    #[must_use]
    pub fn journal(&self, filter: &JournalFilter) -> Vec<JournalEntry> {
        self.state().journal.read(filter)
    }

    /// What was created, by tag.
    #[must_use]
    pub fn creations(&self) -> BTreeMap<String, Creations> {
        self.state().journal.creations()
    }

    /// An empty account with another seed (or the first one), and with the first settings, tokens and
    /// faults. Machines are destroyed; the clock goes on.
    pub async fn reset(&self, seed: Option<u64>) {
        let mut fresh = State::new(
            seed.unwrap_or(self.0.seed),
            self.0.settings.clone(),
            self.0.tokens.clone(),
            self.0.faults.clone(),
            self.now(),
        );
        let droplets: Vec<_> = self.state().droplets.existing().map(|d| d.id).collect();
        for droplet in droplets {
            self.destroy_machine(droplet).await;
        }
        let mut state = self.state();
        fresh.count_orders_on(&state);
        *state = fresh;
    }

    async fn destroy_machine(&self, droplet: DropletId) {
        if let Err(error) = self.0.machines.destroy(droplet).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(%droplet, error, "a machine outlives its droplet");
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock()
    }

    /// Lets machines carry out what they were told. Those that can do it at once have done it when
    /// this returns, so that a run without real machines has nothing in the background; others are
    /// left to finish on their own.
    pub(crate) async fn drive(&self) {
        loop {
            let orders = self.state().take_orders();
            if orders.is_empty() {
                return;
            }
            for order in orders {
                let mut work = Box::pin(self.clone().carry_out(order));
                if futures::poll!(Pin::as_mut(&mut work)).is_pending() {
                    let simulator = self.clone();
                    tokio::spawn(async move {
                        work.await;
                        simulator.drive_boxed().await;
                    });
                }
            }
        }
    }

    /// [`Self::drive`] with a type that can be named from within itself.
    fn drive_boxed(self) -> BoxFuture<'static, ()> {
        Box::pin(async move { self.drive().await })
    }

    async fn carry_out(self, order: Order) {
        let outcome = match perform(&*self.0.machines, &order).await {
            Ok(outcome) => outcome,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(droplet = %order.droplet, error, "a machine failed");
                Outcome::Failed
            }
        };
        let known = self.state().report(self.now(), order.id, outcome);
        if !known && matches!(order.work, Work::Boot(_)) {
            // A reset came in between: nobody else knows of this machine.
            self.destroy_machine(order.droplet).await;
        }
    }
}

async fn perform(machines: &dyn Machines, order: &Order) -> Result<Outcome, MachineError> {
    let droplet = order.droplet;
    match &order.work {
        Work::Boot(plan) => {
            machines.boot(plan).await?;
            Ok(Outcome::Booted(machines.address(droplet).await?))
        }
        Work::PowerOff => machines.power_off(droplet).await.map(|()| Outcome::Done),
        Work::PowerOn => machines.power_on(droplet).await.map(|()| Outcome::Done),
        Work::Resize(limits) => {
            let resized = machines.resize(droplet, *limits).await;
            resized.map(|()| Outcome::Done)
        }
        Work::Destroy => machines.destroy(droplet).await.map(|()| Outcome::Done),
        Work::ShutDown => Ok(match machines.shut_down(droplet).await? {
            ShutdownOutcome::Down => Outcome::Done,
            ShutdownOutcome::StillUp => Outcome::StillUp,
        }),
    }
}

/// Keeps a simulator going that nobody calls: lets machines hear of what has become due, and the state
/// of machines that went off. Runs until it is dropped. A simulation in one process does without.
pub async fn keep(simulator: Simulator) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let machines = simulator.0.machines.clone();
    let mut stopped = machines.stopped();
    loop {
        tokio::select! {
            _ = ticks.tick() => simulator.tick().await,
            droplet = &mut stopped => {
                simulator.stop_from_inside(droplet).await;
                stopped = machines.stopped();
            }
        }
    }
}
