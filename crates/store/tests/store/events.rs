//! The stream of what happened.

use agentopia_domain::event::{Actor, NewEvent, ObjectKind, Outcome};
use agentopia_store::{EventFilter, EventScope};
use futures::future::join_all;
use serde_json::json;

use crate::common::{TestDb, on_both_engines};
use crate::fixtures::event;

on_both_engines!(
    a_live_reader_never_skips_an_event,
    every_field_comes_back,
    the_timeline_is_scoped_filtered_and_paged,
);

async fn a_live_reader_never_skips_an_event(db: TestDb) {
    const WRITERS: usize = 8;
    const EACH: usize = 25;
    let account = db.account("a@b.c").await;
    let replicas = [db.store.clone(), db.another_replica().await];
    let writers: Vec<_> = (0..WRITERS)
        .map(|n| {
            let store = replicas[n % 2].clone();
            tokio::spawn(async move {
                for _ in 0..EACH {
                    let two = [event(account, "first"), event(account, "second")];
                    store.events().append(&two).await.unwrap();
                }
            })
        })
        .collect();
    let store = db.store.clone();
    let reader = tokio::spawn(async move {
        let (mut last, mut seen) = (0, Vec::new());
        while seen.len() < WRITERS * EACH * 2 {
            let some = store
                .events()
                .after(
                    EventScope::Account(account),
                    &EventFilter::default(),
                    last,
                    7,
                )
                .await
                .unwrap();
            for event in some {
                assert!(event.sequence > last);
                last = event.sequence;
                seen.push(event.id);
            }
            tokio::task::yield_now().await;
        }
        seen
    });
    for writer in join_all(writers).await {
        writer.unwrap();
    }
    let limit = std::time::Duration::from_secs(20);
    let seen = tokio::time::timeout(limit, reader)
        .await
        .expect("the reader skipped one")
        .unwrap();
    let all = db
        .store
        .events()
        .after(EventScope::Everything, &EventFilter::default(), 0, 1000)
        .await
        .unwrap();
    assert_eq!(seen, all.iter().map(|event| event.id).collect::<Vec<_>>());
    assert_eq!(
        db.store.events().latest_sequence().await.unwrap(),
        all.last().unwrap().sequence
    );
}

async fn every_field_comes_back(db: TestDb) {
    let account = db.account("a@b.c").await;
    let actors = [
        Actor::User(db.id()),
        Actor::Agent(db.id()),
        Actor::Dtma(db.id()),
        Actor::System,
        Actor::Service,
        Actor::Anonymous,
    ];
    let told: Vec<NewEvent> = actors
        .into_iter()
        .map(|actor| NewEvent {
            account_id: (actor != Actor::Anonymous).then_some(account),
            actor,
            kind: "session.refused",
            object: (ObjectKind::CatalogEntry, db.id()),
            outcome: Outcome::Denied,
            message: "Größe — 'x'; DROP TABLE events; --".into(),
            data: json!({"z": 1, "a": [null, "ü"]}),
            source_ip: Some("2001:db8::1".into()),
            request_id: Some("req-1".into()),
        })
        .collect();
    db.store.events().append(&told).await.unwrap();
    let read = db
        .store
        .events()
        .after(EventScope::Everything, &EventFilter::default(), 0, 100)
        .await
        .unwrap();
    assert_eq!(read.len(), told.len());
    for (new, old) in told.iter().zip(read) {
        assert_eq!(
            (new.account_id, new.actor, new.kind),
            (old.account_id, old.actor, &*old.kind)
        );
        assert_eq!(
            (new.object, new.outcome, &new.message),
            (old.object, old.outcome, &old.message)
        );
        assert_eq!((&new.data, &new.source_ip), (&old.data, &old.source_ip));
        assert_eq!(
            (&new.request_id, db.ambient.now()),
            (&old.request_id, old.at)
        );
    }
}

async fn the_timeline_is_scoped_filtered_and_paged(db: TestDb) {
    let (mine, other) = (db.account("a@b.c").await, db.account("o@b.c").await);
    let events = db.store.events();
    assert_eq!(events.latest_sequence().await.unwrap(), 0);
    let object = db.id();
    for n in 0..5 {
        let mut one = event(
            mine,
            if n % 2 == 0 {
                "instance.a"
            } else {
                "instance_a.b"
            },
        );
        if n == 3 {
            one.object = (ObjectKind::Link, object);
        }
        events.append(&[one]).await.unwrap();
        events.append(&[event(other, "instance.a")]).await.unwrap();
    }
    let scope = EventScope::Account(mine);
    let all = EventFilter::default;
    let first = events.list(scope, &all(), None, 3).await.unwrap();
    let second = events
        .list(scope, &all(), first.next_before, 3)
        .await
        .unwrap();
    assert_eq!(
        (first.items.len(), second.items.len(), second.next_before),
        (3, 2, None)
    );
    let sequences: Vec<_> = first
        .items
        .iter()
        .chain(&second.items)
        .map(|e| e.sequence)
        .collect();
    assert!(
        sequences.windows(2).all(|pair| pair[0] > pair[1]),
        "{sequences:?}"
    );
    assert!(
        first
            .items
            .iter()
            .chain(&second.items)
            .all(|e| e.account_id == Some(mine))
    );

    let count = async |filter: EventFilter| {
        events
            .list(scope, &filter, None, 200)
            .await
            .unwrap()
            .items
            .len()
    };
    assert_eq!(
        count(EventFilter {
            kind_prefix: Some("instance.".into()),
            ..all()
        })
        .await,
        3
    );
    assert_eq!(
        count(EventFilter {
            kind_prefix: Some("instance_".into()),
            ..all()
        })
        .await,
        2
    );
    assert_eq!(
        count(EventFilter {
            object_kind: Some(ObjectKind::Link),
            ..all()
        })
        .await,
        1
    );
    assert_eq!(
        count(EventFilter {
            object_id: Some(object),
            ..all()
        })
        .await,
        1
    );
    let everything = events
        .list(EventScope::Everything, &all(), None, 200)
        .await
        .unwrap();
    assert_eq!(everything.items.len(), 10);
}
