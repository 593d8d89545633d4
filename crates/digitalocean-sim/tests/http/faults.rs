//! Faults of requests, before and after their side effect; faults from a file.

use digitalocean_sim::AnswerLost;
use digitalocean_sim::faults::Rates;
use digitalocean_sim::journal::JournalFilter;
use serde_json::json;

use crate::rig::{Answer, Rig, wish};

async fn total(rig: &Rig) -> u64 {
    rig.simulator.droplets().await.len() as u64
}

/// The answer to a creation with one fault, and how many droplets there are afterwards.
async fn faulty(answer: &str, side_effect: &str) -> (Answer, u64, Rig) {
    let rig = Rig::with_faults(&format!(
        r#"
        [[request]]
        method = "POST"
        path = "/v2/droplets"
        when = {{ nth = 1 }}
        answer = "{answer}"
        side_effect = "{side_effect}"
        "#
    ));
    let answer = rig.post("/v2/droplets", wish("web", "env:1")).await;
    let made = total(&rig).await;
    (answer, made, rig)
}

#[tokio::test]
async fn every_answer_can_fail_before_and_after_the_side_effect() {
    for (side_effect, expected) in [("before", 0), ("after", 1)] {
        for (name, status, id) in [
            ("429-burst", 429, "too_many_requests"),
            ("429-hourly", 429, "too_many_requests"),
            ("500", 500, "server_error"),
            ("502", 502, "bad_gateway"),
            ("503", 503, "service_unavailable"),
        ] {
            let (answer, made, rig) = faulty(name, side_effect).await;
            assert_eq!(answer.with(status)["id"], id);
            assert_eq!(made, expected, "{name} {side_effect}");
            let waits = !answer.header("retry-after").is_empty();
            assert_eq!(waits, name == "429-burst");
            let exhausted = answer.header("ratelimit-remaining") == "0";
            assert_eq!(exhausted, name == "429-hourly");
            // The next one is none of the rule's business.
            rig.post("/v2/droplets", wish("web", "env:1"))
                .await
                .with(202);
        }
        let (page, made, _) = faulty("504-html", side_effect).await;
        assert_eq!((page.status, made), (504, expected));
        assert!(page.header("content-type").starts_with("text/html"));
        assert!(page.text.starts_with("<!DOCTYPE html>"));
        for (name, how) in [
            ("closed", AnswerLost::Closed),
            ("silent", AnswerLost::Silent),
        ] {
            let (answer, made, _) = faulty(name, side_effect).await;
            assert_eq!(
                (answer.lost, answer.status, made),
                (Some(how), 599, expected)
            );
        }
    }
}

#[tokio::test]
async fn the_journal_tells_what_really_happened() {
    let (_, _, rig) = faulty("closed", "after").await;
    rig.post("/v2/droplets", wish("web", "env:1"))
        .await
        .with(202);
    let entries = rig.simulator.journal(&JournalFilter {
        method: Some("POST".to_owned()),
        ..JournalFilter::default()
    });
    assert_eq!(entries.len(), 2);
    assert_eq!(
        (entries[0].status, entries[0].real_status),
        (None, Some(202))
    );
    assert_eq!(
        (entries[1].status, entries[1].real_status),
        (Some(202), Some(202))
    );
    let creations = &rig.simulator.creations()["env:1"];
    assert_eq!((creations.requests, creations.droplets.len()), (2, 2));
    let (_, _, rig) = faulty("503", "before").await;
    let entry = &rig.simulator.journal(&JournalFilter::default())[0];
    assert_eq!((entry.status, entry.real_status), (Some(503), None));
    assert!(rig.simulator.creations().is_empty());
}

#[tokio::test]
async fn gateways_fail_whoever_asks_and_nothing_is_counted() {
    let rig = Rig::with_faults("[[request]]\nanswer = \"502\"\nwhen = { nth = 1 }");
    rig.call_as("nobody", "GET", "/v2/account", None)
        .await
        .with(502);
    rig.simulator.set_faults(rig.simulator.faults());
    rig.get("/v2/account").await.with(502);
    let remaining = async || {
        let answer = rig.get("/v2/account").await;
        answer.header("ratelimit-remaining").to_owned()
    };
    assert_eq!(remaining().await, "4999");
}

#[tokio::test]
async fn the_first_rule_wins_and_the_others_keep_their_bite() {
    let rig = Rig::with_faults(
        r#"
        [[request]]
        answer = "503"
        when = { nth = 1 }

        [[request]]
        answer = "500"
        when = { count = 1 }

        [[request]]
        answer = "502"
        when = { nth = 3 }
        "#,
    );
    for status in [503, 500, 502, 200] {
        rig.get("/v2/account").await.with(status);
    }
}

#[tokio::test]
async fn a_file_tells_everything() {
    let rig = Rig::with_faults(
        r#"
        [[request]]
        path = "/v2/droplets/*"
        when = { every = 2, count = 1 }
        answer = "500"

        [[resource]]
        fault = "vanish"
        tag = "env:gone"
        delay = "10s"

        [[resource]]
        fault = "action_errored"
        action = "shutdown"

        [rates]
        after_side_effect = 1.0
        request = { "503" = 0.0 }
        resource = { stuck_new = 0.0 }
        "#,
    );
    let gone = rig.droplet("env:gone").await;
    let kept = rig.droplet("env:kept").await;
    rig.pass(10);
    rig.get(&format!("/v2/droplets/{gone}")).await.refused(404);
    rig.get(&format!("/v2/droplets/{kept}")).await.with(500);
    let action = rig.act(kept, json!({"type": "shutdown"})).await.with(201);
    let path = format!("/v2/actions/{}", action["action"]["id"]);
    assert_eq!(
        rig.get(&path).await.with(200)["action"]["status"],
        "errored"
    );
    assert_eq!(rig.status(kept).await, "active");
}

#[tokio::test]
async fn a_file_that_is_wrong_is_refused() {
    for wrong in [
        "[[request]]\nanswer = \"418\"",
        "[[request]]\nanswer = \"500\"\nwhen = { nth = 0 }",
        "[[request]]\nanswer = \"500\"\nwhere = 1",
        "[[resource]]\nfault = \"boredom\"",
        "[[resource]]\nfault = \"vanish\"\ndelay = \"soon\"",
        "fault = 1",
    ] {
        assert!(
            toml::from_str::<digitalocean_sim::FaultPlan>(wrong).is_err(),
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn rates_make_everything_happen_in_the_long_run() {
    let rig = Rig::new();
    rig.simulator.set_faults(digitalocean_sim::FaultPlan {
        rates: Rates::everything(0.3),
        ..digitalocean_sim::FaultPlan::default()
    });
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..300 {
        let answer = rig.get("/v2/sizes").await;
        seen.insert((answer.status, answer.lost.map(|lost| format!("{lost:?}"))));
        rig.pass(10);
    }
    let statuses: std::collections::BTreeSet<_> = seen.iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses, [200, 429, 500, 502, 503, 504, 599].into());
    assert_eq!(seen.len(), 8, "{seen:?}");
}

#[test]
fn the_examples_in_the_readme_are_right() {
    #[derive(serde::Deserialize)]
    struct File {
        settings: digitalocean_sim::Settings,
        tokens: Vec<digitalocean_sim::Token>,
    }
    let readme = include_str!("../../README.md");
    let blocks = readme.split("```toml\n").skip(1);
    let blocks: Vec<_> = blocks
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    let [faults, settings] = blocks.as_slice() else {
        panic!("{blocks:?}")
    };
    let plan = crate::rig::plan(faults);
    assert_eq!((plan.request.len(), plan.resource.len()), (1, 1));
    let file: File = toml::from_str(settings).unwrap();
    assert_eq!(file.settings, digitalocean_sim::Settings::default());
    assert_eq!(file.tokens.len(), 1);
}
