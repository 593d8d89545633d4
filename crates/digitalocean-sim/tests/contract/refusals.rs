//! Every operation, refused in every way that does not depend on what it does.

use digitalocean_sim::faults::{Answer, RequestRule, SideEffect, When};
use digitalocean_sim::settings::{RateLimits, Scopes, Token};
use digitalocean_sim::{FULL_TOKEN, Settings};
use serde_json::json;

use crate::prism::Operation;
use crate::rig::{Rig, assert_error};

#[tokio::test]
async fn contract_every_operation_can_be_refused() {
    let rig = Rig::start().await;
    let mut tokens = rig.simulator.tokens();
    tokens.push(Token {
        name: "nothing".to_owned(),
        secret: "nothing".into(),
        scopes: Scopes::Only([].into()),
    });
    rig.simulator.set_tokens(tokens);
    let body = json!({
        "name": "a1", "public_key": "k", "type": "power_off", "image": 1, "size": "s-1vcpu-1gb",
        "droplet_ids": [], "tags": [], "resources": [], "inbound_rules": [], "url": "u",
        "region": "nyc1", "description": "d", "purpose": "p", "environment": "Staging",
        "is_default": true,
    });
    for operation in Operation::all() {
        let (method, mut path) = (operation.method.as_str(), operation.sample());
        if path == "/v2/droplets/actions" || method == "DELETE" && path == "/v2/droplets" {
            path += "?tag_name=none";
        }
        let body = Some(&body).filter(|_| method != "GET");
        for (token, status) in [(None, 401), (Some("wrong"), 401), (Some("nothing"), 403)] {
            let answer = rig.call(token, method, &path, body).await;
            assert_eq!(answer.status, status, "{method} {path}");
            assert_error(&answer, &format!("{method} {path}"));
        }
        for (fault, status) in [
            (Answer::TooManyBurst, 429),
            (Answer::TooManyHourly, 429),
            (Answer::ServerError, 500),
            (Answer::BadGateway, 502),
            (Answer::Unavailable, 503),
        ] {
            for side_effect in [SideEffect::Before, SideEffect::After] {
                let rule = RequestRule::new(fault).when(When::nth(1));
                rig.simulator.set_faults(Default::default());
                rig.simulator.add_request_fault(RequestRule {
                    side_effect,
                    ..rule
                });
                let answer = rig.call(Some(FULL_TOKEN), method, &path, body).await;
                assert_eq!(answer.status, status, "{method} {path}");
                assert_error(&answer, &format!("{method} {path}"));
            }
        }
        rig.simulator.set_faults(Default::default());
    }
    assert_eq!(rig.never(|status| status == 403), []);
}

#[tokio::test]
async fn contract_a_full_window_is_told() {
    let rig = Rig::start().await;
    rig.good("GET", "/v2/sizes", None, 200).await;
    for (hourly, burst) in [(0, 10), (10, 0)] {
        rig.simulator.set_settings(Settings {
            rate_limits: RateLimits {
                hourly,
                burst,
                ..RateLimits::default()
            },
            ..rig.simulator.settings()
        });
        rig.bad("GET", "/v2/sizes", None, 429).await;
    }
}

/// What these tests rest on: Prism does find what does not fit.
#[tokio::test]
async fn contract_prism_finds_what_does_not_fit() {
    let rig = Rig::start().await;
    let page = RequestRule::new(Answer::GatewayTimeout).when(When::nth(1));
    rig.simulator.add_request_fault(page);
    let answer = rig.call(Some(FULL_TOKEN), "GET", "/v2/account", None).await;
    assert_eq!(answer.status, 504);
    assert!(
        !answer.own_violations().is_empty(),
        "a page of HTML is in no contract"
    );
    let answer = rig
        .call(Some(FULL_TOKEN), "GET", "/v2/droplets?per_page=0", None)
        .await;
    assert!(answer.own_violations().is_empty() && !answer.violations.is_empty());
}
