//! Settings of accounts, what is kept of calls, and how many were made.

use std::num::NonZeroU32;

use agentopia_domain::account::{AccountSettings, CallCount};
use agentopia_domain::call::{Call, CallOutcome, Payload};
use agentopia_domain::{AccountId, AgentId};
use agentopia_store::{AccountSettingsPatch, StoreError};
use chrono::TimeDelta;

use crate::common::{TestDb, on_both_engines};
use crate::fixtures::event;

on_both_engines!(
    settings_change_one_by_one,
    taking_the_wish_back_drops_what_was_kept,
    calls_are_counted_by_day_agent_and_account,
    counts_of_many_writers_at_once_are_exact,
    old_counts_go,
);

fn call(db: &TestDb, account: AccountId, agent: Option<AgentId>) -> Call {
    Call {
        at: db.ambient.now(),
        account_id: account,
        agent_id: agent,
        user_id: None,
        instance_id: db.id(),
        method: "tools/call".into(),
        target: "echo".into(),
        trace_id: None,
        duration: std::time::Duration::ZERO,
        request_bytes: 1,
        response_bytes: 1,
        outcome: CallOutcome::Answered,
        error_code: None,
        payload: Payload {
            arguments: Some("{}".into()),
            result: Some("[]".into()),
        },
    }
}

async fn settings_change_one_by_one(db: TestDb) {
    let (mine, other) = (db.account("a@b.c").await, db.account("o@b.c").await);
    let settings = db.store.account_settings();
    assert_eq!(
        settings.get(mine).await.unwrap(),
        AccountSettings::default()
    );
    let keep = AccountSettingsPatch {
        keep_payloads: Some(true),
        ..AccountSettingsPatch::default()
    };
    settings
        .update(mine, keep, &[event(mine, "settings.changed")])
        .await
        .unwrap();
    let limit = AccountSettingsPatch {
        calls_per_day: Some(NonZeroU32::new(7)),
        ..AccountSettingsPatch::default()
    };
    let changed = settings.update(mine, limit, &[]).await.unwrap();
    assert!(changed.keep_payloads && changed.calls_per_day == NonZeroU32::new(7));
    assert_eq!(settings.get(mine).await.unwrap(), changed);
    assert_eq!(
        settings.get(other).await.unwrap(),
        AccountSettings::default()
    );
    let snapshot = db.store.gateway_snapshot().await.unwrap();
    assert_eq!(snapshot.settings, [(mine, changed)]);
    let none = AccountSettingsPatch {
        calls_per_day: Some(None),
        ..AccountSettingsPatch::default()
    };
    let changed = settings.update(mine, none, &[]).await.unwrap();
    assert!(changed.keep_payloads && changed.calls_per_day.is_none());
}

async fn taking_the_wish_back_drops_what_was_kept(db: TestDb) {
    let (mine, other) = (db.account("a@b.c").await, db.account("o@b.c").await);
    let calls = [call(&db, mine, None), call(&db, other, None)];
    db.store.calls().insert_unscoped(&calls).await.unwrap();
    let newest = async |account| {
        let page = db
            .store
            .calls()
            .list(account, &agentopia_store::CallFilter::default(), None, 1)
            .await
            .unwrap();
        page.items.into_iter().next().unwrap()
    };
    let (kept, theirs) = (newest(mine).await, newest(other).await);
    let found = db.store.calls().get(mine, kept.sequence).await.unwrap();
    assert_eq!(found.call.payload, calls[0].payload);
    assert!(
        matches!(
            db.store.calls().get(mine, theirs.sequence).await,
            Err(StoreError::NotFound { .. })
        ),
        "another account's call is as unknown"
    );
    let off = AccountSettingsPatch {
        keep_payloads: Some(false),
        ..AccountSettingsPatch::default()
    };
    db.store
        .account_settings()
        .update(mine, off, &[])
        .await
        .unwrap();
    assert_eq!(newest(mine).await.call.payload, Payload::default());
    assert_eq!(newest(other).await.call.payload, calls[1].payload);
}

async fn calls_are_counted_by_day_agent_and_account(db: TestDb) {
    let account = db.account("a@b.c").await;
    let (one, two): (AgentId, AgentId) = (db.id(), db.id());
    let today = db.ambient.now().date_naive();
    let yesterday = Call {
        at: db.ambient.now() - TimeDelta::days(1),
        ..call(&db, account, Some(one))
    };
    let limited = Call {
        outcome: CallOutcome::Limited,
        ..call(&db, account, Some(one))
    };
    let calls = [
        call(&db, account, Some(one)),
        call(&db, account, Some(one)),
        call(&db, account, Some(two)),
        call(&db, account, None),
        yesterday,
        limited,
    ];
    let count = |agent_id, day, calls| CallCount {
        account_id: account,
        agent_id,
        day,
        calls,
    };
    let written = db.store.calls().insert_unscoped(&calls).await.unwrap();
    assert!(written.contains(&count(Some(one), today, 2)), "{written:?}");
    let written = db.store.calls().insert_unscoped(&calls[..1]).await.unwrap();
    assert_eq!(written.len(), 2, "{written:?}");
    assert!(written.contains(&count(Some(one), today, 3)), "{written:?}");
    assert!(written.contains(&count(None, today, 5)), "{written:?}");

    let before = today.pred_opt().unwrap();
    let all = db.store.call_counts().list(account, before).await.unwrap();
    assert_eq!(
        all[..3],
        [
            count(None, today, 5),
            count(Some(one), today, 3),
            count(Some(two), today, 1),
        ]
    );
    assert_eq!(all.len(), 5, "{all:?}");
    let since = db.store.call_counts().list(account, today).await.unwrap();
    assert_eq!(since, all[..3]);
    let other = db.account("o@b.c").await;
    assert_eq!(
        db.store.call_counts().list(other, before).await.unwrap(),
        []
    );
    let snapshot = db.store.gateway_snapshot().await.unwrap();
    assert_eq!(snapshot.calls_today.len(), 3);
}

async fn counts_of_many_writers_at_once_are_exact(db: TestDb) {
    let account = db.account("a@b.c").await;
    let agents: [AgentId; 2] = [db.id(), db.id()];
    let another = db.another_replica().await;
    let mut writers = tokio::task::JoinSet::new();
    for n in 0..20 {
        let store = if n % 2 == 0 { &db.store } else { &another }.clone();
        let calls = agents.map(|agent| call(&db, account, Some(agent)));
        writers.spawn(async move { store.calls().insert_unscoped(&calls).await });
    }
    while let Some(written) = writers.join_next().await {
        written.unwrap().unwrap();
    }
    let today = db.ambient.now().date_naive();
    let counts = db.store.call_counts().list(account, today).await.unwrap();
    let numbers: Vec<u64> = counts.iter().map(|count| count.calls).collect();
    assert_eq!(numbers, [40, 20, 20]);
}

async fn old_counts_go(db: TestDb) {
    let account = db.account("a@b.c").await;
    let now = db.ambient.now();
    let calls = [0, 400, 401].map(|days| Call {
        at: now - TimeDelta::days(days),
        ..call(&db, account, None)
    });
    db.store.calls().insert_unscoped(&calls).await.unwrap();
    assert_eq!(db.store.call_counts().prune(now).await.unwrap(), 1);
}
