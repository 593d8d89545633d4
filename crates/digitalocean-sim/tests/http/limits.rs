//! Rate limits.

use digitalocean_sim::settings::RateLimits;
use digitalocean_sim::{READ_TOKEN, Settings};

use crate::rig::Rig;

fn limited(hourly: u32, burst: u32) -> Rig {
    let rig = Rig::new();
    let rate_limits = RateLimits {
        hourly,
        burst,
        ..RateLimits::default()
    };
    rig.simulator.set_settings(Settings {
        rate_limits,
        ..rig.simulator.settings()
    });
    rig
}

/// Seconds at which the rig's clock begins.
const START: u64 = 20_000 * 86_400;

#[tokio::test]
async fn every_answer_tells_the_hour() {
    let rig = Rig::new();
    let first = rig.get("/v2/account").await;
    assert_eq!(
        (
            first.header("ratelimit-limit"),
            first.header("ratelimit-remaining")
        ),
        ("5000", "4999")
    );
    assert_eq!(first.header("ratelimit-reset"), (START + 3600).to_string());
    rig.pass(10);
    let second = rig.get("/v2/droplets/1").await;
    assert_eq!(second.header("ratelimit-remaining"), "4998");
    assert_eq!(second.header("ratelimit-reset"), (START + 3600).to_string());
}

#[tokio::test]
async fn the_minute_tells_when_to_come_back() {
    let rig = limited(100, 2);
    rig.get("/v2/account").await.with(200);
    rig.pass(15);
    rig.get("/v2/account").await.with(200);
    let over = rig.get("/v2/account").await;
    assert_eq!(over.refused(429), "Too many requests");
    assert_eq!(over.header("retry-after"), "45");
    assert_eq!(over.json()["id"], "too_many_requests");
    rig.call_as(READ_TOKEN, "GET", "/v2/account", None)
        .await
        .with(200);
    rig.pass(45);
    rig.get("/v2/account").await.with(200);
}

#[tokio::test]
async fn the_hour_does_not() {
    let rig = limited(2, 100);
    rig.get("/v2/account").await.with(200);
    rig.get("/v2/account").await.with(200);
    let over = rig.get("/v2/account").await;
    assert_eq!(over.refused(429), "API Rate limit exceeded.");
    assert_eq!(over.header("retry-after"), "");
    assert_eq!(over.header("ratelimit-remaining"), "0");
    rig.pass(3600);
    rig.get("/v2/account").await.with(200);
}

#[tokio::test]
async fn the_list_of_keys_is_dear() {
    let rig = Rig::new();
    for _ in 0..10 {
        rig.get("/v2/account/keys").await.with(200);
    }
    let over = rig.get("/v2/account/keys?per_page=200").await;
    assert_eq!((over.status, over.header("retry-after")), (429, "60"));
    rig.get("/v2/account").await.with(200);
    rig.pass(60);
    rig.get("/v2/account/keys").await.with(200);
}
