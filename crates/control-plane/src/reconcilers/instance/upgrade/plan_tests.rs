//! Every state that a change of version can come to, however the control plane, the machine and the owner
//! act, and wherever one of them dies: what is done twice, late, or not at all is just another path to a state.

use std::collections::{BTreeSet, VecDeque};

use agentopia_domain::instance::DesiredInstance;
use agentopia_domain::observed::Phase;
use agentopia_domain::versions::{How, Slot, Stage};

use super::plan::{Seen, Step, plan};
use crate::reconcilers::instance::plan::Machine;

/// What the machine has in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Have {
    generation: i64,
    wish: Wish,
    phase: At,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Wish {
    Run,
    Stop,
    Remove,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum At {
    Pending,
    Running,
    Failed,
    Stopped,
    Removed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum How2 {
    Beside,
    Recreate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Stage2 {
    Vacating,
    Starting,
    Moved,
    Abandoning,
    Over,
}

/// All that is written down anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct World {
    how: How2,
    stage: Stage2,
    moved: bool,
    wanted: bool,
    late: bool,
    generation: i64,
    /// The old version's place, and the new one's.
    old: Option<Have>,
    new: Option<Have>,
    /// How often the owner changed something, and the machine was made anew.
    changes: u8,
}

const RUNS: Have = Have {
    generation: 1,
    wish: Wish::Run,
    phase: At::Running,
};

impl World {
    fn begin(how: How2, before: Option<Have>) -> Self {
        Self {
            how,
            stage: match how {
                How2::Beside => Stage2::Starting,
                How2::Recreate => Stage2::Vacating,
            },
            moved: false,
            wanted: true,
            late: false,
            generation: 2,
            old: Some(RUNS),
            new: before,
            changes: 0,
        }
    }

    fn stage(self) -> Option<Stage> {
        Some(match self.stage {
            Stage2::Vacating => Stage::Vacating,
            Stage2::Starting => Stage::Starting,
            Stage2::Moved => Stage::Moved,
            Stage2::Abandoning => Stage::Abandoning {
                reason: String::new(),
            },
            Stage2::Over => return None,
        })
    }

    fn serving(self) -> Option<Have> {
        if self.moved { self.new } else { self.old }
    }

    fn spare(self) -> Option<Have> {
        if self.moved { self.old } else { self.new }
    }

    fn seen(have: Option<Have>) -> Machine {
        have.map_or(Machine::Unknown, |have| Machine::Reports {
            generation: have.generation,
            phase: match have.phase {
                At::Pending => Phase::Pending,
                At::Running => Phase::Running,
                At::Failed => Phase::Failed,
                At::Stopped => Phase::Stopped,
                At::Removed => Phase::Removed,
            },
        })
    }

    fn put(self, spare: bool, wish: Wish) -> Self {
        let mut next = self;
        let place = match spare == self.moved {
            true => &mut next.old,
            false => &mut next.new,
        };
        let phase = match (wish, *place) {
            (Wish::Run, Some(have)) if have.phase == At::Running && have.wish == Wish::Run => {
                At::Running
            }
            (Wish::Stop, Some(have)) if have.phase == At::Stopped => At::Stopped,
            (Wish::Remove, None) => At::Removed,
            _ => At::Pending,
        };
        *place = Some(Have {
            generation: self.generation,
            wish,
            phase,
        });
        next
    }

    /// What the reconciler does with what serves; see `render::Place::serving`.
    fn keep(self) -> Self {
        let vacated = self.how == How2::Recreate
            && matches!(
                self.stage,
                Stage2::Vacating | Stage2::Starting | Stage2::Abandoning
            );
        let wish = match self.wanted && !vacated {
            true => Wish::Run,
            false => Wish::Stop,
        };
        match self.serving() {
            Some(have) if have.generation >= self.generation => self,
            _ => self.put(false, wish),
        }
    }

    /// What the reconciler does with the change; see `apply.rs`.
    fn step(self, judged: bool) -> Self {
        let Some(stage) = self.stage() else {
            return self;
        };
        let to = |stage: Stage2| Self {
            stage,
            generation: self.generation + 1,
            ..self
        };
        let step = plan(&Seen {
            stage: &stage,
            how: match self.how {
                How2::Beside => How::Beside,
                How2::Recreate => How::Recreate,
            },
            wanted: self.wanted,
            late: self.late,
            generation: self.generation,
            serving: Self::seen(self.serving()),
            spare: Self::seen(self.spare()),
        });
        match step {
            Step::Put(DesiredInstance::Running) => self.put(true, Wish::Run),
            Step::Put(DesiredInstance::Stopped) => self.put(true, Wish::Stop),
            Step::Put(DesiredInstance::Removed { .. }) => self.put(true, Wish::Remove),
            Step::Start => to(Stage2::Starting),
            Step::Judge if judged => Self {
                moved: true,
                ..to(Stage2::Moved)
            },
            Step::Judge | Step::Abandon(_) => to(Stage2::Abandoning),
            Step::Finish => to(Stage2::Over),
            Step::Watch | Step::Wait(_) => self,
        }
    }

    /// What a machine may do in one of the places; `well`: what it does where nothing fails.
    fn machine(self, slot: Slot, well: bool) -> Self {
        let mut next = self;
        let place = match slot {
            Slot::First => &mut next.old,
            Slot::Second => &mut next.new,
        };
        if let Some(have) = place {
            have.phase = match (have.wish, have.phase) {
                (Wish::Run, At::Pending) if !well => At::Failed,
                (Wish::Run, At::Pending | At::Failed) if well => At::Running,
                (Wish::Stop, _) => At::Stopped,
                (Wish::Remove, _) => At::Removed,
                (Wish::Run, phase) => phase,
            };
        }
        next
    }

    fn neighbours(self) -> Vec<Self> {
        let mut all = vec![
            self.keep(),
            self.step(true),
            self.step(false),
            Self { late: true, ..self },
        ];
        for slot in [Slot::First, Slot::Second] {
            all.extend([true, false].map(|well| self.machine(slot, well)));
        }
        if self.changes < 2 {
            let changed = Self {
                generation: self.generation + 1,
                changes: self.changes + 1,
                ..self
            };
            all.push(changed);
            all.push(Self {
                wanted: !self.wanted,
                ..changed
            });
            // Made anew: it knows nothing.
            all.push(Self {
                old: None,
                new: None,
                changes: self.changes + 1,
                ..self
            });
        }
        all
    }

    /// Nobody does anything but what is due.
    fn settled(mut self) -> Self {
        for _ in 0..40 {
            self = self.keep();
            self = self.machine(Slot::First, true).machine(Slot::Second, true);
            self = self.step(true);
        }
        self
    }
}

fn reachable(how: How2) -> BTreeSet<World> {
    // The place may be empty, or keep the version before.
    let kept = Have {
        generation: 1,
        wish: Wish::Stop,
        phase: At::Stopped,
    };
    let mut known = BTreeSet::new();
    let mut open: VecDeque<World> = [None, Some(kept)]
        .map(|before| World::begin(how, before))
        .into();
    while let Some(world) = open.pop_front() {
        if known.insert(world) {
            open.extend(world.neighbours());
        }
    }
    known
}

#[test]
fn whoever_dies_wherever_it_comes_to_one_of_two_ends() {
    for how in [How2::Beside, How2::Recreate] {
        let known = reachable(how);
        assert!(known.len() > 500, "{}", known.len());
        for world in known {
            let end = world.settled();
            assert_eq!(end.stage, Stage2::Over, "{world:?} ends as {end:?}");
            let runs = |have: Option<Have>| have.is_some_and(|have| have.phase == At::Running);
            assert_eq!(runs(end.serving()), end.wanted, "{world:?} ends as {end:?}");
            assert!(!runs(end.spare()), "{world:?} ends as {end:?}");
        }
    }
}

#[test]
fn what_serves_is_never_told_to_go_while_it_is_wanted() {
    for world in reachable(How2::Beside) {
        if let Some(have) = world.serving()
            && have.generation == world.generation
            && world.wanted
        {
            assert_eq!(have.wish, Wish::Run, "{world:?}");
        }
        // Calls only go to what ran, or to what was just lost with its machine.
        if world.moved
            && world.changes == 0
            && let Some(have) = world.new
        {
            assert_eq!(have.phase, At::Running, "{world:?}");
        }
    }
}

#[test]
fn data_that_can_not_be_open_twice_never_is() {
    for world in reachable(How2::Recreate) {
        let open = |have: Option<Have>| {
            have.is_some_and(|have| have.wish == Wish::Run || have.phase == At::Running)
        };
        if world.changes == 0 {
            assert!(!(open(world.old) && open(world.new)), "{world:?}");
        }
    }
}
