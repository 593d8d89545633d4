//! Resizing.

use super::*;
use crate::settings::ResizeWhileOn;

/// Size, disk, and price of a droplet.
fn shape(world: &World, droplet: DropletId) -> (&'static str, u32, f64) {
    let droplet = world.droplet(droplet);
    (droplet.size.slug, droplet.disk, droplet.size.price_monthly)
}

#[test]
fn without_the_disk_there_is_a_way_back() {
    let mut world = World::new();
    let droplet = world.off();
    let action = world.resize(droplet, "s-4vcpu-8gb", false).unwrap();
    world.pass(59);
    assert_eq!(
        shape(&world, droplet),
        ("s-1vcpu-2gb", 50, 12.0),
        "not before it is done"
    );
    world.pass(1);
    assert_eq!(world.action(action), ActionStatus::Completed);
    assert_eq!(shape(&world, droplet), ("s-4vcpu-8gb", 50, 48.0));
    assert_eq!(world.status(droplet), "off", "it stays off");
    world.resize(droplet, "s-1vcpu-2gb", false).unwrap();
    world.pass(60);
    assert_eq!(shape(&world, droplet), ("s-1vcpu-2gb", 50, 12.0));
}

#[test]
fn with_the_disk_there_is_none() {
    let mut world = World::new();
    let droplet = world.off();
    world.resize(droplet, "s-2vcpu-4gb", true).unwrap();
    world.pass(60);
    assert_eq!(shape(&world, droplet), ("s-2vcpu-4gb", 80, 24.0));
    assert_eq!(
        said(world.resize(droplet, "s-1vcpu-2gb", false)),
        "Size can not decrease size of Droplet's disk image"
    );
}

#[test]
fn what_can_not_be_is_refused() {
    let mut world = World::new();
    let droplet = world.off();
    assert!(said(world.resize(droplet, "huge", false)).contains("invalid size"));
    assert!(said(world.resize(droplet, "s-1vcpu-2gb", false)).contains("already"));
    assert!(said(world.resize(droplet, "s-1vcpu-1gb", false)).contains("decrease"));
    let none = Request::Resize {
        size: None,
        disk: false,
    };
    assert!(said(world.request(droplet, &none)).contains("invalid size"));
    let mut wish = wish("far");
    wish.region = Some("blr1".to_owned());
    let far = world.try_create(&wish).unwrap()[0].0;
    world.pass(20);
    world.act(far, ActionKind::PowerOff).unwrap();
    world.pass(5);
    assert!(said(world.resize(far, "s-8vcpu-16gb", false)).contains("region"));
}

#[test]
fn while_it_is_on_policy_decides() {
    let mut world = World::new();
    let droplet = world.active();
    assert!(said(world.resize(droplet, "s-2vcpu-4gb", false)).contains("powered off"));
    world.state.settings.resize_while_on = ResizeWhileOn::PowerOff;
    world.machines_answer = false;
    world.resize(droplet, "s-2vcpu-4gb", false).unwrap();
    let first = world.state.take_orders().remove(0);
    assert!(matches!(first.work, Work::PowerOff), "{first:?}");
    world.state.report(world.now, first.id, Outcome::Done);
    let second = world.state.take_orders().remove(0);
    let Work::Resize(limits) = second.work else {
        panic!("{second:?}")
    };
    assert_eq!((limits.vcpus, limits.memory, limits.disk), (2, 4096, 50));
    world.state.report(world.now, second.id, Outcome::Done);
    world.pass(60);
    assert_eq!(world.status(droplet), "off");
    assert_eq!(shape(&world, droplet).0, "s-2vcpu-4gb");
}

#[test]
fn a_host_can_be_too_small() {
    let mut world = World::with_fault(ResourceRule::new(ResourceFault::ResizeRefused));
    let droplet = world.off();
    assert_eq!(
        said(world.resize(droplet, "s-2vcpu-4gb", false)),
        "Size is too large to fit on your droplet's server"
    );
    world.act(droplet, ActionKind::PowerOn).unwrap();
}

#[test]
fn an_errored_resize_can_have_been_undone() {
    let rule = ResourceRule::new(ResourceFault::ActionRolledBack).on_action("resize");
    let mut world = World::with_fault(rule);
    let droplet = world.off();
    let action = world.resize(droplet, "s-2vcpu-4gb", true).unwrap();
    assert_eq!(
        shape(&world, droplet),
        ("s-2vcpu-4gb", 80, 24.0),
        "while it lasts"
    );
    world.pass(60);
    assert_eq!(world.action(action), ActionStatus::Errored);
    assert_eq!(shape(&world, droplet), ("s-1vcpu-2gb", 50, 12.0));
}

#[test]
fn an_errored_resize_leaves_the_droplet_off() {
    let rule = ResourceRule::new(ResourceFault::ActionErrored).on_action("resize");
    let mut world = World::with_fault(rule);
    let droplet = world.off();
    let action = world.resize(droplet, "s-2vcpu-4gb", false).unwrap();
    world.pass(60);
    assert_eq!(world.action(action), ActionStatus::Errored);
    assert_eq!(shape(&world, droplet).0, "s-1vcpu-2gb");
    assert_eq!(world.status(droplet), "off");
}
