//! Who belongs to whom.

use agentopia_domain::environment::{DesiredEnvironment, ProviderKind};
use agentopia_domain::{Ambient, OrphanId};

use super::*;
use EnvironmentStatus as S;

fn environment(id: EnvironmentId, status: S, machine: Option<&str>) -> Environment {
    let now = DateTime::UNIX_EPOCH;
    Environment {
        id,
        account_id: id.as_uuid().into(),
        provider: ProviderKind::Digitalocean,
        desired: DesiredEnvironment::Enabled,
        generation: 1,
        status,
        status_since: now,
        machine_id: machine.map(str::to_owned),
        ip_address: None,
        dtma_port: None,
        region: None,
        size: None,
        image: None,
        scaling: None,
        notice: None,
        firewall: None,
        monthly_price_cents: None,
        machine_disk_bytes: None,
        provider_created_at: None,
        last_heartbeat_at: None,
        error_message: None,
        dtma_version: None,
        capacity: None,
        runtime: None,
        created_at: now,
        updated_at: now,
    }
}

fn found(kind: ProviderThing, environment: Option<EnvironmentId>) -> Found {
    Found {
        kind,
        id: "4711".to_owned(),
        name: "a".to_owned(),
        environment,
        monthly_price_cents: Some(1200),
        created_at: None,
    }
}

#[test]
fn nothing_that_may_be_under_way_is_an_orphan() {
    let id = Ambient::system().new_id();
    for status in S::ALL {
        for (machine, expected) in [
            (Some("4711"), None),
            (None, None),
            (Some("4712"), Some(OrphanReason::Duplicate)),
        ] {
            let known = HashMap::from([(id, environment(id, status, machine))]);
            let serves = status.serves();
            let gone = matches!(status, S::Deleted | S::ErrorCreation);
            let leftover = gone.then_some(OrphanReason::Leftover);
            let machine = found(ProviderThing::Machine, Some(id));
            let expected = if serves { expected } else { leftover };
            assert_eq!(orphaned(&machine, &known), expected, "{status:?}");
            let firewall = found(ProviderThing::Firewall, Some(id));
            assert_eq!(orphaned(&firewall, &known), leftover, "{status:?}");
        }
    }
    let nobody = HashMap::new();
    for kind in [ProviderThing::Machine, ProviderThing::Firewall] {
        assert_eq!(
            orphaned(&found(kind, Some(id)), &nobody),
            Some(OrphanReason::UnknownEnvironment)
        );
    }
    let unmarked = found(ProviderThing::Machine, None);
    assert_eq!(orphaned(&unmarked, &nobody), Some(OrphanReason::Unmarked));
}

#[test]
fn only_what_proves_to_be_ours_goes_and_only_after_a_while_and_when_told_to() {
    let now = DateTime::UNIX_EPOCH + TimeDelta::days(1);
    let orphan = |reason, age| Orphan {
        id: OrphanId::from(uuid::Uuid::nil()),
        kind: ProviderThing::Machine,
        provider_id: "4711".to_owned(),
        name: "a".to_owned(),
        environment_id: None,
        reason,
        monthly_price_cents: None,
        provider_created_at: None,
        first_seen_at: now - age,
        last_seen_at: now,
        removal_requested_at: None,
    };
    let (short, long) = (TimeDelta::minutes(29), TimeDelta::minutes(31));
    use OrphanReason as R;
    for reason in [R::UnknownEnvironment, R::Leftover, R::Duplicate] {
        assert!(may_go(&orphan(reason, long), OrphanPolicy::Remove, now));
        assert!(!may_go(&orphan(reason, short), OrphanPolicy::Remove, now));
        assert!(!may_go(&orphan(reason, long), OrphanPolicy::Report, now));
    }
    assert!(!may_go(
        &orphan(R::Unmarked, long),
        OrphanPolicy::Remove,
        now
    ));
}
