//! Time: however the clock moves, the outcome is the same.

use proptest::prelude::*;

use super::*;
use crate::faults::Rates;

/// Requests at given seconds, with chance in delays and faults; then the end of the story, with the
/// clock moved in the given steps in between.
fn story(seed: u64, steps: &[i64]) -> String {
    let faults = FaultPlan {
        rates: Rates::everything(0.2),
        ..FaultPlan::default()
    };
    let now = DateTime::UNIX_EPOCH;
    let mut world = World {
        state: State::new(seed, Settings::default(), vec![], faults, now),
        now,
        machines_answer: true,
    };
    let mut draft = FirewallDraft::default();
    for n in 0..8 {
        let made = world.try_create(&wish(&format!("web{n}"))).unwrap();
        pass_until(&mut world, 100 * (2 * n + 1), steps);
        let droplet = made[0].0;
        draft.droplets = vec![droplet];
        let _ = world.act(droplet, ActionKind::Shutdown);
        let _ = world.state.create_firewall(world.now, &draft);
        pass_until(&mut world, 100 * (2 * n + 2), steps);
        let _ = world.resize(droplet, "s-2vcpu-4gb", false);
        if n % 2 == 0 {
            let _ = world.delete(droplet);
        }
    }
    pass_until(&mut world, 10_000, steps);
    // The journal and the rest of the dice as well: whatever was drawn, was drawn alike.
    format!("{:#?}", world.state)
}

fn pass_until(world: &mut World, until: i64, steps: &[i64]) {
    let until = DateTime::UNIX_EPOCH + TimeDelta::seconds(until);
    let mut steps = steps.iter().cycle();
    while world.now < until {
        let step = steps.next().copied().unwrap_or(i64::MAX / 2000);
        let left = (until - world.now).num_seconds();
        world.pass(step.min(left));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_leap_is_as_good_as_many_steps(
        seed in 0_u64..1000,
        steps in prop::collection::vec(1_i64..50, 1..6),
    ) {
        prop_assert_eq!(story(seed, &[]), story(seed, &steps));
    }
}

#[test]
fn seeds_tell_stories_apart() {
    assert_ne!(story(1, &[]), story(2, &[]));
}
