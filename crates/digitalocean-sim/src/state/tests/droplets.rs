//! Droplets come and go.

use super::*;
use crate::faults::When;

#[test]
fn a_droplet_is_new_then_active_then_has_an_address() {
    let mut world = World::new();
    world.state.settings.delays.address = seconds(4);
    let (droplet, action) = world.create();
    assert_eq!(world.status(droplet), "new");
    assert!(!world.droplet(droplet).has_networks());
    world.pass(19);
    assert_eq!(world.action(action), ActionStatus::InProgress);
    world.pass(1);
    assert_eq!(world.action(action), ActionStatus::Completed);
    assert_eq!(world.status(droplet), "active");
    assert_eq!(world.droplet(droplet).public_address(), None);
    world.pass(4);
    assert_eq!(world.droplet(droplet).public_address(), Some(address()));
}

#[test]
fn the_same_wish_twice_makes_two_droplets() {
    let mut world = World::new();
    let (first, _) = world.create();
    let (second, _) = world.create();
    assert_eq!(world.listed(Filter::Name("WEB")), [first, second]);
    assert_eq!(world.listed(Filter::Tag("env:1")), [first, second]);
    assert_eq!(world.listed(Filter::Tag("ENV:1")), []);
}

#[test]
fn what_is_wrong_is_named_and_nothing_is_made() {
    let mut world = World::new();
    let mut refused = |change: &dyn Fn(&mut CreateDroplets)| {
        let mut wish = wish("web");
        change(&mut wish);
        said(world.try_create(&wish))
    };
    let hostname = "Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)";
    for name in ["a_b", "ü", "a b", "web-", "web."] {
        assert_eq!(
            refused(&|w| w.names = vec![name.to_owned()]),
            hostname,
            "{name}"
        );
    }
    assert!(refused(&|w| w.names = vec!["x".repeat(256)]).contains("too long"));
    assert!(refused(&|w| w.names.clear()).contains("blank"));
    assert!(refused(&|w| w.names = vec!["x".into(); 11]).contains("up to 10"));
    assert!(refused(&|w| w.size = "huge".into()).contains("invalid size"));
    assert!(refused(&|w| w.size = "512mb".into()).contains("invalid size"));
    assert!(refused(&|w| w.image = ImageRef::Slug("dos".into())).contains("invalid image"));
    assert!(refused(&|w| w.region = Some("mars1".into())).contains("invalid region"));
    assert_eq!(
        refused(&|w| w.region = Some("nyc2".into())),
        "Region is not available"
    );
    assert_eq!(
        refused(&|w| w.size = "s-1vcpu-512mb-10gb".into()),
        "Size is not available in this region."
    );
    assert!(refused(&|w| w.tags = vec!["a b".into()]).contains("letters"));
    assert!(refused(&|w| w.user_data = Some("x".repeat(65_537).into())).contains("64 KiB"));
    assert!(refused(&|w| w.ssh_keys = vec![KeyRef::Id(KeyId(1))]).contains("invalid key"));
    assert!(refused(&|w| w.volumes = vec!["v".into()]).contains("Volume"));
    assert_eq!(world.listed(Filter::All), []);
    assert_eq!(world.state.tags.all().count(), 0);
}

#[test]
fn everything_that_is_just_right_is_taken() {
    let mut world = World::new();
    let mut wish = wish("a.b-C9");
    wish.names = vec!["x".repeat(255), "a.b-C9".to_owned()];
    wish.user_data = Some("x".repeat(65_536).into());
    wish.region = Some("nyc".to_owned());
    let made = world.try_create(&wish).unwrap();
    assert_eq!(made.len(), 2);
    assert_eq!(world.droplet(made[0].0).region.slug, "nyc1");
}

#[test]
fn the_limit_counts_what_exists() {
    let mut world = World::new();
    world.state.settings.droplet_limit = 2;
    let droplet = world.active();
    let mut two = wish("web");
    two.names.push("web".to_owned());
    let limit = "creating this/these droplet(s) will exceed your droplet limit";
    assert_eq!(said(world.try_create(&two)), limit);
    world.create();
    assert_eq!(said(world.try_create(&wish("web"))), limit);
    world.delete(droplet).unwrap();
    assert_eq!(said(world.try_create(&wish("web"))), limit, "it lingers");
    world.pass(8);
    world.create();
}

#[test]
fn a_deleted_droplet_lingers_and_is_gone() {
    let mut world = World::new();
    let droplet = world.active();
    world.delete(droplet).unwrap();
    assert_eq!(said(world.delete(droplet)), PENDING);
    world.pass(7);
    assert!(world.exists(droplet));
    assert_eq!(world.listed(Filter::All), [droplet]);
    world.pass(1);
    assert!(!world.exists(droplet));
    assert_eq!(world.listed(Filter::All), []);
    assert_eq!(world.delete(droplet), Err(Refusal::not_found()));
    let last = world.state.actions.all().next().unwrap();
    assert_eq!(
        (last.kind.name(), last.status),
        ("destroy", ActionStatus::Completed)
    );
}

#[test]
fn a_droplet_that_is_being_made_can_not_be_deleted() {
    let mut world = World::new();
    let (droplet, _) = world.create();
    assert_eq!(said(world.delete(droplet)), PENDING);
    world.pass(20);
    world.delete(droplet).unwrap();
}

#[test]
fn lists_lag_and_reading_by_id_does_not() {
    let mut world = World::new();
    world.state.settings.delays.tag_list = seconds(5);
    let droplet = world.active();
    assert_eq!(world.listed(Filter::Tag("env:1")), [droplet]);
    let (second, _) = world.create();
    assert_eq!(world.listed(Filter::All), [droplet, second]);
    assert_eq!(world.listed(Filter::Tag("env:1")), [droplet]);
    world.delete(droplet).unwrap();
    world.pass(8);
    assert!(!world.exists(droplet));
    assert_eq!(world.listed(Filter::All), [second]);
    assert_eq!(world.listed(Filter::Tag("env:1")), [droplet, second]);
    world.pass(5);
    assert_eq!(world.listed(Filter::Tag("env:1")), [second]);
}

#[test]
fn deletion_by_tag_leaves_the_busy_behind() {
    let mut world = World::new();
    let idle = world.active();
    let (busy, _) = world.create();
    assert_eq!(
        world.state.delete_by_tag(world.now, "none"),
        Err(Refusal::not_found())
    );
    world.state.delete_by_tag(world.now, "env:1").unwrap();
    world.settle();
    world.pass(8);
    assert!(!world.exists(idle) && world.exists(busy));
}

#[test]
fn one_that_is_stuck_stays_new_and_can_be_deleted() {
    let mut world = World::with_fault(ResourceRule::new(ResourceFault::StuckNew));
    let (droplet, action) = world.create();
    world.pass(1_000_000);
    assert_eq!(world.status(droplet), "new");
    assert_eq!(world.action(action), ActionStatus::InProgress);
    assert_eq!(said(world.act(droplet, ActionKind::PowerOff)), PENDING);
    world.delete(droplet).unwrap();
    world.pass(8);
    assert!(!world.exists(droplet));
    assert_eq!(world.action(action), ActionStatus::Errored);
}

#[test]
fn one_vanishes_and_its_machine_with_it() {
    let rule = ResourceRule::new(ResourceFault::Vanish).after(seconds(3));
    let mut world = World::with_fault(rule.when(When::nth(1)));
    let (droplet, action) = world.create();
    world.machines_answer = false;
    world.pass(3);
    assert!(!world.exists(droplet));
    assert_eq!(world.action(action), ActionStatus::Errored);
    let orders = world.state.take_orders();
    assert!(matches!(orders[0].work, Work::Destroy), "{orders:?}");
    world.machines_answer = true;
    world.active();
}

#[test]
fn an_emoji_in_user_data_makes_it_vanish() {
    let mut world = World::new();
    let mut wish = wish("web");
    wish.user_data = Some("#cloud-config # 🚀".into());
    let droplet = world.try_create(&wish).unwrap()[0].0;
    world.pass(20);
    assert!(!world.exists(droplet));
    wish.user_data = Some("#cloud-config # ü".into());
    let droplet = world.try_create(&wish).unwrap()[0].0;
    world.pass(1000);
    assert!(world.exists(droplet));
}

#[test]
fn a_failed_creation_stays_new_and_can_be_deleted() {
    let mut world = World::with_fault(ResourceRule::new(ResourceFault::CreateErrored));
    let (droplet, action) = world.create();
    world.pass(20);
    assert_eq!(world.action(action), ActionStatus::Errored);
    assert_eq!(world.status(droplet), "new");
    assert!(world.act(droplet, ActionKind::PowerOn).is_err());
    world.delete(droplet).unwrap();
}

#[test]
fn an_address_can_be_late() {
    let rule = ResourceRule::new(ResourceFault::IpLate).after(seconds(300));
    let mut world = World::with_fault(rule);
    let droplet = world.active();
    world.pass(299);
    assert_eq!(world.droplet(droplet).public_address(), None);
    world.pass(1);
    assert!(world.droplet(droplet).public_address().is_some());
}

#[test]
fn a_list_can_lag_for_one_droplet() {
    let rule = ResourceRule::new(ResourceFault::ListLag).after(seconds(40));
    let mut world = World::with_fault(rule.tagged("env:1"));
    let (droplet, _) = world.create();
    world.pass(39);
    assert_eq!(world.listed(Filter::All), []);
    assert_eq!(world.listed(Filter::Tag("env:1")), []);
    assert_eq!(world.status(droplet), "active");
    world.pass(1);
    assert_eq!(world.listed(Filter::Tag("env:1")), [droplet]);
}

#[test]
fn a_survivor_survives_once() {
    let rule = ResourceRule::new(ResourceFault::Survivor);
    let mut world = World::with_fault(rule.when(When::always().at_most(1)));
    let droplet = world.active();
    world.delete(droplet).unwrap();
    world.pass(1000);
    assert_eq!(world.status(droplet), "active");
    world.delete(droplet).unwrap();
    world.pass(8);
    assert!(!world.exists(droplet));
}

#[test]
fn a_machine_that_can_not_be_made_or_removed_is_an_errored_action() {
    let mut world = World::new();
    world.machines_answer = false;
    let (droplet, action) = world.create();
    let boot = world.state.take_orders().remove(0);
    world.pass(20);
    assert_eq!(
        world.action(action),
        ActionStatus::InProgress,
        "its machine is slow"
    );
    world.state.report(world.now, boot.id, Outcome::Failed);
    assert_eq!(world.action(action), ActionStatus::Errored);
    world.delete(droplet).unwrap();
    let destroy = world.state.take_orders().remove(0);
    world.pass(8);
    world.state.report(world.now, destroy.id, Outcome::Failed);
    assert!(world.exists(droplet), "it still runs");
    world.machines_answer = true;
    world.delete(droplet).unwrap();
    world.pass(8);
    assert!(!world.exists(droplet));
}
