//! Everything of one schedule: the database, the cloud, the replicas, and what is wrong with them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use agentopia_control_plane::machines::Authority;
use agentopia_domain::Ambient;
use agentopia_store::Store;
use agentopia_vault::Vault;
use axum::Router;
use digitalocean_sim::{Options, Simulator};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use crate::conductor::{Conductor, Party};
use crate::dice::{Dice, SeededEntropy};
use crate::gate::{Gate, Role};
use crate::guest::Guests;
use crate::ledger::Ledger;
use crate::replica::Replica;
use crate::schedule::Schedule;
use crate::template::{Database, Template};
use crate::time::VirtualClock;
use crate::trace::Trace;

/// Streams of randomness; those of replicas begin at a thousand.
mod stream {
    pub(super) const TURNS: u64 = 1;
    pub(super) const WORLD: u64 = 2;
    pub(super) const GUESTS: u64 = 3;
    pub(super) const OUTSIDE: u64 = 4;
    pub(super) const VAULT: u64 = 5;
}

/// See the module's header.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) clock: VirtualClock,
    pub(crate) trace: Arc<Trace>,
    pub(crate) conductor: Arc<Conductor>,
    pub(crate) simulator: Simulator,
    pub(crate) cloud: Router,
    pub(crate) ledger: Ledger,
    pub(crate) guests: Arc<Guests>,
    pub(crate) base: Store,
    pub(crate) vault: Arc<dyn Vault>,
    pub(crate) authority: Arc<Authority>,
    /// For those who are no replica.
    pub(crate) outside: Ambient,
    slots: Mutex<Vec<Slot>>,
    lives: AtomicU64,
    dice: Mutex<Dice>,
    /// How many of a hundred answers to machines are lost.
    lost: AtomicU64,
    /// Until when DigitalOcean answers nobody.
    out_until: Mutex<Option<Instant>>,
    /// What should never have been.
    wrong: Mutex<Vec<String>>,
    _database: Database,
}

/// A place where one replica runs at a time.
#[derive(Debug)]
struct Slot {
    wrong_by: i64,
    alive: Option<Replica>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "World({})", self.seed)
    }
}

impl World {
    /// A world in which nothing runs yet. Within a runtime whose clock is paused.
    pub(crate) fn new(
        template: &Template,
        schedule: &Schedule,
        database: Database,
    ) -> anyhow::Result<Arc<Self>> {
        let seed = schedule.seed;
        let clock = VirtualClock::start();
        let trace = Arc::new(Trace::new(clock));
        let dice = |stream| Dice::new(seed, stream);
        let conductor = Conductor::new(dice(stream::TURNS), schedule.order, Arc::clone(&trace));
        let ambient = |stream| {
            let entropy = SeededEntropy::new(seed, stream);
            Ambient::new(Arc::new(clock), Arc::new(entropy))
        };
        let guests = Guests::new(dice(stream::GUESTS), schedule.boot, schedule.bad_starts);
        let mut options = Options::new(seed, Arc::new(clock));
        options.machines = Arc::clone(&guests) as _;
        options.settings = schedule.settings.clone();
        options.faults = schedule.faults.clone();
        let simulator = Simulator::new(options);
        let slots = schedule.replicas.iter().map(|wrong_by| Slot {
            wrong_by: *wrong_by,
            alive: None,
        });
        let world = Arc::new(Self {
            seed,
            clock,
            conductor,
            cloud: digitalocean_sim::router(simulator.clone()),
            simulator,
            ledger: Ledger::default(),
            guests: Arc::clone(&guests),
            base: database.store.clone(),
            vault: template.vault(ambient(stream::VAULT))?,
            authority: Arc::clone(&template.authority),
            outside: ambient(stream::OUTSIDE),
            slots: Mutex::new(slots.collect()),
            lives: AtomicU64::new(0),
            dice: Mutex::new(dice(stream::WORLD)),
            lost: AtomicU64::new(schedule.lost_answers),
            out_until: Mutex::default(),
            wrong: Mutex::default(),
            trace,
            _database: database,
        });
        guests.inhabit(&world);
        Ok(world)
    }

    /// The database as somebody sees it who is no replica.
    pub(crate) fn store_of(&self, who: Party) -> Store {
        let gate = Gate::seam(&self.conductor, who, Role::Outside, self.clock);
        self.base.behind(&gate, self.outside.clone())
    }

    /// Starts what should run and does not.
    pub(crate) fn start_missing(self: &Arc<Self>) -> anyhow::Result<()> {
        let mut slots = self.slots.lock();
        for slot in slots.iter_mut().filter(|slot| slot.alive.is_none()) {
            let life = self.lives.fetch_add(1, Ordering::Relaxed) + 1;
            let number = u32::try_from(life).unwrap_or(u32::MAX);
            slot.alive = Some(Replica::start(self, number, slot.wrong_by)?);
        }
        Ok(())
    }

    /// The replica in a place, if one runs there.
    pub(crate) fn replica(&self, slot: usize) -> Option<Replica> {
        let slots = self.slots.lock();
        slots.get(slot).and_then(|slot| slot.alive.clone())
    }

    /// Takes those away who fell.
    pub(crate) fn bury(&self, fallen: &[Party]) {
        for slot in self.slots.lock().iter_mut() {
            if let Some(replica) = &slot.alive
                && fallen.contains(&replica.who)
            {
                replica.bury();
                slot.alive = None;
            }
        }
    }

    /// Ends every pause.
    pub(crate) fn resume_all(&self) {
        for slot in self.slots.lock().iter() {
            if let Some(replica) = &slot.alive {
                self.conductor.resume(replica.who);
            }
        }
    }

    /// A replica that lives, as a load balancer would choose it.
    pub(crate) fn some_listener(&self) -> Option<Replica> {
        let slots = self.slots.lock();
        let alive: Vec<&Replica> = slots
            .iter()
            .filter_map(|slot| slot.alive.as_ref())
            .collect();
        if alive.is_empty() {
            return None;
        }
        Some(alive[self.dice.lock().index(alive.len())].clone())
    }

    /// The way between machines, people and replicas.
    pub(crate) async fn travel(&self) {
        let under_way = self.dice.lock().millis(1, 60);
        sleep(under_way).await;
    }

    /// Whether an answer is lost on its way now.
    pub(crate) fn loses_an_answer(&self) -> bool {
        let share = self.lost.load(Ordering::Relaxed);
        share > 0 && self.dice.lock().percent(share)
    }

    /// DigitalOcean answers nobody for so long.
    pub(crate) fn outage(&self, span: Duration) {
        let until = Instant::now() + span;
        let mut out_until = self.out_until.lock();
        *out_until = (*out_until).max(Some(until));
    }

    /// Whether DigitalOcean answers nobody now.
    pub(crate) fn is_out(&self) -> bool {
        let until = *self.out_until.lock();
        until.is_some_and(|until| Instant::now() < until)
    }

    /// From now on no answer is lost, and DigitalOcean answers.
    pub(crate) fn lose_nothing(&self) {
        self.lost.store(0, Ordering::Relaxed);
        *self.out_until.lock() = None;
    }

    /// A time by chance, in milliseconds.
    pub(crate) fn some_time(&self, least: u64, most: u64) -> Duration {
        self.dice.lock().millis(least, most)
    }

    /// Something happened that never should.
    pub(crate) fn wrong(&self, what: String) {
        self.trace.say(format_args!("WRONG: {what}"));
        self.wrong.lock().push(what);
    }

    /// What happened that never should.
    pub(crate) fn take_wrong(&self) -> Vec<String> {
        std::mem::take(&mut *self.wrong.lock())
    }

    /// Everything dies: for the end of a schedule.
    pub(crate) fn shut(&self) {
        for slot in self.slots.lock().iter_mut() {
            if let Some(replica) = slot.alive.take() {
                replica.bury();
            }
        }
    }
}
