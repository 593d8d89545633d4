//! What is let in, and when it is written.

use agentopia_domain::Ambient;
use agentopia_domain::direct_access::{DirectAccess, PortProtocol, Sources};
use agentopia_domain::instance::RuntimeDetails;
use chrono::TimeDelta;

use super::*;
use crate::testing;

const EVERY_WISH: [DesiredInstance; 3] = [
    DesiredInstance::Running,
    DesiredInstance::Stopped,
    DesiredInstance::Removed { purge_data: false },
];

fn access(sources: &str) -> DirectAccess {
    DirectAccess {
        port: 8080,
        protocols: [PortProtocol::Tcp].into(),
        sources: Sources::parse([sources]).unwrap(),
    }
}

fn instance(desired: DesiredInstance, status: InstanceStatus) -> Instance {
    Instance {
        direct_access: Some(access("10.0.0.0/8")),
        desired,
        status,
        runtime: RuntimeDetails {
            port: Some(30_100),
            ..RuntimeDetails::default()
        },
        ..testing::instance()
    }
}

fn open(sources: &str) -> BTreeSet<OpenPort> {
    access(sources).on(30_100).collect()
}

#[test]
fn only_a_tool_that_runs_is_let_in_and_one_that_comes_back_stays_so() {
    let before = open("10.0.0.0/8");
    for desired in EVERY_WISH {
        for status in InstanceStatus::ALL {
            let one = instance(desired, status);
            let is_wanted = desired == DesiredInstance::Running;
            let runs = is_wanted && status == InstanceStatus::Running;
            let comes_back = is_wanted
                && matches!(
                    status,
                    InstanceStatus::PendingStart | InstanceStatus::Starting
                );
            let fresh = wanted([&one], None);
            assert_eq!(fresh == before, runs, "{desired:?} {status:?}");
            let kept = wanted([&one], Some(&before));
            assert_eq!(kept == before, runs || comes_back, "{desired:?} {status:?}");
            assert!(kept.is_empty() || kept == before);
        }
    }
}

#[test]
fn fewer_sources_hold_at_once_and_more_when_it_runs_again() {
    let before = open("10.0.0.0/8");
    let mut one = instance(DesiredInstance::Running, InstanceStatus::PendingStart);
    one.direct_access = Some(access("10.1.0.0/16"));
    assert!(wanted([&one], Some(&before)).is_empty());
    one.status = InstanceStatus::Running;
    assert_eq!(wanted([&one], Some(&before)), open("10.1.0.0/16"));
}

#[test]
fn a_tool_without_a_grant_or_a_port_is_never_let_in() {
    let mut without_grant = instance(DesiredInstance::Running, InstanceStatus::Running);
    without_grant.direct_access = None;
    let mut without_port = instance(DesiredInstance::Running, InstanceStatus::Running);
    without_port.runtime.port = None;
    assert!(wanted([&without_grant, &without_port], None).is_empty());
}

#[test]
fn the_provider_is_asked_when_there_is_something_to_do_and_now_and_then() {
    let now = Ambient::system().now();
    let ago = |duration: Duration| now - TimeDelta::from_std(duration).unwrap();
    let some = || open("10.0.0.0/8");
    let written = |ports: BTreeSet<OpenPort>, machine: &str, at| {
        Some(FirewallRecord::Written {
            machine_id: Some(machine.to_owned()),
            ports,
            at,
        })
    };
    let unsure = |problem: Option<&str>, at| {
        Some(FirewallRecord::Unsure {
            problem: problem.map(str::to_owned),
            at,
        })
    };
    let none = BTreeSet::new;
    let asks = |record: &Option<FirewallRecord>, wanted: BTreeSet<OpenPort>| {
        decide(record.as_ref(), wanted, Some("7"), now) != Act::Rest
    };
    assert!(!asks(&None, none()), "never needed one");
    assert!(asks(&None, some()));
    assert!(!asks(&written(some(), "7", now), some()));
    assert!(asks(&written(some(), "7", now), none()), "closing");
    assert!(asks(&written(some(), "6", now), some()), "another machine");
    assert!(asks(&written(some(), "7", ago(RECHECK)), some()), "drift");
    let ahead = now + TimeDelta::hours(1);
    assert!(
        asks(&written(some(), "7", ahead), some()),
        "a clock went back"
    );
    assert!(!asks(&written(none(), "6", ago(RECHECK * 9)), none()));
    assert!(asks(&unsure(None, now), none()), "a write was cut off");
    assert!(!asks(&unsure(Some("no"), now), some()), "it just failed");
    assert!(asks(&unsure(Some("no"), ago(RETRY)), none()));
}
