//! Browser logins: grants, codes and tokens, and the clients that registered.

use std::time::Duration;

use agentopia_domain::oauth::{Audience, ClientShown, Grant};
use agentopia_domain::page::PageRequest;
use agentopia_domain::token::{TokenHash, TokenKind};
use agentopia_domain::user::{Role, User};
use agentopia_domain::{AccountId, AgentId};
use agentopia_store::{
    GrantFilter, GrantTokenKind, NewGrant, NewGrantToken, NewOauthClient, StoreError,
};
use chrono::TimeDelta;
use secrecy::SecretString;

use crate::common::{TestDb, on_both_engines};
use crate::fixtures::{assert_refused, event};

on_both_engines!(
    a_code_is_redeemed_once_whoever_is_faster,
    a_refresh_token_is_turned_once_whoever_is_faster,
    a_grant_is_its_accounts_and_ends_all_its_tokens,
    the_gateway_hears_of_logins_that_are_live,
    a_new_password_ends_what_was_allowed_with_the_old_one,
    what_is_allowed_while_the_password_changes_does_not_outlive_the_change,
    what_is_over_is_thrown_away,
    registrations_are_bounded_and_kept_while_used,
);

const PAGE: PageRequest = PageRequest {
    after: None,
    limit: 50,
};

impl TestDb {
    async fn grant(
        &self,
        account: AccountId,
        agent: AgentId,
    ) -> Result<(Grant, TokenHash), StoreError> {
        let user = self.store.users().get(account.as_uuid().into()).await?;
        let new = self.new_grant(&user, agent);
        let code_hash = new.code_hash;
        let made = self
            .store
            .grants()
            .create(new, &[event(account, "grant.created")])
            .await?;
        Ok((made, code_hash))
    }

    fn new_grant(&self, user: &User, agent: AgentId) -> NewGrant {
        NewGrant {
            id: self.id(),
            account_id: user.id.into(),
            user_id: user.id,
            user_updated_at: user.updated_at,
            audience: Audience::Agent(agent),
            resource: format!("https://tools.example/agents/{agent}/mcp"),
            client: ClientShown {
                id: "client".into(),
                name: "A program".into(),
                host: "app.example".into(),
            },
            redirect_uri: "https://app.example/cb".into(),
            code_hash: self.token(TokenKind::Code),
            code_challenge: "challenge".into(),
            code_expires_at: self.ambient.now() + TimeDelta::seconds(60),
        }
    }

    fn pair(&self) -> [NewGrantToken; 2] {
        let now = self.ambient.now();
        [
            (
                TokenKind::Access,
                GrantTokenKind::Access,
                TimeDelta::hours(1),
            ),
            (
                TokenKind::Refresh,
                GrantTokenKind::Refresh,
                TimeDelta::days(30),
            ),
        ]
        .map(|(token, kind, life)| NewGrantToken {
            hash: self.token(token),
            kind,
            expires_at: now + life,
        })
    }

    async fn redeemed(&self, account: AccountId, agent: AgentId) -> (Grant, [NewGrantToken; 2]) {
        let (grant, _) = self.grant(account, agent).await.unwrap();
        let pair = self.pair();
        assert!(
            self.store
                .grants()
                .redeem_unscoped(grant.id, &pair, &[])
                .await
                .unwrap()
        );
        (grant, pair)
    }
}

async fn a_code_is_redeemed_once_whoever_is_faster(db: TestDb) {
    let account = db.account("a@b.c").await;
    let agent = db.agent(account, "helper").await;
    let (grant, code) = db.grant(account, agent.id).await.unwrap();
    let found = db
        .store
        .grants()
        .by_code_unscoped(code)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.grant, grant);
    assert_eq!(found.challenge, "challenge");
    assert!(!grant.is_live(db.ambient.now()), "nobody has tokens yet");
    let racing = (0..8).map(|_| {
        let db = db.clone();
        tokio::spawn(async move {
            let pair = db.pair();
            db.store
                .grants()
                .redeem_unscoped(grant.id, &pair, &[])
                .await
                .unwrap()
        })
    });
    let done = futures::future::join_all(racing).await;
    assert_eq!(
        done.into_iter()
            .filter(|done| *done.as_ref().unwrap())
            .count(),
        1
    );
    let found = db
        .store
        .grants()
        .by_code_unscoped(code)
        .await
        .unwrap()
        .unwrap();
    assert!(found.grant.is_live(db.ambient.now()));

    let (late, _) = db.grant(account, agent.id).await.unwrap();
    db.clock.advance(Duration::from_secs(60));
    assert!(
        !db.store
            .grants()
            .redeem_unscoped(late.id, &db.pair(), &[])
            .await
            .unwrap()
    );
}

async fn a_refresh_token_is_turned_once_whoever_is_faster(db: TestDb) {
    let account = db.account("a@b.c").await;
    let agent = db.agent(account, "helper").await;
    let (grant, [access, refresh]) = db.redeemed(account, agent.id).await;
    let grants = db.store.grants();
    let turned = |hash| {
        let pair = db.pair();
        async move { grants.rotate_unscoped(grant.id, hash, &pair).await.unwrap() }
    };
    assert!(!turned(access.hash).await, "an access token is none");
    let racing = (0..8).map(|_| {
        let db = db.clone();
        tokio::spawn(async move {
            let pair = db.pair();
            db.store
                .grants()
                .rotate_unscoped(grant.id, refresh.hash, &pair)
                .await
                .unwrap()
        })
    });
    let done = futures::future::join_all(racing).await;
    assert_eq!(
        done.into_iter()
            .filter(|done| *done.as_ref().unwrap())
            .count(),
        1
    );
    let found = grants
        .by_token_unscoped(refresh.hash)
        .await
        .unwrap()
        .unwrap();
    assert!(found.used_at.is_some());
    assert_eq!(found.kind, GrantTokenKind::Refresh);
}

async fn a_grant_is_its_accounts_and_ends_all_its_tokens(db: TestDb) {
    let (mine, other) = (db.account("a@b.c").await, db.account("o@b.c").await);
    let agent = db.agent(mine, "helper").await;
    let foreign = db.grant(other, agent.id).await;
    assert!(
        matches!(foreign, Err(StoreError::NotFound { .. })),
        "{foreign:?}"
    );
    let (grant, [_, refresh]) = db.redeemed(mine, agent.id).await;
    let grants = db.store.grants();
    let listed = async |account, filter| {
        grants
            .list(account, filter, PAGE)
            .await
            .unwrap()
            .items
            .len()
    };
    assert_eq!(listed(mine, GrantFilter::All).await, 1);
    assert_eq!(listed(mine, GrantFilter::Agent(agent.id)).await, 1);
    assert_eq!(listed(mine, GrantFilter::Agent(db.id())).await, 0);
    assert_eq!(listed(mine, GrantFilter::Instance(db.id())).await, 0);
    assert_eq!(listed(other, GrantFilter::All).await, 0);
    let refused = grants.revoke(other, grant.id, &[]).await;
    assert!(
        matches!(refused, Err(StoreError::NotFound { .. })),
        "{refused:?}"
    );

    assert!(grants.revoke(mine, grant.id, &[]).await.unwrap().changed);
    assert!(!grants.revoke(mine, grant.id, &[]).await.unwrap().changed);
    assert_eq!(listed(mine, GrantFilter::All).await, 0);
    assert!(
        !grants
            .rotate_unscoped(grant.id, refresh.hash, &db.pair())
            .await
            .unwrap()
    );
    let found = grants
        .by_token_unscoped(refresh.hash)
        .await
        .unwrap()
        .unwrap();
    assert!(!found.grant.is_live(db.ambient.now()));

    let (_, [access, _]) = db.redeemed(mine, agent.id).await;
    db.store.agents().delete(mine, agent.id, &[]).await.unwrap();
    assert_eq!(grants.by_token_unscoped(access.hash).await.unwrap(), None);
}

async fn the_gateway_hears_of_logins_that_are_live(db: TestDb) {
    let account = db.account("a@b.c").await;
    let agent = db.agent(account, "helper").await;
    db.grant(account, agent.id).await.unwrap();
    let logins = async || db.store.gateway_snapshot().await.unwrap().logins;
    assert_eq!(logins().await, [], "nobody redeemed it");
    let (grant, [access, _]) = db.redeemed(account, agent.id).await;
    let heard = logins().await;
    assert_eq!(heard.len(), 1, "refresh tokens open nothing");
    assert_eq!((heard[0].hash, heard[0].grant_id), (access.hash, grant.id));
    assert_eq!(heard[0].expires_at, access.expires_at);
    // Sessions of a client that comes back with its refresh token go on.
    db.clock.advance(Duration::from_secs(2 * 3600));
    assert_eq!(logins().await.len(), 1);
    db.clock.advance(Duration::from_secs(24 * 3600));
    assert_eq!(logins().await, []);

    db.redeemed(account, agent.id).await;
    assert_eq!(logins().await.len(), 1);
    let user = account.as_uuid().into();
    db.store
        .users()
        .set_disabled(user, true, &[])
        .await
        .unwrap();
    assert_eq!(logins().await, []);
    db.store
        .users()
        .set_disabled(user, false, &[])
        .await
        .unwrap();
    assert_eq!(logins().await, [], "it does not come back with the person");
}

/// Who was let in with the old password may be about to store what they are allowed by it.
async fn what_is_allowed_while_the_password_changes_does_not_outlive_the_change(db: TestDb) {
    let account = db.account("a@b.c").await;
    let agent = db.agent(account, "helper").await;
    let (users, grants) = (db.store.users(), db.store.grants());
    let hash = SecretString::from("$argon2id$new");
    for round in 0..20 {
        let user = users.get(account.as_uuid().into()).await.unwrap();
        let new = db.new_grant(&user, agent.id);
        let code = new.code_hash;
        db.clock.advance(Duration::from_secs(1));
        let changed = async {
            // Now the one is first, and now the other.
            for _ in 0..round {
                tokio::task::yield_now().await;
            }
            users
                .set_password(user.id, user.updated_at, &hash, &[])
                .await
        };
        let (allowed, changed) = tokio::join!(grants.create(new, &[]), changed);
        changed.unwrap();
        let found = grants.by_code_unscoped(code).await.unwrap();
        let is_live = found.is_some_and(|code| code.grant.is_live(db.ambient.now()));
        assert!(!is_live, "round {round}: {allowed:?}");
    }
    let user = users.get(account.as_uuid().into()).await.unwrap();
    let old = user.updated_at - TimeDelta::seconds(1);
    assert_refused!(
        users.set_password(user.id, old, &hash, &[]).await,
        StoreError::Stale { .. },
    );
    let allowed = grants.create(db.new_grant(&user, agent.id), &[]).await;
    assert!(allowed.is_ok(), "{allowed:?}");
    db.clock.advance(Duration::from_secs(1));
    users.set_disabled(user.id, true, &[]).await.unwrap();
    assert_refused!(
        grants.create(db.new_grant(&user, agent.id), &[]).await,
        StoreError::Stale { .. },
    );
}

async fn a_new_password_ends_what_was_allowed_with_the_old_one(db: TestDb) {
    let (mine, other) = (db.account("a@b.c").await, db.account("d@e.f").await);
    let (agent, theirs) = (
        db.agent(mine, "helper").await,
        db.agent(other, "helper").await,
    );
    let (_, code) = db.grant(mine, agent.id).await.unwrap();
    let (_, [_, refresh]) = db.redeemed(mine, agent.id).await;
    let (kept, _) = db.redeemed(other, theirs.id).await;
    let hash = SecretString::from("$argon2id$new");
    let users = db.store.users();
    let user = users.get(mine.as_uuid().into()).await.unwrap();
    db.clock.advance(Duration::from_secs(1));
    users
        .set_password(user.id, user.updated_at, &hash, &[])
        .await
        .unwrap();
    let grants = db.store.grants();
    let now = db.ambient.now();
    let found = grants.by_token_unscoped(refresh.hash).await.unwrap();
    assert!(!found.unwrap().grant.is_live(now));
    let by_code = grants.by_code_unscoped(code).await.unwrap();
    assert!(by_code.is_some_and(|code| !code.grant.is_live(now)));
    let logins = db.store.gateway_snapshot().await.unwrap().logins;
    let live: Vec<_> = logins.iter().map(|login| login.grant_id).collect();
    assert_eq!(live, [kept.id], "nobody else's");
    // A change of role is no reason.
    let person = other.as_uuid().into();
    users.set_role(person, Role::Admin, &[]).await.unwrap();
    let logins = db.store.gateway_snapshot().await.unwrap().logins;
    assert_eq!(logins.len(), 1);
}

async fn what_is_over_is_thrown_away(db: TestDb) {
    let account = db.account("a@b.c").await;
    let agent = db.agent(account, "helper").await;
    let (_, code) = db.grant(account, agent.id).await.unwrap();
    let (_, [access, refresh]) = db.redeemed(account, agent.id).await;
    let grants = db.store.grants();
    db.clock.advance(Duration::from_secs(2 * 3600));
    assert_eq!(
        grants.prune(db.ambient.now()).await.unwrap(),
        2,
        "an access token, an old code"
    );
    assert_eq!(grants.by_code_unscoped(code).await.unwrap(), None);
    assert_eq!(grants.by_token_unscoped(access.hash).await.unwrap(), None);
    assert!(
        grants
            .by_token_unscoped(refresh.hash)
            .await
            .unwrap()
            .is_some()
    );
    db.clock.advance(Duration::from_secs(30 * 24 * 3600));
    assert_eq!(grants.prune(db.ambient.now()).await.unwrap(), 2);
    assert_eq!(grants.by_token_unscoped(refresh.hash).await.unwrap(), None);
}

async fn registrations_are_bounded_and_kept_while_used(db: TestDb) {
    let clients = db.store.oauth_clients();
    let new = || NewOauthClient {
        id: db.id(),
        name: "A program".into(),
        redirect_uris: vec!["http://127.0.0.1/cb".into()],
        expires_at: db.ambient.now() + TimeDelta::hours(1),
    };
    let first = clients.register(new(), 2).await.unwrap().unwrap();
    let second = clients.register(new(), 2).await.unwrap().unwrap();
    assert_eq!(clients.register(new(), 2).await.unwrap(), None);
    assert_eq!(
        clients.get_unscoped(first.id).await.unwrap(),
        Some(first.clone())
    );
    let later = db.ambient.now() + TimeDelta::days(1);
    clients.keep_unscoped(first.id, later).await.unwrap();
    clients
        .keep_unscoped(first.id, db.ambient.now())
        .await
        .unwrap();
    db.clock.advance(Duration::from_secs(3600));
    assert_eq!(clients.get_unscoped(second.id).await.unwrap(), None);
    assert!(
        clients.register(new(), 2).await.unwrap().is_some(),
        "there is room again"
    );
    db.clock.advance(Duration::from_secs(1));
    assert_eq!(clients.prune(db.ambient.now()).await.unwrap(), 1);
    let kept = clients.get_unscoped(first.id).await.unwrap().unwrap();
    assert_eq!(kept.expires_at, later);
}
