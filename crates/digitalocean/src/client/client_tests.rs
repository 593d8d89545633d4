//! A call as a whole: how often it is sent, how long it waits, what it tells.

use chrono::TimeDelta;
use http::Method;
use secrecy::SecretString;
use serde_json::json;
use tokio::time::Instant;

use super::{Client, InvalidToken, PATIENCE, Removal};
use crate::droplets::{DropletAction, ImageRef, NewDroplet};
use crate::testing::{
    Scripted, Step, TOKEN, answer, answer_with, client, client_with, droplet_json, gateway_page,
    refusal, seconds, start,
};
use crate::{
    Budget, DropletId, DropletName, Endpoint, Error, LimitedBy, Limits, RateLimited, Reason,
    TagName,
};

fn wish() -> NewDroplet {
    let image = ImageRef::Slug("ubuntu-24-04-x64".into());
    NewDroplet::new(DropletName::parse("a").unwrap(), "s-1vcpu-1gb", image)
}

fn found() -> Step {
    answer(
        200,
        json!({"droplet": droplet_json(7, "a", &[])}).to_string(),
    )
}

#[tokio::test(start_paused = true)]
async fn a_create_is_sent_once_whatever_happens() {
    let too_many = || answer_with(429, &[("retry-after", "1")], r#"{"id":"x","message":"y"}"#);
    for (step, kind) in [
        (refusal(500, "server_error", "x"), "ambiguous"),
        (refusal(503, "service_unavailable", "x"), "ambiguous"),
        (gateway_page(504), "ambiguous"),
        (gateway_page(502), "ambiguous"),
        (Step::Lost, "ambiguous"),
        (Step::Silent, "ambiguous"),
        (answer(202, "{\"droplet\":"), "ambiguous"),
        (Step::NeverSent, "retryable"),
        (
            refusal(422, "u", "Droplet already has a pending event."),
            "retryable",
        ),
        (refusal(422, "u", "Region is not available"), "final"),
        (too_many(), "rate-limited"),
    ] {
        let told = format!("{step:?}");
        let transport = Scripted::new([step]);
        let error = client(transport.clone())
            .droplets()
            .create(&wish())
            .await
            .unwrap_err();
        let found = match error {
            Error::RateLimited(_) => "rate-limited",
            Error::Retryable(_) => "retryable",
            Error::Ambiguous(_) => "ambiguous",
            Error::Final(_) => "final",
        };
        assert_eq!(found, kind, "{told}");
        assert_eq!(transport.seen().len(), 1, "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_action_is_sent_once() {
    let transport = Scripted::new([Step::Lost]);
    let resize = DropletAction::Resize {
        size: "s-2vcpu-4gb".into(),
    };
    let error = client(transport.clone())
        .droplets()
        .act(DropletId(7), &resize)
        .await;
    assert!(matches!(error, Err(Error::Ambiguous(_))), "{error:?}");
    assert_eq!(transport.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_read_is_repeated_with_longer_and_longer_pauses() {
    let steps = [
        Step::Lost,
        gateway_page(504),
        refusal(500, "server_error", "x"),
        found(),
    ];
    let transport = Scripted::new(steps);
    let droplet = client(transport.clone())
        .droplets()
        .get(DropletId(7))
        .await
        .unwrap();
    assert_eq!(droplet.unwrap().id, DropletId(7));
    let times: Vec<Instant> = transport.seen().iter().map(|seen| seen.at).collect();
    let pauses: Vec<u128> = times
        .windows(2)
        .map(|pair| pair[1].duration_since(pair[0]).as_millis())
        .collect();
    // The longest that they get, rounded up to tokio's milliseconds.
    assert_eq!(pauses, [500, 1000, 2000]);
}

#[tokio::test(start_paused = true)]
async fn a_read_is_given_up_after_four_attempts() {
    let steps = [
        Step::NeverSent,
        Step::NeverSent,
        Step::NeverSent,
        Step::NeverSent,
    ];
    let transport = Scripted::new(steps);
    let error = client(transport.clone())
        .droplets()
        .get(DropletId(7))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Retryable(_)), "{error:?}");
    assert!(transport.is_used_up());
}

#[tokio::test(start_paused = true)]
async fn what_does_not_pass_by_itself_is_not_repeated() {
    for step in [
        refusal(401, "unauthorized", "Unable to authenticate you."),
        refusal(422, "u", "Droplet already has a pending event."),
        gateway_page(404),
        answer(200, r#"{"droplet":{"id":"seven"}}"#),
    ] {
        let transport = Scripted::new([step]);
        let result = client(transport.clone()).droplets().get(DropletId(7)).await;
        assert!(result.is_err());
        assert_eq!(transport.seen().len(), 1, "{result:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_given_up_in_time() {
    let transport = Scripted::new([Step::Silent]);
    let before = Instant::now();
    let result = client(transport).droplets().create(&wish()).await;
    assert_eq!(before.elapsed(), super::ANSWER_LIMIT);
    let error = result.unwrap_err();
    assert!(
        matches!(error.reason(), Some(Reason::Unanswered(_))),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_the_server_asks_for_is_kept() {
    let busy = answer_with(503, &[("retry-after", "7")], r#"{"id":"x","message":"y"}"#);
    let transport = Scripted::new([busy, found()]);
    let before = Instant::now();
    client(transport)
        .droplets()
        .get(DropletId(7))
        .await
        .unwrap();
    assert_eq!(before.elapsed(), seconds(7));
}

#[tokio::test(start_paused = true)]
async fn a_pause_without_measure_is_not_waited_for() {
    let headers = [("retry-after", "18446744073709551615")];
    for status in [429, 503] {
        let transport =
            Scripted::new([answer_with(status, &headers, r#"{"id":"x","message":"y"}"#)]);
        let before = Instant::now();
        let result = client(transport).droplets().get(DropletId(7)).await;
        assert!(
            result.is_err() && before.elapsed() < seconds(1),
            "{result:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_is_waited_out() {
    let headers = [("ratelimit-remaining", "0"), ("retry-after", "29")];
    let limited = answer_with(
        429,
        &headers,
        r#"{"id":"too_many_requests","message":"API Rate limit exceeded."}"#,
    );
    let transport = Scripted::new([limited, found()]);
    let before = Instant::now();
    client(transport)
        .droplets()
        .get(DropletId(7))
        .await
        .unwrap();
    assert_eq!(before.elapsed(), seconds(29));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_hour_is_told_not_waited_for() {
    let headers = [
        ("date", "Fri, 21 Jul 2023 01:00:00 GMT"),
        ("ratelimit-remaining", "0"),
        // 1,800 s later.
        ("ratelimit-reset", "1689903000"),
    ];
    let limited = answer_with(429, &headers, "<html>429</html>");
    let transport = Scripted::new([limited]);
    let budget = Budget::default();
    let client = client_with(transport.clone(), budget);
    let before = Instant::now();
    let error = client.droplets().get(DropletId(7)).await.unwrap_err();
    assert!(before.elapsed() <= seconds(1), "{:?}", before.elapsed());
    let Error::RateLimited(RateLimited { retry_at, .. }) = error else {
        panic!("{error:?}");
    };
    let wait = retry_at - start();
    assert!(
        (wait - TimeDelta::seconds(1800)).abs() <= TimeDelta::seconds(1),
        "{wait}"
    );

    // Everybody with this budget knows it now, and nothing is sent.
    let error = client
        .clone()
        .urgent()
        .droplets()
        .delete(DropletId(7))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::RateLimited(RateLimited {
                by: LimitedBy::Budget,
                ..
            })
        ),
        "{error:?}"
    );
    assert_eq!(transport.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn clients_with_one_budget_keep_the_limit_together() {
    let budget = Budget::with_limits(Limits {
        per_minute: 2,
        ..Limits::default()
    });
    let one = Scripted::new([found(), found()]);
    let other = Scripted::new([found()]);
    let first = client_with(one, budget.clone());
    let second = client_with(other, budget);
    let before = Instant::now();
    first.droplets().get(DropletId(7)).await.unwrap();
    first.droplets().get(DropletId(7)).await.unwrap();
    assert_eq!(before.elapsed(), seconds(0));
    second.droplets().get(DropletId(7)).await.unwrap();
    assert!(before.elapsed() >= seconds(60), "{:?}", before.elapsed());
    assert!(before.elapsed() < PATIENCE);
}

#[tokio::test(start_paused = true)]
async fn a_deletion_whose_answer_was_lost_is_repeated_and_then_done() {
    let transport = Scripted::new([Step::Lost, refusal(404, "not_found", "gone")]);
    let removal = client(transport.clone())
        .droplets()
        .delete(DropletId(7))
        .await
        .unwrap();
    assert_eq!(removal, Removal::NotFound);
    assert!(
        transport
            .seen()
            .iter()
            .all(|seen| seen.method == Method::DELETE)
    );
}

#[tokio::test(start_paused = true)]
async fn a_gateways_404_does_not_make_a_droplet_gone() {
    for status in [404, 410] {
        let transport = Scripted::new([gateway_page(status)]);
        let result = client(transport).droplets().delete(DropletId(7)).await;
        assert!(matches!(result, Err(Error::Retryable(_))), "{result:?}");
        let transport = Scripted::new([gateway_page(status)]);
        let result = client(transport).droplets().get(DropletId(7)).await;
        assert!(matches!(result, Err(Error::Retryable(_))), "{result:?}");
    }
    let transport = Scripted::new([refusal(404, "not_found", "gone")]);
    assert_eq!(
        client(transport)
            .droplets()
            .get(DropletId(7))
            .await
            .unwrap(),
        None
    );
}

#[tokio::test(start_paused = true)]
async fn putting_something_into_a_set_is_repeated() {
    let transport = Scripted::new([gateway_page(502), answer(204, "")]);
    let tag = TagName::parse("env:1").unwrap();
    let things = [crate::tags::Taggable::droplet(DropletId(7))];
    client(transport.clone())
        .tags()
        .tag(&tag, &things)
        .await
        .unwrap();
    let seen = transport.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[1].target, "/v2/tags/env:1/resources");
    assert_eq!(
        seen[1].body,
        r#"{"resources":[{"resource_id":"7","resource_type":"droplet"}]}"#
    );
}

#[tokio::test(start_paused = true)]
async fn the_token_is_never_told_even_if_it_is_echoed() {
    let echo = format!("token {TOKEN} is bad");
    let client = client(Scripted::new([refusal(401, TOKEN, &echo)]));
    let error = client.droplets().get(DropletId(7)).await.unwrap_err();
    let told = format!("{error} {error:?} {client:?} {:?}", client.droplets());
    assert!(!told.contains(TOKEN), "{told}");
    assert!(told.contains("token [token] is bad"), "{told}");

    let echo = json!({"droplet": {"id": TOKEN}}).to_string();
    let transport = Scripted::new([answer(200, echo)]);
    let client = self::client(transport.clone());
    let error = client.droplets().get(DropletId(7)).await.unwrap_err();
    let told = format!("{error} {error:?}");
    assert!(!told.contains(TOKEN) && told.contains("[token]"), "{told}");
    let request = &transport.seen()[0].debug;
    assert!(
        !request.contains(TOKEN) && request.contains("authorization"),
        "{request}"
    );
}

#[test]
fn a_call_does_not_show_what_it_sends() {
    let secret = crate::UserData::parse(SecretString::from("enr_canary")).unwrap();
    let wish = NewDroplet {
        user_data: Some(secret),
        ..wish()
    };
    let call = super::Call::post("create a droplet", ["droplets"])
        .json(&wish)
        .unwrap();
    let told = format!("{call:?}");
    assert!(told.contains("create a droplet"), "{told}");
    // Bytes print as text, a number per byte would be "99, 97, 110".
    assert!(
        !told.contains("canary") && !told.contains("99, 97, 110"),
        "{told}"
    );
}

#[test]
fn a_token_that_can_not_be_one_is_refused_unseen() {
    for token in ["", "a b", "a\nb", "ä"] {
        let result = Client::new(
            Scripted::new([]),
            Endpoint::production(),
            SecretString::from(token),
            Budget::default(),
            agentopia_domain::Ambient::system(),
        );
        assert_eq!(result.err(), Some(InvalidToken), "{token:?}");
    }
}
