//! What the tools of instances say of themselves (TOOL-10).

use agentopia_domain::definitions::{Diff, definitions};
use agentopia_store::StoreError;
use serde_json::{Value, json};

use crate::common::{TestDb, on_both_engines};
use crate::fixtures::event;

on_both_engines!(
    the_first_list_counts_as_accepted_and_what_differs_is_told_once,
    what_is_accepted_is_what_was_listed_last,
    definitions_are_their_accounts_own,
);

fn tools(description: &str) -> Vec<Value> {
    vec![
        json!({"name": "a", "description": description}),
        json!({"name": "b"}),
    ]
}

async fn the_first_list_counts_as_accepted_and_what_differs_is_told_once(db: TestDb) {
    let account = db.account("a@b.c").await;
    let id = db.instance(account, "echo").await.id;
    let store = db.store.definitions();
    assert_eq!(store.get(account, id).await.unwrap(), None);
    let record = async |description: &str| {
        let told = |_: &Diff| event(account, "instance.tools_changed");
        let listed = definitions(&tools(description));
        store
            .record_unscoped(account, id, listed, told)
            .await
            .unwrap();
        store.get(account, id).await.unwrap().unwrap()
    };
    let changes = async || {
        let kinds = db.kinds().await;
        kinds
            .iter()
            .filter(|kind| *kind == "instance.tools_changed")
            .count()
    };
    assert_eq!(record("one").await.listed, None);
    assert_eq!(record("one").await.listed, None);
    assert_eq!(changes().await, 0);
    for _ in 0..2 {
        let known = record("two").await;
        assert_eq!(known.diff().words(), "changed: a (description)");
        assert_eq!(known.accepted, definitions(&tools("one")));
    }
    assert_eq!(changes().await, 1);
    assert!(record("one").await.diff().is_empty(), "it took it back");
    let pinned = db.store.gateway_snapshot().await.unwrap().pinned;
    assert_eq!(pinned.len(), 1);
    assert_eq!((pinned[0].instance_id, pinned[0].accepted.len()), (id, 2));
}

async fn what_is_accepted_is_what_was_listed_last(db: TestDb) {
    let account = db.account("a@b.c").await;
    let id = db.instance(account, "echo").await.id;
    let store = db.store.definitions();
    let told = |_: &Diff| event(account, "instance.tools_changed");
    let early = store.accept(account, id, told).await;
    assert!(
        matches!(early, Err(StoreError::NotFound { .. })),
        "{early:?}"
    );
    for description in ["one", "two"] {
        let listed = definitions(&tools(description));
        store
            .record_unscoped(account, id, listed, told)
            .await
            .unwrap();
    }
    store.set_hold(account, id, true, &[]).await.unwrap();
    let accepted = |_: &Diff| event(account, "instance.tools_accepted");
    let diff = store.accept(account, id, accepted).await.unwrap();
    assert_eq!(diff.words(), "changed: a (description)");
    let known = store.get(account, id).await.unwrap().unwrap();
    assert!(known.hold && known.listed.is_none());
    assert_eq!(known.accepted, definitions(&tools("two")));
    assert!(
        store
            .accept(account, id, accepted)
            .await
            .unwrap()
            .is_empty()
    );
}

async fn definitions_are_their_accounts_own(db: TestDb) {
    let account = db.account("a@b.c").await;
    let other = db.account("c@d.e").await;
    let id = db.instance(account, "echo").await.id;
    let store = db.store.definitions();
    let told = |_: &Diff| event(account, "instance.tools_changed");
    let listed = definitions(&tools("one"));
    store
        .record_unscoped(account, id, listed, told)
        .await
        .unwrap();
    assert_eq!(store.get(other, id).await.unwrap(), None);
    let accepted = store.accept(other, id, told).await;
    assert!(matches!(accepted, Err(StoreError::NotFound { .. })));
    let held = store.set_hold(other, id, true, &[]).await;
    assert!(matches!(held, Err(StoreError::NotFound { .. })));
}
