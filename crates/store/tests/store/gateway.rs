//! What the gateway's route table is built from.

use agentopia_domain::token::{TokenKind, TokenSubject};
use agentopia_store::{InstanceIntent, LinkPatch, NewApiToken};

use crate::common::{TestDb, on_both_engines};
use crate::fixtures::{event, name, no_limit};

on_both_engines!(the_snapshot_has_what_is_open_and_nothing_else);

async fn the_snapshot_has_what_is_open_and_nothing_else(db: TestDb) {
    let empty = db.store.gateway_snapshot().await.unwrap();
    assert_eq!(empty, agentopia_store::GatewaySnapshot::default());

    let (mine, shut_out) = (db.account("a@b.c").await, db.account("o@b.c").await);
    let mut hashes = Vec::new();
    for account in [mine, shut_out] {
        let agent = db.agent(account, "helper").await;
        let [open, off, leaving] = [
            db.instance(account, "open").await,
            db.instance(account, "off").await,
            db.instance(account, "leaving").await,
        ];
        db.link(account, agent.id, open.id).await.unwrap();
        let disabled = db.link(account, agent.id, off.id).await.unwrap();
        db.link(account, agent.id, leaving.id).await.unwrap();
        let patch = LinkPatch {
            enabled: Some(false),
            policy: None,
            ..LinkPatch::default()
        };
        db.store
            .links()
            .update(account, disabled.id, patch, &[])
            .await
            .unwrap();
        let remove = InstanceIntent::Remove { purge_data: false };
        db.store
            .instances()
            .set_intent(account, leaving.id, remove, no_limit, &[])
            .await
            .unwrap();
        for revoked in [false, true] {
            let token = NewApiToken {
                id: db.id(),
                account_id: account,
                user_id: account.as_uuid().into(),
                name: name("token"),
                subject: TokenSubject::Agent(agent.id),
                expires_at: None,
                hash: db.token(TokenKind::Agent),
            };
            hashes.push(token.hash);
            let made = db.store.api_tokens().create(token, &[]).await.unwrap();
            if revoked {
                db.store
                    .api_tokens()
                    .revoke(account, made.id, &[])
                    .await
                    .unwrap();
            }
        }
    }
    let told = [event(mine, "user.disabled")];
    db.store
        .users()
        .set_disabled(shut_out.as_uuid().into(), true, &told)
        .await
        .unwrap();

    let snapshot = db.store.gateway_snapshot().await.unwrap();
    assert_eq!(
        snapshot.sequence,
        db.store.events().latest_sequence().await.unwrap()
    );
    assert_eq!(snapshot.agents.len(), 1);
    assert_eq!(snapshot.agents[0].account_id, mine);
    assert_eq!(snapshot.tokens.len(), 1);
    assert_eq!(snapshot.tokens[0].hash, hashes[0]);
    assert_eq!(snapshot.links.len(), 1);
    assert_eq!(snapshot.links[0].agent_id, snapshot.agents[0].id);
    let target = snapshot
        .instances
        .iter()
        .find(|one| one.id == snapshot.links[0].instance_id);
    let target = target.unwrap();
    assert_eq!(target.name, name("open"));
    assert!(
        snapshot
            .environments
            .iter()
            .any(|one| one.id == target.environment_id)
    );
    assert!(
        snapshot
            .instances
            .iter()
            .all(|one| one.name != name("leaving"))
    );
}
