//! Users, throttling, sessions and API tokens.

use std::sync::Arc;
use std::time::Duration;

use agentopia_domain::AccountId;
use agentopia_domain::page::PageRequest;
use agentopia_domain::token::{Scope, TokenKind, TokenSubject};
use agentopia_domain::user::{Role, User};
use agentopia_store::{NewApiToken, NewSession, NewUser, StoreError, ThrottleRule, TokenFilter};
use chrono::TimeDelta;
use futures::future::join_all;
use secrecy::{ExposeSecret as _, SecretString};

use crate::common::{TestDb, on_both_engines};
use crate::fixtures::{assert_refused, event, name};

on_both_engines!(
    there_is_one_first_admin,
    an_address_is_taken_in_any_case_of_its_letters,
    a_user_changes_and_a_new_password_ends_the_sessions,
    a_thousand_guesses_at_once_are_no_more_than_the_limit,
    a_session_opens_until_it_ends,
    tokens_are_found_by_their_hash_and_belong_to_one_account,
    users_come_in_pages,
);

fn new_user(db: &TestDb, email: &str) -> NewUser {
    NewUser {
        id: db.id(),
        email: email.into(),
        role: Role::User,
        password_hash: Some(SecretString::from("$argon2id$canary")),
    }
}

async fn there_is_one_first_admin(db: TestDb) {
    assert!(db.store.users().is_empty().await.unwrap());
    let replicas = [db.store.clone(), db.another_replica().await];
    // All connections are open and everybody waits at the line, or the first would be done before
    // the second begins.
    let line = Arc::new(tokio::sync::Barrier::new(30));
    let tries = (0..30).map(|n| {
        let store = replicas[n % 2].clone();
        let new = new_user(&db, &format!("admin{n}@example.org"));
        let (line, told) = (line.clone(), event(new.id.into(), "user.created"));
        tokio::spawn(async move {
            for _ in 0..5 {
                line.wait().await;
                store.ping().await.unwrap();
            }
            line.wait().await;
            store.users().create_first_admin(new, &[told]).await
        })
    });
    let tries: Vec<_> = tries.collect();
    let mut made = Vec::new();
    for outcome in join_all(tries).await {
        match outcome.unwrap() {
            Ok(user) => made.push(user),
            Err(StoreError::AlreadySetUp) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(made.len(), 1);
    assert_eq!(made[0].role, Role::Admin);
    assert_eq!(db.store.users().count().await.unwrap(), 1);
    assert_eq!(db.kinds().await, ["user.created"]);
}

async fn an_address_is_taken_in_any_case_of_its_letters(db: TestDb) {
    let users = db.store.users();
    let made = users
        .create(new_user(&db, "Ada@Example.org"), &[])
        .await
        .unwrap();
    assert_eq!(made.email, "ada@example.org");
    assert_refused!(
        users
            .create(
                new_user(&db, "ADA@example.ORG"),
                &[event(made.id.into(), "x")]
            )
            .await,
        StoreError::Duplicate {
            what: "user",
            field: "email"
        },
    );
    assert!(db.kinds().await.is_empty(), "what failed left an event");
    let found = users.credentials_by_email("aDa@example.org").await.unwrap();
    let found = found.unwrap();
    assert_eq!(found.user, made);
    assert!(!format!("{found:?}").contains("canary"));
    assert_eq!(
        found.password_hash.unwrap().expose_secret(),
        "$argon2id$canary"
    );
    assert!(
        users
            .credentials_by_email("bob@example.org")
            .await
            .unwrap()
            .is_none()
    );
}

async fn a_user_changes_and_a_new_password_ends_the_sessions(db: TestDb) {
    let users = db.store.users();
    let user = users.create(new_user(&db, "a@b.c"), &[]).await.unwrap();
    let hash = db.token(TokenKind::Personal);
    db.store
        .sessions()
        .create(new_session(&db, &user, hash), &[])
        .await
        .unwrap();
    db.clock.advance(Duration::from_secs(1));
    let changed = users
        .set_password(
            user.id,
            user.updated_at,
            &SecretString::from("$argon2id$new"),
            &[],
        )
        .await
        .unwrap();
    assert!(changed.updated_at > user.updated_at);
    assert!(
        db.store
            .sessions()
            .find_valid(hash)
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(
        users
            .set_role(user.id, Role::Admin, &[])
            .await
            .unwrap()
            .role,
        Role::Admin
    );
    assert!(
        users
            .set_disabled(user.id, true, &[])
            .await
            .unwrap()
            .disabled
    );
    assert_refused!(
        users.get(db.id()).await,
        StoreError::NotFound { what: "user" }
    );
    assert_refused!(
        users.set_disabled(db.id(), true, &[]).await,
        StoreError::NotFound { .. },
    );
}

async fn a_thousand_guesses_at_once_are_no_more_than_the_limit(db: TestDb) {
    let rules = |ip: usize| {
        let window = Duration::from_secs(900);
        [
            ThrottleRule {
                key: "email:a@b.c".into(),
                limit: 10,
                window,
            },
            ThrottleRule {
                key: format!("ip:{ip}"),
                limit: 100,
                window,
            },
        ]
    };
    let replicas = [db.store.clone(), db.another_replica().await];
    let guesses = (0..200).map(|n| {
        let (store, rules) = (replicas[n % 2].clone(), rules(n % 7));
        tokio::spawn(async move { store.throttling().attempt(&rules).await.unwrap().is_ok() })
    });
    let allowed = join_all(guesses)
        .await
        .into_iter()
        .filter(|ok| *ok.as_ref().unwrap());
    assert_eq!(allowed.count(), 10);

    let throttling = db.store.throttling();
    db.clock.advance(Duration::from_secs(600));
    let refused = throttling.attempt(&rules(0)).await.unwrap().unwrap_err();
    assert_eq!(refused.retry_after, Duration::from_secs(300));
    db.clock.advance(Duration::from_secs(300));
    assert_eq!(throttling.attempt(&rules(0)).await.unwrap(), Ok(()));

    for _ in 0..9 {
        throttling.attempt(&rules(0)).await.unwrap().unwrap();
    }
    assert!(throttling.attempt(&rules(0)).await.unwrap().is_err());
    throttling.forgive("email:a@b.c").await.unwrap();
    assert_eq!(throttling.attempt(&rules(0)).await.unwrap(), Ok(()));
    db.clock.advance(Duration::from_secs(10_000));
    assert!(throttling.prune(Duration::from_secs(5000)).await.unwrap() >= 2);
}

fn new_session(
    db: &TestDb,
    user: &User,
    token_hash: agentopia_domain::token::TokenHash,
) -> NewSession {
    NewSession {
        id: db.id(),
        user_id: user.id,
        user_updated_at: user.updated_at,
        token_hash,
        csrf_hash: db.token(TokenKind::Personal),
        expires_at: db.ambient.now() + TimeDelta::hours(1),
        source_ip: Some("192.0.2.7".into()),
        user_agent: None,
    }
}

async fn a_session_opens_until_it_ends(db: TestDb) {
    let (users, sessions) = (db.store.users(), db.store.sessions());
    let user = users.create(new_user(&db, "a@b.c"), &[]).await.unwrap();
    let [one, two, three] = [(); 3].map(|()| db.token(TokenKind::Personal));
    let first = sessions
        .create(new_session(&db, &user, one), &[])
        .await
        .unwrap();
    let second = sessions
        .create(new_session(&db, &user, two), &[])
        .await
        .unwrap();
    let found = sessions.find_valid(one).await.unwrap().unwrap();
    assert_eq!(found, (first.clone(), user.clone()));
    assert!(sessions.find_valid(three).await.unwrap().is_none());

    // Touching moves the end, but writes at most once a minute.
    let later = db.ambient.now() + TimeDelta::hours(2);
    sessions.touch(first.id, later).await.unwrap();
    assert_eq!(sessions.find_valid(one).await.unwrap().unwrap().0, first);
    db.clock.advance(Duration::from_secs(60));
    sessions.touch(first.id, later).await.unwrap();
    let touched = sessions.find_valid(one).await.unwrap().unwrap().0;
    assert_eq!(
        (touched.expires_at, touched.last_seen_at),
        (later, db.ambient.now())
    );

    db.clock.advance(Duration::from_secs(3600));
    assert!(sessions.find_valid(two).await.unwrap().is_none(), "expired");
    assert_refused!(
        sessions.revoke(db.id(), first.id, &[]).await,
        StoreError::NotFound { .. },
    );
    assert_eq!(sessions.list(user.id).await.unwrap().len(), 1);
    sessions.revoke(user.id, first.id, &[]).await.unwrap();
    assert!(sessions.find_valid(one).await.unwrap().is_none(), "ended");

    let last = sessions
        .create(new_session(&db, &user, three), &[])
        .await
        .unwrap();
    users.set_disabled(user.id, true, &[]).await.unwrap();
    users.set_disabled(user.id, false, &[]).await.unwrap();
    assert!(
        sessions.find_valid(three).await.unwrap().is_none(),
        "ended by disabling"
    );
    db.clock.advance(Duration::from_secs(1));
    let pruned = sessions.prune(db.ambient.now()).await.unwrap();
    assert_eq!(pruned, 3, "{second:?} {last:?}");
    assert_refused!(
        sessions.create(new_session(&db, &user, one), &[]).await,
        StoreError::Stale { what: "user" },
    );
    let nobody = User {
        id: db.id(),
        ..user
    };
    assert_refused!(
        sessions.create(new_session(&db, &nobody, one), &[]).await,
        StoreError::NotFound { what: "user" },
    );
}

async fn tokens_are_found_by_their_hash_and_belong_to_one_account(db: TestDb) {
    let (mine, other) = (db.account("a@b.c").await, db.account("o@b.c").await);
    let agent = db.agent(mine, "helper").await;
    let tokens = db.store.api_tokens();
    let new = |account: AccountId, subject: TokenSubject| NewApiToken {
        id: db.id(),
        account_id: account,
        user_id: account.as_uuid().into(),
        name: name("laptop"),
        subject,
        expires_at: Some(db.ambient.now() + TimeDelta::days(1)),
        hash: db.token(TokenKind::Agent),
    };
    let personal = new(
        mine,
        TokenSubject::Personal {
            scopes: vec![Scope::Read, Scope::Write],
        },
    );
    let agents = new(mine, TokenSubject::Agent(agent.id));
    let (personal_hash, agent_hash) = (personal.hash, agents.hash);
    let personal = tokens.create(personal, &[]).await.unwrap();
    let agents = tokens.create(agents, &[]).await.unwrap();
    assert_eq!(
        tokens.by_hash_unscoped(personal_hash).await.unwrap(),
        Some(personal.clone())
    );
    assert_eq!(
        tokens.by_hash_unscoped(agent_hash).await.unwrap(),
        Some(agents.clone())
    );

    // Another account can neither make one for my agent nor see or revoke mine.
    assert_refused!(
        tokens
            .create(new(other, TokenSubject::Agent(agent.id)), &[])
            .await,
        StoreError::NotFound { what: "agent" },
    );
    assert_refused!(
        tokens.get(other, agents.id).await,
        StoreError::NotFound { .. }
    );
    assert_refused!(
        tokens.revoke(other, agents.id, &[]).await,
        StoreError::NotFound { .. }
    );
    let page = PageRequest::default();
    assert!(
        tokens
            .list(other, TokenFilter::All, page)
            .await
            .unwrap()
            .items
            .is_empty()
    );
    assert_eq!(
        tokens
            .list(mine, TokenFilter::All, page)
            .await
            .unwrap()
            .items
            .len(),
        2
    );
    let only = tokens
        .list(mine, TokenFilter::Agent(agent.id), page)
        .await
        .unwrap();
    assert_eq!(only.items, std::slice::from_ref(&agents));
    let only = tokens
        .list(mine, TokenFilter::Personal, page)
        .await
        .unwrap();
    assert_eq!(only.items, std::slice::from_ref(&personal));

    tokens.touch_unscoped(agents.id).await.unwrap();
    let first = tokens.get(mine, agents.id).await.unwrap().last_used_at;
    assert_eq!(first, Some(db.ambient.now()));
    db.clock.advance(Duration::from_secs(59));
    tokens.touch_unscoped(agents.id).await.unwrap();
    assert_eq!(
        tokens.get(mine, agents.id).await.unwrap().last_used_at,
        first
    );
    db.clock.advance(Duration::from_secs(1));
    tokens.touch_unscoped(agents.id).await.unwrap();
    assert_ne!(
        tokens.get(mine, agents.id).await.unwrap().last_used_at,
        first
    );

    let told = [event(mine, "api_token.revoked")];
    assert!(tokens.revoke(mine, agents.id, &told).await.unwrap().changed);
    let again = tokens.revoke(mine, agents.id, &told).await.unwrap();
    assert!(!again.changed && !again.value.is_valid(db.ambient.now()));
    assert_eq!(db.kinds().await, ["api_token.revoked"]);
}

async fn users_come_in_pages(db: TestDb) {
    let mut made = Vec::new();
    for n in 0..5 {
        // Ids sort by time; within a millisecond by chance.
        db.clock.advance(Duration::from_millis(1));
        made.push(db.account(&format!("{n}@b.c")).await.as_uuid());
    }
    let mut seen = Vec::new();
    let mut page = PageRequest {
        after: None,
        limit: 2,
    };
    loop {
        let part = db.store.users().list(page).await.unwrap();
        assert!(part.items.len() <= 2);
        seen.extend(part.items.iter().map(|user| user.id.as_uuid()));
        match part.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    assert_eq!(seen, made);
}
