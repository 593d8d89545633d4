//! Whose sessions there are, how many, and how they end.

use std::time::Duration;

use agentopia_bridge::sse::{HubConfig, OpenError};
use agentopia_domain::Ambient;
use axum::http::StatusCode;
use http::Method;

use crate::bench::{Bench, answer_to, call, config, initialize};
use crate::far::Far;

#[tokio::test]
async fn a_session_is_one_instances_and_one_starts() {
    let mut far = Far::start().await;
    let bench = Bench::of(&far);
    let session = bench.initialized(&mut far).await;
    let other = Bench {
        instance: Ambient::system().new_id(),
        ..bench.clone()
    };
    let answer = other.post(Some(&session), &call(1)).await.unwrap();
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    // It is still there for whom it is.
    let calling = bench.posting(&session, call(1));
    let asked = far.asked().await;
    far.say(&answer_to(&asked, "mine"));
    assert_eq!(calling.await.unwrap().status, StatusCode::OK);
    let restarted = Bench {
        epoch: "2",
        ..bench.clone()
    };
    let answer = restarted.post(Some(&session), &call(1)).await.unwrap();
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    far.streams_become(0).await;
}

#[tokio::test]
async fn a_session_that_is_closed_or_forgotten_closes_its_stream() {
    let mut far = Far::start().await;
    let bench = Bench::of(&far);
    let session = bench.initialized(&mut far).await;
    assert_eq!((far.open(), bench.hub.sessions(bench.instance)), (1, 1));
    let closed = bench.send(Method::DELETE, Some(&session), String::new());
    assert_eq!(closed.await.unwrap().status, StatusCode::NO_CONTENT);
    far.streams_become(0).await;
    bench.initialized(&mut far).await;
    far.streams_become(1).await;
    bench.hub.forget(bench.instance);
    far.streams_become(0).await;
    assert_eq!(bench.hub.sessions(bench.instance), 0);
}

#[tokio::test]
async fn the_idlest_session_makes_room_and_busy_ones_stay() {
    let mut far = Far::start().await;
    let bench = Bench::with(
        &far,
        HubConfig {
            most_sessions: 2,
            evict_after: Duration::ZERO,
            ..config()
        },
    );
    let first = bench.initialized(&mut far).await;
    let calling = bench.posting(&first, call("busy"));
    far.asked().await;
    let second = bench.initialized(&mut far).await;
    let third = bench.initialized(&mut far).await;
    let answer = bench.post(Some(&second), &call(1)).await.unwrap();
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let also = bench.posting(&third, call("busy too"));
    far.asked().await;
    let error = bench.post(None, &initialize()).await.unwrap_err();
    assert_eq!(error, OpenError::TooMany(2));
    assert!(!calling.is_finished() && !also.is_finished());
}

#[tokio::test]
async fn a_session_that_nobody_uses_ends_and_one_that_is_listened_to_stays() {
    let mut far = Far::start().await;
    let bench = Bench::with(
        &far,
        HubConfig {
            idle: Duration::from_millis(300),
            ..config()
        },
    );
    let listened = bench.initialized(&mut far).await;
    let listening = bench.open(Method::GET, Some(&listened), String::new());
    let _stream = listening.await.unwrap();
    bench.initialized(&mut far).await;
    assert_eq!(far.open(), 2);
    far.streams_become(1).await;
    // Longer than a session may be idle: the one that is listened to stays.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(far.open(), 1);
}

#[tokio::test]
async fn a_hub_that_is_gone_leaves_no_stream_behind() {
    let mut far = Far::start().await;
    let bench = Bench::of(&far);
    bench.initialized(&mut far).await;
    bench.hub.close_all();
    far.streams_become(0).await;
}
