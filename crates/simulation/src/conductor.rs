//! Whose turn it is. Everything that a party does to the outside (a use of the database, a request)
//! waits here for its turn, and one turn is given at a time, when nothing else can run. So the order
//! of all effects is chosen by the seed and by nothing else.
//!
//! How that holds although SQLite has threads of its own: a turn lasts until its use of the database
//! has ended, and the conductor does nothing meanwhile but wait. Only when nobody waits for a turn and
//! nobody has one does the runtime park; then tokio's paused clock goes to the next timer.
//!
//! A replica is killed by cutting it off: from then on each of its turns is refused, so it can have no
//! effect any more, whatever of it still runs in memory. [`Blow`]s do that, and milder things, at
//! chosen effects.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agentopia_store::CutOff;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use crate::dice::Dice;
use crate::trace::Trace;

/// How long, in real time, one use of the database may take: far longer than it does. Two that wait
/// for one another would wait for ever.
const STALLED: Duration = Duration::from_secs(60);

/// Who wants to do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Party {
    /// One life of a replica of the control plane; every restart has a new number.
    Replica(u32),
    /// The management agent of this droplet.
    Guest(u64),
    /// Those who use the product.
    People,
    /// Who looks whether all is well.
    Watcher,
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replica(number) => write!(f, "replica {number}"),
            Self::Guest(droplet) => write!(f, "guest {droplet}"),
            Self::People => f.write_str("people"),
            Self::Watcher => f.write_str("watcher"),
        }
    }
}

/// What an effect is, as far as faults care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A transaction commits.
    Commit,
    /// A request that changes something.
    Change,
    /// A request that only asks.
    Look,
}

/// What goes wrong with one effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    /// It is refused, and did not happen.
    Fails,
    /// Whoever wanted it dies before it happens.
    CrashBefore,
    /// Whoever wanted it dies after it happened.
    CrashAfter,
    /// It happens, and is done again: a request arrives twice; who committed is told that it failed.
    Repeated,
}

/// A fault at the effect with this number, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strike {
    /// Which effect.
    pub at: usize,
    /// What goes wrong with it.
    pub blow: Blow,
}

impl fmt::Display for Strike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{:?}", self.at, self.blow)
    }
}

impl FromStr for Strike {
    type Err = BadStrike;

    fn from_str(text: &str) -> Result<Self, BadStrike> {
        let (at, blow) = text.split_once(':').ok_or(BadStrike)?;
        let at = at.parse().ok().filter(|at| *at > 0).ok_or(BadStrike)?;
        let blows = [
            Blow::Fails,
            Blow::CrashBefore,
            Blow::CrashAfter,
            Blow::Repeated,
        ];
        let blow = blows.into_iter().find(|known| format!("{known:?}") == blow);
        blow.map(|blow| Self { at, blow }).ok_or(BadStrike)
    }
}

/// A text that is no [`Strike`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fault is written as 12:CrashAfter, with Fails, CrashBefore, CrashAfter or Repeated")]
pub struct BadStrike;

/// How turns are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// First come, first served.
    Fair,
    /// By the seed.
    Random,
}

/// An effect that happened, or was to happen.
#[derive(Debug, Clone)]
pub(crate) struct Effect {
    pub(crate) kind: Kind,
    pub(crate) label: String,
}

struct Waiting {
    who: Party,
    /// Also gives the turn back when nobody takes it any more.
    grant: oneshot::Sender<Pass>,
}

struct State {
    order: Order,
    dice: Dice,
    waiting: Vec<Waiting>,
    held: bool,
    over: bool,
    /// Dead lives of replicas.
    cut: BTreeSet<Party>,
    paused: BTreeSet<Party>,
    /// Those who ever were.
    stood_still: BTreeSet<Party>,
    strikes: Vec<Strike>,
    /// Whether effects count, for strikes.
    counting: bool,
    effects: Vec<Effect>,
    /// Turns that replicas had.
    turns: u64,
    /// Who is to die at which of these turns.
    crashes: BTreeSet<u64>,
    /// Who died by a blow and is to be started again.
    fallen: Vec<Party>,
}

/// See the module's header.
pub(crate) struct Conductor {
    state: Mutex<State>,
    /// Somebody waits for a turn, or has given it back, or it is over.
    news: Notify,
    /// Somebody fell.
    pub(crate) fell: Notify,
    /// The last strike was struck.
    pub(crate) struck: Notify,
    pub(crate) trace: Arc<Trace>,
}

/// A turn; given back by dropping it.
pub(crate) struct Pass(Arc<Conductor>);

impl Drop for Pass {
    fn drop(&mut self) {
        self.0.state.lock().held = false;
        self.0.news.notify_one();
    }
}

impl Conductor {
    pub(crate) fn new(dice: Dice, order: Order, trace: Arc<Trace>) -> Arc<Self> {
        let state = State {
            order,
            dice,
            waiting: Vec::new(),
            held: false,
            over: false,
            cut: BTreeSet::new(),
            paused: BTreeSet::new(),
            stood_still: BTreeSet::new(),
            strikes: Vec::new(),
            counting: false,
            effects: Vec::new(),
            turns: 0,
            crashes: BTreeSet::new(),
            fallen: Vec::new(),
        };
        Arc::new(Self {
            state: Mutex::new(state),
            news: Notify::new(),
            fell: Notify::new(),
            struck: Notify::new(),
            trace,
        })
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// [`CutOff`] for the dead.
    pub(crate) async fn turn(self: &Arc<Self>, who: Party) -> Result<Pass, CutOff> {
        let (grant, granted) = oneshot::channel();
        {
            let mut state = self.state.lock();
            if state.cut.contains(&who) {
                return Err(CutOff);
            }
            state.waiting.push(Waiting { who, grant });
        }
        self.news.notify_one();
        granted.await.map_err(|_| CutOff)
    }

    /// Gives turns until [`Self::end`]. Nothing else may wait in the runtime's own main future.
    pub(crate) async fn conduct(self: &Arc<Self>) {
        let mut busy_since: Option<Instant> = None;
        loop {
            // Comes back when nothing can run: the runtime is set up so.
            tokio::task::yield_now().await;
            let (held, over) = {
                let state = self.state.lock();
                (state.held, state.over)
            };
            if held {
                let since = busy_since.get_or_insert_with(Instant::now);
                assert!(
                    since.elapsed() < STALLED,
                    "a use of the database does not end: does it wait for another?"
                );
                std::thread::yield_now();
                continue;
            }
            busy_since = None;
            if over {
                return;
            }
            if !self.give() {
                self.news.notified().await;
            }
        }
    }

    /// Gives a turn to one who waits; false if nobody does who may have one.
    fn give(self: &Arc<Self>) -> bool {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        state.waiting.retain(|each| !each.grant.is_closed());
        let able: Vec<usize> = (state.waiting.iter().enumerate())
            .filter(|(_, each)| !state.paused.contains(&each.who))
            .map(|(place, _)| place)
            .collect();
        if able.is_empty() {
            return false;
        }
        let place = match state.order {
            Order::Fair => able[0],
            Order::Random => able[state.dice.index(able.len())],
        };
        let chosen = state.waiting.remove(place);
        if let Party::Replica(_) = chosen.who {
            state.turns += 1;
            let turn = state.turns;
            if state.crashes.remove(&turn) {
                self.kill(state, chosen.who);
                return true;
            }
        }
        state.held = true;
        drop(guard);
        // Where nobody takes it, it comes back here and is given back.
        drop(chosen.grant.send(Pass(Arc::clone(self))));
        true
    }

    /// It is over: [`Self::conduct`] returns.
    pub(crate) fn end(&self) {
        self.state.lock().over = true;
        self.news.notify_one();
    }

    /// Cuts a party off from everything.
    pub(crate) fn cut(&self, who: Party) {
        let mut state = self.state.lock();
        state.cut.insert(who);
        state.paused.remove(&who);
        // Their senders are dropped: they hear that they are cut off.
        state.waiting.retain(|each| each.who != who);
    }

    /// Whether a party is cut off.
    pub(crate) fn is_cut(&self, who: Party) -> bool {
        self.state.lock().cut.contains(&who)
    }

    /// Gives a party no turns until it is resumed.
    pub(crate) fn pause(&self, who: Party) {
        let mut state = self.state.lock();
        state.paused.insert(who);
        state.stood_still.insert(who);
    }

    /// Whether a party ever stood still.
    pub(crate) fn was_paused(&self, who: Party) -> bool {
        self.state.lock().stood_still.contains(&who)
    }

    /// Ends a pause.
    pub(crate) fn resume(&self, who: Party) {
        self.state.lock().paused.remove(&who);
        self.news.notify_one();
    }

    /// Lets whoever has it die at a replicas' turn, `ahead` turns from now.
    pub(crate) fn crash_ahead(&self, ahead: u64) {
        let mut state = self.state.lock();
        let turn = state.turns + ahead;
        state.crashes.insert(turn);
    }

    /// Begins to count effects, with these faults.
    pub(crate) fn count(&self, strikes: Vec<Strike>) {
        let mut state = self.state.lock();
        state.counting = true;
        state.strikes = strikes;
    }

    /// No faults from now on; what was counted.
    pub(crate) fn calm(&self) -> Vec<Effect> {
        let mut state = self.state.lock();
        state.counting = false;
        state.crashes.clear();
        std::mem::take(&mut state.effects)
    }

    /// Counts an effect that is about to happen; what goes wrong with it.
    pub(crate) fn effect(&self, who: Party, kind: Kind, label: &str) -> Option<Blow> {
        let mut state = self.state.lock();
        if !state.counting || state.cut.contains(&who) {
            return None;
        }
        let label = label.to_owned();
        state.effects.push(Effect { kind, label });
        let number = state.effects.len();
        let strike = state.strikes.iter().find(|strike| strike.at == number);
        let blow = strike.map(|strike| strike.blow)?;
        if state.strikes.iter().all(|strike| strike.at <= number) {
            self.struck.notify_one();
        }
        self.trace
            .say(format_args!("{who}: effect {number}: {blow:?}"));
        if blow == Blow::CrashBefore {
            self.kill(&mut state, who);
        }
        Some(blow)
    }

    /// Kills a party; the world starts it again.
    pub(crate) fn fall(&self, who: Party) {
        self.kill(&mut self.state.lock(), who);
    }

    fn kill(&self, state: &mut State, who: Party) {
        if !state.cut.insert(who) {
            return;
        }
        state.paused.remove(&who);
        state.waiting.retain(|each| each.who != who);
        state.fallen.push(who);
        self.trace.say(format_args!("{who} dies"));
        self.fell.notify_one();
        self.news.notify_one();
    }

    /// Those who fell and have not been started again.
    pub(crate) fn take_fallen(&self) -> Vec<Party> {
        std::mem::take(&mut self.state.lock().fallen)
    }
}
