//! Who called what.

use std::time::Duration;

use agentopia_domain::AccountId;
use agentopia_domain::call::{Call, CallOutcome, Payload};
use agentopia_store::CallFilter;
use chrono::TimeDelta;

use crate::common::{TestDb, on_both_engines};

on_both_engines!(
    calls_are_scoped_filtered_and_paged,
    every_field_of_a_call_comes_back,
    old_calls_go,
);

/// To the microsecond, as it is kept.
fn call(db: &TestDb, account: AccountId, target: &str) -> Call {
    let now = db.ambient.now().timestamp_micros();
    Call {
        at: chrono::DateTime::from_timestamp_micros(now).unwrap(),
        account_id: account,
        agent_id: Some(db.id()),
        user_id: None,
        instance_id: db.id(),
        method: "tools/call".into(),
        target: target.into(),
        trace_id: Some("0af7651916cd43dd8448eb211c80319c".into()),
        duration: Duration::from_micros(1_234),
        request_bytes: 100,
        response_bytes: 1 << 40,
        outcome: CallOutcome::Answered,
        error_code: None,
        payload: Payload::default(),
    }
}

async fn every_field_of_a_call_comes_back(db: TestDb) {
    let account = db.account("a@b.c").await;
    let by_a_person = Call {
        agent_id: None,
        user_id: Some(db.id()),
        trace_id: None,
        outcome: CallOutcome::Refused,
        error_code: Some(-32602),
        payload: Payload {
            arguments: Some(r#"{"city":"Kraków"}"#.into()),
            result: Some("{}".into()),
        },
        ..call(&db, account, "file:///ä%'")
    };
    let others = [
        CallOutcome::Limited,
        CallOutcome::Cancelled,
        CallOutcome::Failed,
    ];
    let mut calls = vec![call(&db, account, "echo"), by_a_person];
    calls.extend(others.map(|outcome| Call {
        outcome,
        ..call(&db, account, "echo")
    }));
    let store = db.store.calls();
    store.insert_unscoped(&calls).await.unwrap();
    let page = store
        .list(account, &CallFilter::default(), None, 200)
        .await
        .unwrap();
    let kept: Vec<Call> = page.items.into_iter().rev().map(|it| it.call).collect();
    assert_eq!(kept, calls);
    assert_eq!(page.next_before, None);
}

async fn calls_are_scoped_filtered_and_paged(db: TestDb) {
    let (mine, other) = (db.account("a@b.c").await, db.account("o@b.c").await);
    let store = db.store.calls();
    let one = call(&db, mine, "one");
    let two = Call {
        outcome: CallOutcome::Failed,
        ..call(&db, mine, "two")
    };
    let many: Vec<Call> = (0..1_200)
        .map(|n| call(&db, mine, &n.to_string()))
        .collect();
    store.insert_unscoped(&[]).await.unwrap();
    store
        .insert_unscoped(&[one.clone(), two.clone(), call(&db, other, "theirs")])
        .await
        .unwrap();
    store.insert_unscoped(&many).await.unwrap();

    let targets = async |account, filter: CallFilter| {
        let (mut found, mut before) = (Vec::new(), None);
        loop {
            let page = store.list(account, &filter, before, 7).await.unwrap();
            found.extend(page.items.into_iter().map(|it| it.call.target));
            before = page.next_before;
            if before.is_none() {
                return found;
            }
        }
    };
    let mut wanted: Vec<String> = (0..1_200).rev().map(|n| n.to_string()).collect();
    wanted.extend(["two".to_owned(), "one".to_owned()]);
    assert_eq!(targets(mine, CallFilter::default()).await, wanted);
    assert_eq!(targets(other, CallFilter::default()).await, ["theirs"]);
    let by = |filter| targets(mine, filter);
    let agent_id = one.agent_id;
    assert_eq!(
        by(CallFilter {
            agent_id,
            ..CallFilter::default()
        })
        .await,
        ["one"]
    );
    let instance_id = Some(two.instance_id);
    assert_eq!(
        by(CallFilter {
            instance_id,
            ..CallFilter::default()
        })
        .await,
        ["two"]
    );
    let outcome = Some(CallOutcome::Failed);
    assert_eq!(
        by(CallFilter {
            outcome,
            ..CallFilter::default()
        })
        .await,
        ["two"]
    );
    let filter = CallFilter {
        agent_id,
        ..CallFilter::default()
    };
    assert!(
        targets(other, filter).await.is_empty(),
        "another account's agent"
    );
}

async fn old_calls_go(db: TestDb) {
    let account = db.account("a@b.c").await;
    let new = call(&db, account, "new");
    let old = Call {
        at: new.at - TimeDelta::days(31),
        ..call(&db, account, "old")
    };
    let store = db.store.calls();
    store.insert_unscoped(&[old, new.clone()]).await.unwrap();
    assert_eq!(store.prune(new.at - TimeDelta::days(30)).await.unwrap(), 1);
    let page = store
        .list(account, &CallFilter::default(), None, 10)
        .await
        .unwrap();
    let left: Vec<Call> = page.items.into_iter().map(|it| it.call).collect();
    assert_eq!(left, [new]);
}
