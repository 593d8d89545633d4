//! Secrets, registry logins and the installation's own keys: ciphertexts only.

use std::time::Duration;

use agentopia_domain::instance::InstanceStatus;
use agentopia_domain::page::PageRequest;
use agentopia_store::{LeaseKind, NewSecret, RegistryLogin, StoreError};
use futures::future::join_all;

use crate::common::{TestDb, on_both_engines};
use crate::fixtures::{assert_refused, event, name, no_limit};

on_both_engines!(
    a_new_value_is_taken_for_the_revision_it_was_sealed_for,
    a_new_value_wakes_who_uses_it,
    a_secret_that_is_used_stays,
    other_accounts_see_nothing,
    an_account_pulls_with_its_own_login_first,
    all_replicas_get_the_key_of_the_first,
);

async fn a_new_value_is_taken_for_the_revision_it_was_sealed_for(db: TestDb) {
    let account = db.account("a@b.c").await;
    let secrets = db.store.secrets();
    let made = db.secret(account, "KEY").await;
    let new = NewSecret {
        id: db.id(),
        account_id: account,
        name: name("KEY"),
        ciphertext: vec![],
    };
    assert_refused!(
        secrets.create(new, &[]).await,
        StoreError::Duplicate { field: "name", .. }
    );
    let calls = (0..10u8).map(|n| {
        let store = db.store.clone();
        tokio::spawn(async move {
            store
                .secrets()
                .set_value(account, made.id, 1, vec![n], &[event(account, "s")])
                .await
        })
    });
    let mut won = 0;
    for outcome in join_all(calls).await {
        match outcome.unwrap() {
            Ok((record, _)) => {
                assert_eq!(record.revision, 2);
                won += 1;
            }
            Err(StoreError::Stale { .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!((won, db.kinds().await.len()), (1, 1));
    let sealed = secrets.sealed(account, &[made.id, db.id()]).await.unwrap();
    assert_eq!(sealed.len(), 1);
    assert_eq!(sealed[0].record.revision, 2);
    secrets
        .rewrap_unscoped(made.id, 2, vec![9, 9])
        .await
        .unwrap();
    assert_refused!(
        secrets.rewrap_unscoped(made.id, 1, vec![]).await,
        StoreError::Stale { .. },
    );
    let all = secrets
        .list_sealed_unscoped(PageRequest::default())
        .await
        .unwrap();
    assert_eq!(
        (
            all.items[0].ciphertext.as_slice(),
            all.items[0].record.revision
        ),
        (&[9, 9][..], 2)
    );
}

async fn a_new_value_wakes_who_uses_it(db: TestDb) {
    let account = db.account("a@b.c").await;
    let secret = db.secret(account, "KEY").await;
    let mut new = db.new_instance(account, "echo").await;
    new.secrets.insert("ONE".into(), secret.id);
    new.secrets.insert("TWO".into(), secret.id);
    let user = db
        .store
        .instances()
        .create(new, no_limit, &[])
        .await
        .unwrap();
    db.instance(account, "not concerned").await;
    let leases = db.store.leases();
    let kind = LeaseKind::Instance;
    for claim in leases
        .claim_due(kind, "test", Duration::from_secs(60), 10)
        .await
        .unwrap()
    {
        leases
            .release(kind, claim.id, claim.token, None)
            .await
            .unwrap();
    }
    let (_, woken) = db
        .store
        .secrets()
        .set_value(account, secret.id, 1, vec![1], &[])
        .await
        .unwrap();
    assert_eq!(woken, [user.id]);
    // Its machine is told because the generation grew: that alone makes it read the new value.
    let after = db.store.instances().get(account, user.id).await.unwrap();
    assert_eq!(after.generation, user.generation + 1);
    assert_eq!(after.status, InstanceStatus::PendingStart);
    let due = leases
        .claim_due(kind, "test", Duration::from_secs(60), 10)
        .await
        .unwrap();
    assert_eq!(
        due.iter().map(|claim| claim.instance()).collect::<Vec<_>>(),
        [user.id]
    );
}

async fn a_secret_that_is_used_stays(db: TestDb) {
    let account = db.account("a@b.c").await;
    let secrets = db.store.secrets();
    let (used, free) = (
        db.secret(account, "USED").await,
        db.secret(account, "FREE").await,
    );
    let mut new = db.new_instance(account, "echo").await;
    new.secrets.insert("KEY".into(), used.id);
    let user = db
        .store
        .instances()
        .create(new, no_limit, &[])
        .await
        .unwrap();
    assert_eq!(secrets.used_by(account, used.id).await.unwrap(), [user.id]);
    match secrets
        .delete(account, used.id, &[event(account, "s")])
        .await
    {
        Err(StoreError::SecretInUse { by, links }) => {
            assert_eq!((by.as_slice(), links.len()), (&[user.id][..], 0));
        }
        other => panic!("{other:?}"),
    }
    assert!(db.kinds().await.is_empty());
    secrets.delete(account, free.id, &[]).await.unwrap();
    assert_refused!(
        secrets.delete(account, free.id, &[]).await,
        StoreError::NotFound { .. }
    );
    let left = secrets.list(account, PageRequest::default()).await.unwrap();
    assert_eq!(left.items, [used]);
}

async fn other_accounts_see_nothing(db: TestDb) {
    let (mine, other) = (db.account("a@b.c").await, db.account("o@b.c").await);
    let secret = db.secret(mine, "KEY").await.id;
    db.secret(other, "KEY").await;
    let secrets = db.store.secrets();
    assert_eq!(
        secrets.by_name(mine, &name("KEY")).await.unwrap().id,
        secret
    );
    assert_ne!(
        secrets.by_name(other, &name("KEY")).await.unwrap().id,
        secret
    );
    assert_refused!(
        secrets.get(other, secret).await,
        StoreError::NotFound { .. }
    );
    assert!(secrets.sealed(other, &[secret]).await.unwrap().is_empty());
    assert_refused!(
        secrets.used_by(other, secret).await,
        StoreError::NotFound { .. }
    );
    assert_refused!(
        secrets.delete(other, secret, &[]).await,
        StoreError::NotFound { .. }
    );
    assert_refused!(
        secrets.set_value(other, secret, 1, vec![], &[]).await,
        StoreError::NotFound { .. },
    );
}

async fn an_account_pulls_with_its_own_login_first(db: TestDb) {
    let (mine, other) = (db.account("a@b.c").await, db.account("o@b.c").await);
    let logins = db.store.registry_logins();
    let login = |account_id, username: &str| RegistryLogin {
        id: db.id(),
        account_id,
        host: "127.0.0.1:5000".into(),
        username: username.into(),
        ciphertext: vec![1, 2, 3],
    };
    logins.put(login(None, "old"), &[]).await.unwrap();
    logins.put(login(None, "everybody"), &[]).await.unwrap();
    logins.put(login(Some(mine), "me"), &[]).await.unwrap();
    let host = "127.0.0.1:5000";
    assert_eq!(
        logins.for_pull(mine, host).await.unwrap().unwrap().username,
        "me"
    );
    assert_eq!(
        logins
            .for_pull(other, host)
            .await
            .unwrap()
            .unwrap()
            .username,
        "everybody"
    );
    assert_eq!(logins.for_pull(mine, "elsewhere:5000").await.unwrap(), None);
    assert_eq!(logins.list(None).await.unwrap().len(), 1);
    assert!(logins.list(Some(other)).await.unwrap().is_empty());
    assert_refused!(
        logins.delete(Some(other), host, &[]).await,
        StoreError::NotFound { .. },
    );
    logins.delete(Some(mine), host, &[]).await.unwrap();
    assert_eq!(
        logins.for_pull(mine, host).await.unwrap().unwrap().username,
        "everybody"
    );
}

async fn all_replicas_get_the_key_of_the_first(db: TestDb) {
    let replicas = [db.store.clone(), db.another_replica().await];
    let calls = (0..20u8).map(|n| {
        let store = replicas[usize::from(n % 2)].clone();
        tokio::spawn(async move {
            store
                .system_secrets()
                .put_if_absent("ca", vec![n])
                .await
                .unwrap()
        })
    });
    let all = join_all(calls).await;
    let all: Vec<_> = all.into_iter().map(Result::unwrap).collect();
    assert!(all.iter().all(|one| *one == all[0]));
    let keys = db.store.system_secrets();
    assert_eq!(keys.get("other").await.unwrap(), None);
    keys.replace("ca", &all[0], vec![7; 40]).await.unwrap();
    assert_refused!(
        keys.replace("ca", &all[0], vec![8]).await,
        StoreError::Stale { .. }
    );
    assert_eq!(keys.list().await.unwrap(), [("ca".to_owned(), vec![7; 40])]);
}
