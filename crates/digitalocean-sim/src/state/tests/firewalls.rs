//! Firewalls, and what tags and projects do with droplets.

use super::*;
use crate::refusal::RefusalKind;

fn rule(ports: &str) -> RuleDraft {
    RuleDraft {
        protocol: Protocol::Tcp,
        ports: Some(ports.to_owned()),
        target: TargetDraft {
            addresses: vec!["0.0.0.0/0".to_owned()],
            ..TargetDraft::default()
        },
    }
}

fn draft(name: &str) -> FirewallDraft {
    FirewallDraft {
        name: name.to_owned(),
        inbound: vec![rule("22")],
        ..FirewallDraft::default()
    }
}

impl World {
    fn firewall(&self, id: FirewallId) -> &Firewall {
        self.state.firewalls.get(id).unwrap()
    }

    /// Status, and droplets with pending changes.
    fn spread_of(&self, id: FirewallId) -> (&'static str, Vec<(DropletId, bool)>) {
        let firewall = self.firewall(id);
        let pending = firewall.pending.iter().map(|(id, gone)| (*id, *gone));
        (firewall.status.name(), pending.collect())
    }

    fn try_firewall(&mut self, draft: &FirewallDraft) -> Result<FirewallId, Refusal> {
        self.state.create_firewall(self.now, draft)
    }
}

#[test]
fn a_change_reaches_every_droplet_and_is_through() {
    let mut world = World::new();
    let (one, other) = (world.active(), world.active());
    let mut wanted = draft("base");
    wanted.droplets = vec![one];
    let id = world.try_firewall(&wanted).unwrap();
    assert_eq!(world.spread_of(id), ("waiting", vec![(one, false)]));
    world.pass(2);
    assert_eq!(world.spread_of(id), ("succeeded", vec![]));
    world
        .state
        .assign_tags(world.now, id, &["env:1".to_owned()], true)
        .unwrap();
    assert_eq!(
        world.spread_of(id),
        ("waiting", vec![(one, false), (other, false)])
    );
    world.pass(2);
    world.delete(other).unwrap();
    world.pass(8);
    assert_eq!(world.spread_of(id), ("succeeded", vec![]));
}

#[test]
fn tagging_brings_droplets_in_and_untagging_takes_them_out() {
    let mut world = World::new();
    let droplet = world.active();
    world.state.tags.create("shielded").unwrap();
    let mut wanted = draft("base");
    wanted.tags = vec!["shielded".to_owned()];
    let id = world.try_firewall(&wanted).unwrap();
    world.pass(2);
    let resources = [TaggedResource::Droplet(droplet)];
    let (state, now) = (&mut world.state, world.now);
    state
        .tag_resources(now, "shielded", &resources, true)
        .unwrap();
    assert_eq!(world.spread_of(id), ("waiting", vec![(droplet, false)]));
    assert!(world.firewall(id).covers(world.droplet(droplet)));
    world.pass(2);
    let (state, now) = (&mut world.state, world.now);
    state
        .tag_resources(now, "shielded", &resources, false)
        .unwrap();
    assert_eq!(world.spread_of(id), ("waiting", vec![(droplet, true)]));
    world.pass(2);
    assert_eq!(world.spread_of(id), ("succeeded", vec![]));
    world.state.delete_tag(world.now, "shielded").unwrap();
    assert!(world.firewall(id).tags.is_empty());
}

#[test]
fn a_change_can_fail_and_the_next_one_not() {
    let fault = ResourceRule::new(ResourceFault::FirewallFailed);
    let fault = fault.when(crate::faults::When::nth(1));
    let mut world = World::with_fault(fault);
    let droplet = world.active();
    let mut wanted = draft("base");
    wanted.droplets = vec![droplet];
    let id = world.try_firewall(&wanted).unwrap();
    world.pass(2);
    assert_eq!(world.spread_of(id), ("failed", vec![(droplet, false)]));
    world
        .state
        .add_rules(world.now, id, &[rule("80")], &[])
        .unwrap();
    world.pass(2);
    assert_eq!(world.spread_of(id), ("succeeded", vec![]));
}

#[test]
fn a_change_on_top_of_a_change_takes_its_own_time() {
    let mut world = World::new();
    let droplet = world.active();
    let mut wanted = draft("base");
    wanted.droplets = vec![droplet];
    let id = world.try_firewall(&wanted).unwrap();
    world.pass(1);
    let (state, now) = (&mut world.state, world.now);
    state.add_rules(now, id, &[rule("80")], &[]).unwrap();
    world.pass(1);
    assert_eq!(world.spread_of(id), ("waiting", vec![(droplet, false)]));
    world.pass(1);
    assert_eq!(world.spread_of(id), ("succeeded", vec![]));
}

#[test]
fn limits_are_kept() {
    let mut world = World::new();
    world.state.settings.droplet_limit = 20;
    let droplets: Vec<_> = (0..11).map(|_| world.create().0).collect();
    let tags: Vec<_> = (0..6).map(|n| format!("t{n}")).collect();
    for tag in &tags {
        world.state.tags.create(tag).unwrap();
    }
    let mut wanted = draft("base");
    wanted.droplets = droplets.clone();
    assert_eq!(
        said(world.try_firewall(&wanted)),
        "must have no more than 10 droplets"
    );
    wanted.droplets.pop();
    wanted.tags = tags.clone();
    assert_eq!(
        said(world.try_firewall(&wanted)),
        "must have no more than 5 tags"
    );
    wanted.tags.pop();
    wanted.inbound = (1..=51).map(|port: u16| rule(&port.to_string())).collect();
    assert_eq!(
        said(world.try_firewall(&wanted)),
        "must have no more than 50 rules"
    );
    wanted.inbound.pop();
    let id = world.try_firewall(&wanted).unwrap();
    let (state, now) = (&mut world.state, world.now);
    assert!(
        state
            .assign_droplets(now, id, &droplets[..10], true)
            .is_ok()
    );
    assert!(
        state
            .assign_droplets(now, id, &droplets[10..], true)
            .is_err()
    );
    assert!(state.assign_tags(now, id, &tags[5..], true).is_err());
    assert!(state.add_rules(now, id, &[], &[rule("99")]).is_err());
    assert!(state.remove_rules(now, id, &[rule("1")], &[]).is_ok());
    assert!(state.add_rules(now, id, &[], &[rule("99")]).is_ok());
}

#[test]
fn what_is_wrong_is_named() {
    let mut world = World::new();
    world.try_firewall(&draft("base")).unwrap();
    let refusal = world.try_firewall(&draft("base")).unwrap_err();
    assert_eq!(
        (refusal.kind, refusal.message.as_str()),
        (RefusalKind::Conflict, "duplicate name")
    );
    for name in ["", "a", "-ab", "a b"] {
        assert_eq!(
            said(world.try_firewall(&draft(name))),
            "invalid name",
            "{name}"
        );
    }
    let mut refused = |change: &dyn Fn(&mut FirewallDraft)| {
        let mut wanted = draft("other");
        change(&mut wanted);
        said(world.try_firewall(&wanted))
    };
    assert_eq!(
        refused(&|d| d.tags = vec!["nix".into()]),
        "tag nix does not exist"
    );
    assert_eq!(
        refused(&|d| d.inbound[0].target.tags = vec!["nix".into()]),
        "tag nix does not exist"
    );
    assert_eq!(
        refused(&|d| d.droplets = vec![DropletId(1)]),
        "droplet 1 does not exist"
    );
    assert_eq!(
        refused(&|d| d.inbound.clear()),
        "must have at least one rule"
    );
    assert_eq!(refused(&|d| d.inbound.push(rule("22"))), "duplicate rule");
    assert_eq!(refused(&|d| d.inbound[0].ports = None), "invalid ports");
    assert_eq!(
        refused(&|d| d.inbound[0].target.addresses = vec!["x".into()]),
        "invalid address"
    );
    assert!(refused(&|d| d.inbound[0].target.addresses.clear()).contains("at least one source"));
}

#[test]
fn replacing_forgets_what_is_not_said_and_rules_go_by_value() {
    let mut world = World::new();
    let droplet = world.active();
    let mut wanted = draft("base");
    wanted.droplets = vec![droplet];
    let id = world.try_firewall(&wanted).unwrap();
    world.pass(2);
    let mut replaced = draft("base");
    replaced.inbound = vec![rule("all"), rule("443")];
    world
        .state
        .replace_firewall(world.now, id, &replaced)
        .unwrap();
    assert_eq!(world.spread_of(id), ("waiting", vec![(droplet, true)]));
    assert_eq!(world.firewall(id).rules.inbound[0].ports, "0");
    let (state, now) = (&mut world.state, world.now);
    state.remove_rules(now, id, &[rule("0")], &[]).unwrap();
    assert_eq!(
        said(state.remove_rules(now, id, &[rule("0")], &[])),
        "rule does not exist"
    );
    assert_eq!(world.firewall(id).rules.inbound.len(), 1);
}

#[test]
fn projects_tell_what_became_of_each_resource() {
    let mut world = World::with_fault(
        ResourceRule::new(ResourceFault::ProjectServiceDown).when(crate::faults::When::nth(3)),
    );
    let droplet = world.active();
    let wanted = ProjectChange {
        name: Some("agents".to_owned()),
        purpose: Some("tools".to_owned()),
        ..ProjectChange::default()
    };
    let (state, now) = (&mut world.state, world.now);
    let project = state.create_project(now, wanted.clone()).unwrap().clone();
    assert_eq!(project.purpose, "Other: tools");
    assert_eq!(
        state.create_project(now, wanted).unwrap_err().kind,
        RefusalKind::Conflict
    );
    let urn = format!("do:droplet:{droplet}");
    let mut assign = |urn: &str| {
        let assigned = state.assign(now, project.id, vec![urn.to_owned()]);
        assigned.map(|all| format!("{:?}", all[0].status))
    };
    assert_eq!(assign(&urn).unwrap(), "Assigned");
    assert_eq!(assign(&urn).unwrap(), "AlreadyAssigned");
    assert_eq!(assign(&urn).unwrap(), "ServiceDown");
    assert_eq!(assign("do:droplet:1").unwrap(), "NotFound");
    assert_eq!(assign("do:volume:1").unwrap(), "NotFound");
    assert!(assign("droplet:1").is_err());
    assert_eq!(
        state.delete_project(project.id).unwrap_err().kind,
        RefusalKind::PreconditionFailed
    );
    assert_eq!(state.project_resources(project.id).unwrap().len(), 1);
    world.delete(droplet).unwrap();
    world.pass(8);
    world.state.delete_project(project.id).unwrap();
    let default = world.state.projects.default_id();
    assert!(world.state.delete_project(default).is_err());
}
