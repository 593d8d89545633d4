//! Agents and links.

use std::num::NonZeroU32;

use std::collections::BTreeMap;

use agentopia_domain::link::LinkPolicy;
use agentopia_domain::page::PageRequest;
use agentopia_domain::token::{TokenKind, TokenSubject};
use agentopia_store::{AgentPatch, LinkFilter, LinkPatch, NewApiToken, StoreError};
use futures::future::join_all;

use crate::common::{TestDb, on_both_engines};
use crate::fixtures::{assert_refused, event, name};

on_both_engines!(
    an_agent_lives_and_takes_links_and_tokens_with_it,
    a_link_is_unique_and_keeps_its_times,
    names_once_shown_stay_whoever_came_first,
    other_accounts_see_nothing,
);

async fn an_agent_lives_and_takes_links_and_tokens_with_it(db: TestDb) {
    let account = db.account("a@b.c").await;
    let agents = db.store.agents();
    let made = db.agent(account, "helper").await;
    let second = db.agent(account, "second").await;
    assert_eq!(
        agents.by_name(account, &name("helper")).await.unwrap(),
        made
    );
    let taken = AgentPatch {
        name: Some(name("second")),
        ..AgentPatch::default()
    };
    assert_refused!(
        agents
            .update(account, made.id, taken, &[event(account, "x")])
            .await,
        StoreError::Duplicate {
            what: "agent",
            field: "name"
        },
    );
    let patch = AgentPatch {
        name: None,
        description: Some("Else.".into()),
        search_mode: Some(true),
        calls_per_day: Some(NonZeroU32::new(100)),
    };
    let changed = agents.update(account, made.id, patch, &[]).await.unwrap();
    assert_eq!(
        (changed.name.as_str(), changed.description.as_str()),
        ("helper", "Else.")
    );
    assert!(!made.search_mode && changed.search_mode);
    assert_eq!(
        (made.calls_per_day, changed.calls_per_day),
        (None, NonZeroU32::new(100))
    );
    let no_limit = AgentPatch {
        calls_per_day: Some(None),
        ..AgentPatch::default()
    };
    let changed = agents
        .update(account, made.id, no_limit, &[])
        .await
        .unwrap();
    assert!(changed.search_mode && changed.calls_per_day.is_none());

    let instance = db.instance(account, "echo").await;
    let link = db.link(account, made.id, instance.id).await.unwrap();
    let hash = db.token(TokenKind::Agent);
    let token = NewApiToken {
        id: db.id(),
        account_id: account,
        user_id: account.as_uuid().into(),
        name: name("token"),
        subject: TokenSubject::Agent(made.id),
        expires_at: None,
        hash,
    };
    db.store.api_tokens().create(token, &[]).await.unwrap();
    agents
        .delete(account, made.id, &[event(account, "agent.deleted")])
        .await
        .unwrap();
    assert_refused!(
        agents.get(account, made.id).await,
        StoreError::NotFound { .. }
    );
    assert_refused!(
        db.store.links().get(account, link.id).await,
        StoreError::NotFound { .. }
    );
    assert_eq!(
        db.store.api_tokens().by_hash_unscoped(hash).await.unwrap(),
        None
    );
    assert_eq!(
        agents
            .list(account, PageRequest::default())
            .await
            .unwrap()
            .items,
        [second]
    );
    assert_eq!(db.kinds().await, ["agent.deleted"]);
}

async fn a_link_is_unique_and_keeps_its_times(db: TestDb) {
    let account = db.account("a@b.c").await;
    let agent = db.agent(account, "helper").await.id;
    let instance = db.instance(account, "echo").await.id;
    let calls = (0..10).map(|_| {
        let db = db.clone();
        tokio::spawn(async move { db.link(account, agent, instance).await })
    });
    let mut made = Vec::new();
    for outcome in join_all(calls).await {
        match outcome.unwrap() {
            Ok(link) => made.push(link),
            Err(StoreError::Duplicate { what: "link", .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    let [link] = made.as_slice() else {
        panic!("{made:?}")
    };
    assert!(link.enabled && link.activated_at == Some(db.ambient.now()));

    let links = db.store.links();
    let switch = async |on| {
        let patch = LinkPatch {
            enabled: Some(on),
            policy: None,
            ..LinkPatch::default()
        };
        links
            .update(account, link.id, patch, &[event(account, "link.changed")])
            .await
            .unwrap()
    };
    db.clock.advance(std::time::Duration::from_secs(5));
    assert!(!switch(true).await.changed, "the time of activation stays");
    let off = switch(false).await.value;
    assert_eq!(off.deactivated_at, Some(db.ambient.now()));
    assert_eq!(off.activated_at, link.activated_at);
    db.clock.advance(std::time::Duration::from_secs(5));
    let on = switch(true).await.value;
    assert_eq!(on.activated_at, Some(db.ambient.now()));
    assert_eq!(db.kinds().await.len(), 2);

    let policy = LinkPolicy {
        allowed_tools: Some(vec!["echo".into()]),
        renamed_tools: BTreeMap::from([("echo".into(), "say".into())]),
        described_tools: BTreeMap::from([("echo".into(), "Says it".into())]),
        always_prefix: true,
    };
    let patch = LinkPatch {
        enabled: None,
        policy: Some(policy.clone()),
        ..LinkPatch::default()
    };
    links.update(account, link.id, patch, &[]).await.unwrap();
    assert_eq!(links.get(account, link.id).await.unwrap().policy, policy);
    links.delete(account, link.id, &[]).await.unwrap();
    assert_refused!(
        links.delete(account, link.id, &[]).await,
        StoreError::NotFound { .. }
    );
}

async fn names_once_shown_stay_whoever_came_first(db: TestDb) {
    let account = db.account("a@b.c").await;
    let agent = db.agent(account, "helper").await.id;
    let link = db
        .link(account, agent, db.instance(account, "echo").await.id)
        .await
        .unwrap()
        .id;
    let replicas = [db.store.clone(), db.another_replica().await];
    let calls = (0..16).map(|n| {
        let store = replicas[n % 2].clone();
        let additions = BTreeMap::from([
            ("shared".to_owned(), format!("shared by {n}")),
            (format!("own {n}"), format!("own {n}")),
        ]);
        tokio::spawn(async move {
            store
                .links()
                .merge_exposed_names_unscoped(link, &additions)
                .await
                .unwrap()
        })
    });
    let all = join_all(calls).await;
    let all: Vec<_> = all.into_iter().map(Result::unwrap).collect();
    assert!(all.iter().all(|names| names["shared"] == all[0]["shared"]));
    let stored = db
        .store
        .links()
        .get(account, link)
        .await
        .unwrap()
        .exposed_names;
    assert_eq!(stored.len(), 17, "nobody's addition was lost");
    assert_eq!(stored["shared"], all[0]["shared"]);
}

async fn other_accounts_see_nothing(db: TestDb) {
    let (mine, other) = (db.account("a@b.c").await, db.account("o@b.c").await);
    let (agent, instance) = (
        db.agent(mine, "a").await.id,
        db.instance(mine, "i").await.id,
    );
    let link = db.link(mine, agent, instance).await.unwrap().id;
    let (agents, links) = (db.store.agents(), db.store.links());
    assert_refused!(agents.get(other, agent).await, StoreError::NotFound { .. });
    assert_refused!(
        agents.delete(other, agent, &[]).await,
        StoreError::NotFound { .. }
    );
    assert_refused!(
        agents
            .update(other, agent, AgentPatch::default(), &[])
            .await,
        StoreError::NotFound { .. },
    );
    assert_refused!(links.get(other, link).await, StoreError::NotFound { .. });
    assert_refused!(
        links.delete(other, link, &[]).await,
        StoreError::NotFound { .. }
    );
    assert_refused!(
        links.update(other, link, LinkPatch::default(), &[]).await,
        StoreError::NotFound { .. },
    );
    let (own_agent, own_instance) = (
        db.agent(other, "a").await.id,
        db.instance(other, "i").await.id,
    );
    assert_refused!(
        db.link(other, own_agent, instance).await,
        StoreError::NotFound { what: "instance" },
    );
    assert_refused!(
        db.link(other, agent, own_instance).await,
        StoreError::NotFound { what: "agent" },
    );
    let page = PageRequest::default();
    let filter = LinkFilter {
        agent_id: Some(agent),
        instance_id: Some(instance),
    };
    assert!(
        links
            .list(other, filter, page)
            .await
            .unwrap()
            .items
            .is_empty()
    );
    assert_eq!(links.list(mine, filter, page).await.unwrap().items.len(), 1);
}
