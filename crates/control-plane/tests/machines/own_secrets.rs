//! The secrets that links carry (AGT-6): which machine gets them, and for how long it may use them.

use std::collections::BTreeMap;

use agentopia_domain::InstanceId;
use agentopia_domain::link::{Link, LinkPolicy};
use agentopia_domain::name::Name;
use agentopia_dtma_api::to_control_plane::OwnSecretsUse;
use agentopia_dtma_api::to_dtma::OwnCredentials;
use agentopia_store::{EventFilter, EventScope, LinkPatch, NewAgent, NewLink};
use secrecy::ExposeSecret as _;

use crate::foreign::{CANARY, deploy};
use crate::installation::{Installation, Machine, refused};

/// A tool on the machine, and a link to it that carries what the tool reads itself.
async fn linked(at: &Installation, machine: &Machine) -> (InstanceId, Link) {
    let tool = deploy(at, machine).await;
    let agent = NewAgent {
        id: at.ambient.new_id(),
        account_id: machine.account,
        name: Name::parse("helper").unwrap(),
        description: String::new(),
        search_mode: false,
        calls_per_day: None,
    };
    let agent = at.store.agents().create(agent, &[]).await.unwrap();
    let link = NewLink {
        id: at.ambient.new_id(),
        account_id: machine.account,
        agent_id: agent.id,
        instance_id: tool.id,
        enabled: true,
        policy: LinkPolicy::default(),
        secrets: tool.secrets.clone(),
    };
    let link = at.store.links().create(link, &[]).await.unwrap();
    (tool.id, link)
}

fn usage(instance_id: InstanceId, link: &Link) -> OwnSecretsUse {
    OwnSecretsUse {
        instance_id,
        own: OwnCredentials {
            link: link.id,
            revision: link.credentials().unwrap(),
        },
    }
}

#[tokio::test]
async fn a_machine_gets_the_secrets_of_links_to_its_own_instances_only() {
    let at = Installation::start().await;
    let (own, other) = (at.machine("a@b.c").await, at.machine("d@e.f").await);
    let (tool, link) = linked(&at, &own).await;
    let (tool_of_other, _) = linked(&at, &other).await;
    let wanted = usage(tool, &link);

    let reply = at.client(&own).own_secrets(&wanted).await.unwrap();
    assert_eq!(reply.env["ECHO_SECRET"].expose_secret(), CANARY);
    let events = at.store.events();
    let scope = EventScope::Account(own.account);
    let told = events.after(scope, &EventFilter::default(), 0, 100).await;
    let told = format!("{:?}", told.unwrap());
    assert!(told.contains("secret.fetched") && told.contains("ECHO_SECRET"));
    assert!(!told.contains(CANARY));

    // Neither another machine, nor for another instance, nor a link that is not there.
    let elsewhere = usage(tool_of_other, &link);
    let mut unknown = wanted.clone();
    unknown.own.link = at.ambient.new_id();
    for (machine, wanted) in [
        (&other, &wanted),
        (&other, &elsewhere),
        (&own, &elsewhere),
        (&own, &unknown),
    ] {
        let client = at.client(machine);
        assert_eq!(refused(client.own_secrets(wanted).await), "not_found");
        let over = client.own_secrets_over(std::slice::from_ref(wanted)).await;
        assert_eq!(over.unwrap(), std::slice::from_ref(wanted));
    }
}

#[tokio::test]
async fn a_use_is_over_when_the_link_is_off_or_carries_something_else() {
    let at = Installation::start().await;
    let own = at.machine("a@b.c").await;
    let (tool, link) = linked(&at, &own).await;
    let client = at.client(&own);
    let first = usage(tool, &link);
    let over = async |one: &OwnSecretsUse| {
        let over = client.own_secrets_over(std::slice::from_ref(one)).await;
        !over.unwrap().is_empty()
    };
    let links = at.store.links();
    let change = async |patch| {
        let changed = links.update(own.account, link.id, patch, &[]);
        changed.await.unwrap().value
    };
    assert!(!over(&first).await);

    let switch = |enabled| LinkPatch {
        enabled: Some(enabled),
        ..LinkPatch::default()
    };
    change(switch(false)).await;
    assert!(over(&first).await);
    assert_eq!(refused(client.own_secrets(&first).await), "not_found");
    change(switch(true)).await;
    assert!(!over(&first).await);

    // A new value: what has the one before is over.
    let secret = link.secrets["ECHO_SECRET"];
    let secrets = at.store.secrets();
    secrets
        .set_value(own.account, secret.id, secret.revision, vec![1], &[])
        .await
        .unwrap();
    assert!(over(&first).await);
    let second = usage(tool, &links.get_unscoped(link.id).await.unwrap());
    assert!(!over(&second).await);

    let none = LinkPatch {
        secrets: Some(BTreeMap::new()),
        ..LinkPatch::default()
    };
    change(none).await;
    assert!(over(&second).await);
    assert_eq!(refused(client.own_secrets(&second).await), "not_found");
    links.delete(own.account, link.id, &[]).await.unwrap();
    assert!(over(&second).await);

    let many = vec![second; 1_001];
    assert_eq!(
        refused(client.own_secrets_over(&many).await),
        "too_many_uses"
    );
}
