//! Actions: one at a time, and what becomes of them.

use super::*;
use crate::settings::RedundantPower;

#[test]
fn power_goes_off_and_on() {
    let mut world = World::new();
    let droplet = world.off();
    for (kind, takes, after) in [
        (ActionKind::PowerOn, 5, "active"),
        (ActionKind::Shutdown, 10, "off"),
        (ActionKind::PowerCycle, 5, "active"),
        (ActionKind::Reboot, 5, "active"),
        (ActionKind::PowerOff, 5, "off"),
    ] {
        let before = world.status(droplet);
        let action = world.act(droplet, kind).unwrap();
        world.pass(takes - 1);
        assert_eq!(world.status(droplet), before);
        world.pass(1);
        assert_eq!(world.action(action), ActionStatus::Completed);
        assert_eq!(world.status(droplet), after);
    }
}

#[test]
fn there_is_one_event_at_a_time() {
    let mut world = World::new();
    let (droplet, _) = world.create();
    assert_eq!(said(world.act(droplet, ActionKind::PowerOff)), PENDING);
    world.pass(20);
    world.act(droplet, ActionKind::Shutdown).unwrap();
    assert_eq!(said(world.act(droplet, ActionKind::PowerOff)), PENDING);
    assert_eq!(said(world.delete(droplet)), PENDING);
    world.pass(10);
    world.act(droplet, ActionKind::PowerOn).unwrap();
}

#[test]
fn the_status_can_be_behind_the_action() {
    let mut world = World::new();
    let droplet = world.active();
    world.state.settings.delays.status = seconds(2);
    let action = world.act(droplet, ActionKind::PowerOff).unwrap();
    world.pass(5);
    assert_eq!(world.action(action), ActionStatus::Completed);
    assert_eq!(world.status(droplet), "active");
    world.resize(droplet, "s-2vcpu-4gb", false).unwrap();
    world.pass(2);
    assert_eq!(world.status(droplet), "off");
}

#[test]
fn a_shutdown_can_have_no_effect() {
    let mut world = World::with_fault(ResourceRule::new(ResourceFault::ShutdownIgnored));
    let droplet = world.active();
    let action = world.act(droplet, ActionKind::Shutdown).unwrap();
    world.pass(10);
    assert_eq!(world.action(action), ActionStatus::Completed);
    assert_eq!(world.status(droplet), "active");
    world.act(droplet, ActionKind::PowerOff).unwrap();
    world.pass(5);
    assert_eq!(world.status(droplet), "off");
}

#[test]
fn a_machine_that_stays_up_makes_a_shutdown_without_effect() {
    let mut world = World::new();
    let droplet = world.active();
    world.machines_answer = false;
    let action = world.act(droplet, ActionKind::Shutdown).unwrap();
    let order = world.state.take_orders().remove(0);
    world.pass(10);
    world.state.report(world.now, order.id, Outcome::StillUp);
    world.pass(0);
    assert_eq!(world.action(action), ActionStatus::Completed);
    assert_eq!(world.status(droplet), "active");
}

#[test]
fn an_action_can_fail() {
    let rule = ResourceRule::new(ResourceFault::ActionErrored).on_action("power_off");
    let mut world = World::with_fault(rule);
    let droplet = world.active();
    let action = world.act(droplet, ActionKind::PowerOff).unwrap();
    world.pass(5);
    assert_eq!(world.action(action), ActionStatus::Errored);
    assert_eq!(world.status(droplet), "active");
    world.act(droplet, ActionKind::Shutdown).unwrap();
    world.pass(10);
    assert_eq!(world.status(droplet), "off");
}

#[test]
fn an_action_that_is_rolled_back_shows_while_it_lasts() {
    let mut world = World::with_fault(ResourceRule::new(ResourceFault::ActionRolledBack));
    world.state.settings.delays.status = seconds(2);
    let droplet = world.active();
    let action = world.act(droplet, ActionKind::PowerOff).unwrap();
    assert_eq!(world.status(droplet), "off");
    world.pass(5);
    assert_eq!(world.action(action), ActionStatus::Errored);
    assert_eq!(world.status(droplet), "active");
}

#[test]
fn what_was_not_shown_yet_when_an_action_began_is_shown_when_it_is_rolled_back() {
    let mut world = World::with_fault(ResourceRule::new(ResourceFault::ActionRolledBack));
    world.state.settings.delays.status = seconds(2);
    let droplet = world.active();
    world.state.machine_stopped(world.now, droplet);
    world.act(droplet, ActionKind::Shutdown).unwrap();
    world.pass(30);
    assert_eq!(world.status(droplet), "off");
}

#[test]
fn orders_of_one_droplet_come_one_after_the_other() {
    let mut world = World::new();
    let (one, other) = (world.active(), world.active());
    world.machines_answer = false;
    let action = world.act(one, ActionKind::PowerCycle).unwrap();
    world.act(other, ActionKind::PowerOff).unwrap();
    let first = world.state.take_orders();
    assert_eq!(
        first.iter().map(|o| o.droplet).collect::<Vec<_>>(),
        [one, other]
    );
    assert!(world.state.take_orders().is_empty());
    world.state.report(world.now, first[0].id, Outcome::Done);
    let second = world.state.take_orders();
    assert!(matches!(second[0].work, Work::PowerOn));
    world.pass(5);
    assert_eq!(world.action(action), ActionStatus::InProgress);
    world.state.report(world.now, second[0].id, Outcome::Done);
    assert_eq!(world.action(action), ActionStatus::Completed);
}

#[test]
fn a_locked_droplet_is_left_alone() {
    let mut world = World::new();
    let droplet = world.active();
    assert!(world.state.lock_droplet(droplet, true));
    assert_eq!(
        said(world.act(droplet, ActionKind::PowerOff)),
        "Droplet is locked."
    );
    assert_eq!(said(world.delete(droplet)), "Droplet is locked.");
    world.state.lock_droplet(droplet, false);
    world.delete(droplet).unwrap();
}

#[test]
fn redundant_power_is_a_matter_of_policy() {
    let mut world = World::new();
    let droplet = world.off();
    world.act(droplet, ActionKind::PowerOff).unwrap();
    world.pass(5);
    world.state.settings.redundant_power = RedundantPower::Refuse;
    assert_eq!(
        said(world.act(droplet, ActionKind::PowerOff)),
        "Droplet is already off."
    );
    world.act(droplet, ActionKind::PowerOn).unwrap();
}

#[test]
fn a_machine_can_go_off_by_itself() {
    let mut world = World::new();
    let droplet = world.active();
    world.state.machine_stopped(world.now, droplet);
    world.pass(0);
    assert_eq!(world.status(droplet), "off");
    let (young, _) = world.create();
    world.state.machine_stopped(world.now, young);
    world.pass(20);
    assert_eq!(
        world.status(young),
        "active",
        "an action under way has the last word"
    );
}

#[test]
fn other_actions_change_what_they_are_about() {
    let mut world = World::new();
    let droplet = world.active();
    let mut done = |kind| {
        let action = world.act(droplet, kind).unwrap();
        world.pass(3);
        assert_eq!(world.action(action), ActionStatus::Completed);
        world.droplet(droplet).clone()
    };
    assert_eq!(
        done(ActionKind::Rename("new.name".to_owned())).name,
        "new.name"
    );
    assert!(done(ActionKind::EnableIpv6).ipv6.is_some());
    assert!(
        done(ActionKind::EnableBackups(BackupPolicy::default()))
            .backups
            .is_some()
    );
    assert_eq!(done(ActionKind::DisableBackups).backups, None);
    let snapshots = done(ActionKind::Snapshot(Some("kept".to_owned()))).snapshots;
    let image = world
        .state
        .images
        .find(&ImageRef::Id(snapshots[0]))
        .unwrap();
    assert_eq!((image.name.as_str(), image.min_disk), ("kept", 50));
    assert!(
        world
            .act(droplet, ActionKind::Rename("a_b".to_owned()))
            .is_err()
    );
}

#[test]
fn an_action_by_tag_takes_those_that_can() {
    let mut world = World::new();
    let idle = world.active();
    let (busy, _) = world.create();
    let request = Request::Simple(ActionKind::PowerOff);
    let begun = world
        .state
        .act_by_tag(world.now, "env:1", &request)
        .unwrap();
    assert_eq!(begun.len(), 1);
    assert_eq!(world.state.actions.get(begun[0]).unwrap().droplet, idle);
    assert_eq!(world.status(busy), "new");
    assert!(world.state.act_by_tag(world.now, "none", &request).is_err());
}
