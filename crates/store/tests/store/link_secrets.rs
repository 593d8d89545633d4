//! Secrets that links carry in place of their instances' own.

use std::collections::BTreeMap;

use agentopia_domain::link::{Link, LinkPolicy};
use agentopia_domain::page::PageRequest;
use agentopia_domain::{AccountId, SecretId};
use agentopia_store::{LinkFilter, LinkPatch, NewLink, StoreError};

use crate::common::{TestDb, on_both_engines};
use crate::fixtures::{assert_refused, event};

on_both_engines!(
    a_link_carries_secrets_of_its_account_and_of_no_other,
    what_a_link_carries_is_another_with_every_change,
    a_secret_that_a_link_carries_stays,
);

fn own(pairs: &[(&str, SecretId)]) -> BTreeMap<String, SecretId> {
    let pairs = pairs.iter();
    pairs.map(|(name, id)| ((*name).to_owned(), *id)).collect()
}

/// A link that carries these.
async fn link(
    db: &TestDb,
    account: AccountId,
    secrets: BTreeMap<String, SecretId>,
) -> Result<Link, StoreError> {
    let agent = db.agent(account, "helper").await.id;
    let instance = db.instance(account, "echo").await.id;
    let new = NewLink {
        id: db.id(),
        account_id: account,
        agent_id: agent,
        instance_id: instance,
        enabled: true,
        policy: LinkPolicy::default(),
        secrets,
    };
    db.store.links().create(new, &[]).await
}

async fn a_link_carries_secrets_of_its_account_and_of_no_other(db: TestDb) {
    let (mine, other) = (db.account("a@b.c").await, db.account("o@b.c").await);
    let (key, foreign) = (
        db.secret(mine, "KEY").await.id,
        db.secret(other, "KEY").await.id,
    );
    let made = link(&db, mine, own(&[("API_KEY", key)])).await.unwrap();
    assert_eq!(made.secrets["API_KEY"].id, key);
    assert_eq!(made.secrets["API_KEY"].revision, 1);
    let links = db.store.links();
    assert_eq!(links.get(mine, made.id).await.unwrap(), made);
    assert_eq!(links.get_unscoped(made.id).await.unwrap(), made);
    let filter = LinkFilter::default();
    let listed = links.list(mine, filter, PageRequest::default()).await;
    let only = std::slice::from_ref(&made);
    assert_eq!(listed.unwrap().items, only);
    assert_eq!(db.store.gateway_snapshot().await.unwrap().links, only);

    let patch = LinkPatch {
        enabled: Some(false),
        secrets: Some(own(&[("API_KEY", foreign)])),
        ..LinkPatch::default()
    };
    assert_refused!(
        links
            .update(mine, made.id, patch, &[event(mine, "x")])
            .await,
        StoreError::NotFound { what: "secret" },
    );
    assert_eq!(
        links.get(mine, made.id).await.unwrap(),
        made,
        "nothing changed"
    );
    links.delete(mine, made.id, &[]).await.unwrap();
    db.store.secrets().delete(mine, key, &[]).await.unwrap();
    assert!(db.kinds().await.is_empty());
    assert_refused!(
        link(&db, other, own(&[("API_KEY", key)])).await,
        StoreError::NotFound { what: "secret" },
    );
}

async fn what_a_link_carries_is_another_with_every_change(db: TestDb) {
    let account = db.account("a@b.c").await;
    let (one, two) = (
        db.secret(account, "ONE").await.id,
        db.secret(account, "TWO").await.id,
    );
    let made = link(&db, account, own(&[("API_KEY", one)])).await.unwrap();
    let links = db.store.links();
    let carry = async |secrets| {
        let patch = LinkPatch {
            secrets: Some(secrets),
            ..LinkPatch::default()
        };
        let told = [event(account, "c")];
        links.update(account, made.id, patch, &told).await.unwrap()
    };
    assert!(!carry(own(&[("API_KEY", one)])).await.changed);
    let second = carry(own(&[("API_KEY", two)])).await;
    assert!(second.changed);
    assert_ne!(second.value.credentials(), made.credentials());
    // A new value of the secret is one as well, though nobody touched the link.
    let secrets = db.store.secrets();
    let (_, restarted) = secrets
        .set_value(account, two, 1, vec![1], &[])
        .await
        .unwrap();
    assert!(restarted.is_empty(), "instances have nothing to do with it");
    let rotated = db.store.gateway_snapshot().await.unwrap().links;
    assert_ne!(rotated[0].credentials(), second.value.credentials());
    assert_eq!(rotated[0].secrets["API_KEY"].revision, 2);
    assert_eq!(carry(own(&[])).await.value.credentials(), None);
    assert_eq!(db.kinds().await, ["c", "c"]);
}

async fn a_secret_that_a_link_carries_stays(db: TestDb) {
    let account = db.account("a@b.c").await;
    let key = db.secret(account, "KEY").await.id;
    let made = link(&db, account, own(&[("A", key), ("B", key)]))
        .await
        .unwrap();
    let secrets = db.store.secrets();
    match secrets.delete(account, key, &[event(account, "s")]).await {
        Err(StoreError::SecretInUse { by, links }) => {
            assert!(by.is_empty());
            assert_eq!(links, [made.id]);
        }
        other => panic!("{other:?}"),
    }
    // Without its agent the link is gone, and the secret free.
    db.store
        .agents()
        .delete(account, made.agent_id, &[])
        .await
        .unwrap();
    secrets.delete(account, key, &[]).await.unwrap();
    assert!(db.kinds().await.is_empty());
}
