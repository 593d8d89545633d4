//! Logins at servers that run elsewhere (AGT-7).

use std::time::Duration;

use agentopia_domain::instance::{InstanceEvent as E, InstanceStatus as S};
use agentopia_domain::token::TokenHash;
use agentopia_domain::{AccountId, InstanceId};
use agentopia_store::{
    InstanceIntent, InstancePatch, LoginAttempt, LoginProblem, NewLoginTokens, RenewedTokens,
    StoreError,
};
use chrono::TimeDelta;
use futures::future::join_all;
use uuid::Uuid;

use crate::common::{TestDb, on_both_engines};
use crate::fixtures::{event, no_limit};

on_both_engines!(
    a_login_is_kept_renewed_and_forgotten_and_starts_the_instance_afresh,
    of_many_who_want_to_renew_one_does,
    that_a_login_is_needed_is_told_once,
    what_a_browser_brings_back_is_good_once_in_that_browser,
    logins_go_with_their_instance_and_are_nobody_elses,
);

const TTL: Duration = Duration::from_secs(60);

fn tokens(db: &TestDb, what: &str) -> RenewedTokens {
    let now = db.ambient.now();
    RenewedTokens {
        sealed_id: db.id::<Uuid>(),
        sealed: what.as_bytes().to_vec(),
        scope: Some("read".to_owned()),
        renew_at: Some(now + TimeDelta::seconds(50)),
        expires_at: Some(now + TimeDelta::seconds(60)),
    }
}

fn login(account: AccountId, instance: InstanceId, tokens: RenewedTokens) -> NewLoginTokens {
    NewLoginTokens {
        instance_id: instance,
        account_id: account,
        issuer: "https://as.example".to_owned(),
        client_id: "us".to_owned(),
        given: Some((Uuid::from_u128(1), b"given".to_vec())),
        tokens,
    }
}

async fn generation(db: &TestDb, id: InstanceId) -> i64 {
    let report = db.store.instances().get_unscoped(id).await.unwrap();
    report.instance.generation
}

async fn a_login_is_kept_renewed_and_forgotten_and_starts_the_instance_afresh(db: TestDb) {
    let account = db.account("a@b.c").await;
    let id = db.instance(account, "echo").await.id;
    let logins = db.store.upstream_logins();
    assert_eq!(logins.get_unscoped(id).await.unwrap(), None);
    let before = generation(&db, id).await;
    let first = tokens(&db, "first");
    let told = [event(account, "instance.logged_in")];
    let new = login(account, id, first.clone());
    logins.put(new, &told).await.unwrap();
    assert_eq!(generation(&db, id).await, before + 1);
    let kept = logins.get_unscoped(id).await.unwrap().unwrap();
    assert_eq!(kept.sealed.as_deref(), Some(&b"first"[..]));
    assert_eq!(kept.issuer.as_deref(), Some("https://as.example"));
    assert_eq!(
        (kept.renew_at, kept.expires_at),
        (first.renew_at, first.expires_at)
    );
    assert!(kept.logged_in_at.is_some() && kept.problem.is_none());
    assert_eq!(logins.of_account(account).await.unwrap(), [kept]);

    let me = db.id::<Uuid>();
    let mut second = tokens(&db, "second");
    second.scope = None;
    let early = logins
        .renewed(id, first.sealed_id, me, second.clone())
        .await;
    assert!(matches!(early, Err(StoreError::Stale { .. })), "{early:?}");
    assert!(logins.claim(id, first.sealed_id, me, TTL).await.unwrap());
    logins
        .renewed(id, first.sealed_id, me, second.clone())
        .await
        .unwrap();
    let kept = logins.get_unscoped(id).await.unwrap().unwrap();
    assert_eq!(kept.sealed.as_deref(), Some(&b"second"[..]));
    assert_eq!(kept.scope.as_deref(), Some("read"));
    assert_eq!(generation(&db, id).await, before + 1, "nobody notices");

    // A login in between holds, not what was renewed of the one before.
    assert!(logins.claim(id, second.sealed_id, me, TTL).await.unwrap());
    let third = tokens(&db, "third");
    logins.put(login(account, id, third), &[]).await.unwrap();
    let late = logins
        .renewed(id, second.sealed_id, me, tokens(&db, "late"))
        .await;
    assert!(matches!(late, Err(StoreError::Stale { .. })), "{late:?}");

    let gone = logins.delete(account, id, &[]).await.unwrap();
    assert_eq!(gone.sealed.as_deref(), Some(&b"third"[..]));
    assert_eq!(generation(&db, id).await, before + 3);
    let again = logins.delete(account, id, &[]).await;
    assert!(
        matches!(again, Err(StoreError::NotFound { .. })),
        "{again:?}"
    );
    assert_eq!(generation(&db, id).await, before + 3);
}

async fn of_many_who_want_to_renew_one_does(db: TestDb) {
    let account = db.account("a@b.c").await;
    let id = db.instance(account, "echo").await.id;
    let first = tokens(&db, "first");
    let new = login(account, id, first.clone());
    db.store.upstream_logins().put(new, &[]).await.unwrap();
    let other = db.another_replica().await;
    let owners: Vec<Uuid> = (0..8).map(|_| db.id()).collect();
    let claims = owners.iter().enumerate().map(|(n, owner)| {
        let store = if n % 2 == 0 { &db.store } else { &other };
        async move {
            let logins = store.upstream_logins();
            logins
                .claim(id, first.sealed_id, *owner, TTL)
                .await
                .unwrap()
        }
    });
    let claimed = join_all(claims).await;
    assert_eq!(claimed.iter().filter(|it| **it).count(), 1, "{claimed:?}");
    let winner = owners[claimed.iter().position(|it| *it).unwrap()];
    let logins = db.store.upstream_logins();
    // Only who holds it gives it back; one that is over is anybody's.
    logins.release(id, db.id()).await.unwrap();
    assert!(
        !logins
            .claim(id, first.sealed_id, db.id(), TTL)
            .await
            .unwrap()
    );
    logins.release(id, winner).await.unwrap();
    let next: Uuid = db.id();
    assert!(
        logins
            .claim(id, first.sealed_id, next, Duration::ZERO)
            .await
            .unwrap()
    );
    let last: Uuid = db.id();
    assert!(logins.claim(id, first.sealed_id, last, TTL).await.unwrap());
    let lost = logins
        .renewed(id, first.sealed_id, next, tokens(&db, "x"))
        .await;
    assert!(matches!(lost, Err(StoreError::Stale { .. })), "{lost:?}");
    // Nobody exchanges tokens that are not there any more, free as they are.
    logins.release(id, last).await.unwrap();
    assert!(!logins.claim(id, db.id(), next, TTL).await.unwrap());
    assert!(logins.claim(id, first.sealed_id, next, TTL).await.unwrap());
}

async fn that_a_login_is_needed_is_told_once(db: TestDb) {
    let account = db.account("a@b.c").await;
    let id = db.instance(account, "echo").await.id;
    let logins = db.store.upstream_logins();
    let problem = |text: &str, forget_tokens| LoginProblem {
        text: text.to_owned(),
        wanted_scope: Some("write".to_owned()),
        forget_tokens,
    };
    let told = [event(account, "instance.login_needed")];
    let first = logins.needed(account, id, None, problem("log in", false), &told);
    assert!(first.await.unwrap());
    let again = logins.needed(account, id, None, problem("log in", false), &told);
    assert!(!again.await.unwrap());
    let known = logins.get_unscoped(id).await.unwrap().unwrap();
    assert_eq!(known.problem.as_deref(), Some("log in"));
    assert_eq!((known.sealed, known.logged_in_at), (None, None));

    let kept = tokens(&db, "kept");
    let new = login(account, id, kept.clone());
    logins.put(new, &[]).await.unwrap();
    let seen = Some(kept.sealed_id);
    let other = logins.needed(account, id, Some(db.id()), problem("x", true), &told);
    assert!(!other.await.unwrap(), "of tokens that are no more");
    let wider = logins.needed(account, id, seen, problem("more", false), &told);
    assert!(wider.await.unwrap());
    let known = logins.get_unscoped(id).await.unwrap().unwrap();
    assert_eq!(known.wanted_scope.as_deref(), Some("write"));
    assert!(known.sealed.is_some());
    let over = logins.needed(account, id, seen, problem("over", true), &told);
    assert!(over.await.unwrap());
    let known = logins.get_unscoped(id).await.unwrap().unwrap();
    assert_eq!(
        (known.problem.as_deref(), known.sealed),
        (Some("over"), None)
    );
    assert!(known.given.is_some(), "the client is still the owner's");
    let again = logins.needed(account, id, seen, problem("other", true), &told);
    assert!(!again.await.unwrap());
}

fn attempt(db: &TestDb, account: AccountId, instance: InstanceId, state: &str) -> LoginAttempt {
    LoginAttempt {
        instance_id: instance,
        account_id: account,
        state_hash: TokenHash::of(state),
        browser_hash: None,
        sealed_id: db.id(),
        sealed: b"pending".to_vec(),
        expires_at: db.ambient.now() + TimeDelta::seconds(600),
    }
}

async fn what_a_browser_brings_back_is_good_once_in_that_browser(db: TestDb) {
    let (account, other) = (db.account("a@b.c").await, db.account("b@b.c").await);
    let id = db.instance(account, "echo").await.id;
    let logins = db.store.upstream_logins();
    let (one, two) = (TokenHash::of("one"), TokenHash::of("two"));
    let (mine, foreign) = (TokenHash::of("mine"), TokenHash::of("foreign"));
    logins
        .begin(attempt(&db, account, id, "one"))
        .await
        .unwrap();
    // Not before a browser was seen, and by its owner only.
    assert_eq!(logins.take_unscoped(one, mine).await.unwrap(), None);
    let bound = logins.bind(other, one, foreign).await;
    assert!(
        matches!(bound, Err(StoreError::NotFound { .. })),
        "{bound:?}"
    );
    logins.bind(account, one, mine).await.unwrap();
    assert_eq!(logins.take_unscoped(one, foreign).await.unwrap(), None);
    assert_eq!(logins.take_unscoped(two, mine).await.unwrap(), None);
    let takes = join_all((0..6).map(|_| logins.take_unscoped(one, mine))).await;
    let taken = takes.into_iter().filter_map(Result::unwrap).count();
    assert_eq!(taken, 1);

    // A later one ends the one before, and time ends all.
    logins
        .begin(attempt(&db, account, id, "one"))
        .await
        .unwrap();
    logins
        .begin(attempt(&db, account, id, "two"))
        .await
        .unwrap();
    assert_eq!(logins.begun_unscoped(one).await.unwrap(), None);
    assert!(logins.begun_unscoped(two).await.unwrap().is_some());
    logins.bind(account, two, mine).await.unwrap();
    db.clock.advance(Duration::from_secs(601));
    assert_eq!(logins.begun_unscoped(two).await.unwrap(), None);
    assert_eq!(logins.take_unscoped(two, mine).await.unwrap(), None);
    assert_eq!(logins.prune(db.ambient.now()).await.unwrap(), 1);
}

async fn logins_go_with_their_instance_and_are_nobody_elses(db: TestDb) {
    let (account, other) = (db.account("a@b.c").await, db.account("b@b.c").await);
    let id = db.instance(account, "echo").await.id;
    let logins = db.store.upstream_logins();
    let put = logins.put(login(other, id, tokens(&db, "x")), &[]).await;
    assert!(matches!(put, Err(StoreError::NotFound { .. })), "{put:?}");
    let begun = logins.begin(attempt(&db, other, id, "one")).await;
    assert!(
        matches!(begun, Err(StoreError::NotFound { .. })),
        "{begun:?}"
    );
    logins
        .put(login(account, id, tokens(&db, "x")), &[])
        .await
        .unwrap();
    logins
        .begin(attempt(&db, account, id, "one"))
        .await
        .unwrap();
    assert_eq!(logins.of_account(other).await.unwrap(), []);
    let taken = logins.delete(other, id, &[]).await;
    assert!(
        matches!(taken, Err(StoreError::NotFound { .. })),
        "{taken:?}"
    );

    let instances = db.store.instances();
    let remove = InstanceIntent::Remove { purge_data: false };
    instances
        .set_intent(account, id, remove, no_limit, &[])
        .await
        .unwrap();
    let late = logins
        .put(login(account, id, tokens(&db, "late")), &[])
        .await;
    assert!(matches!(late, Err(StoreError::NotFound { .. })), "{late:?}");
    let nothing = InstancePatch::default();
    instances
        .transition_unscoped(id, None, S::PendingRemoval, E::RemoveFinished, nothing, &[])
        .await
        .unwrap();
    assert_eq!(logins.get_unscoped(id).await.unwrap(), None);
    assert_eq!(
        logins.begun_unscoped(TokenHash::of("one")).await.unwrap(),
        None
    );
}
