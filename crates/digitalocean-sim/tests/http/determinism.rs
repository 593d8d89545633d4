//! The same seed and the same requests at the same times: the same bytes.

use digitalocean_sim::faults::Rates;
use digitalocean_sim::journal::JournalFilter;
use serde_json::json;

use crate::rig::{Answer, Rig, options, wish};

fn bytes(answer: &Answer) -> String {
    let headers: Vec<_> = answer.headers.iter().collect();
    format!(
        "{} {headers:?} {:?} {}\n",
        answer.status, answer.lost, answer.text
    )
}

/// A long story with everything in it; all answers, and the journal.
async fn story(seed: u64) -> (String, String) {
    let mut options = options(seed);
    options.faults.rates = Rates::everything(0.1);
    let rig = Rig::of(options);
    let mut answers = String::new();
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0Tt1bYOW5ctnAxwTMHNOTRyJ5pXHzGVFyqf3u9Q0zm";
    let rule = json!({"protocol": "tcp", "ports": "22", "sources": {"addresses": ["::/0"]}});
    for n in 0..12_u64 {
        let tag = format!("env:{n}");
        let mut created = wish(&format!("web{n}"), &tag);
        created["user_data"] = json!(format!("#!/bin/sh\necho {n}"));
        let calls = [
            ("POST", "/v2/droplets".to_owned(), Some(created)),
            ("GET", format!("/v2/droplets?tag_name={tag}"), None),
            (
                "POST",
                "/v2/firewalls".to_owned(),
                Some(json!({
                    "name": format!("fw{n}"), "inbound_rules": [rule], "tags": [tag],
                })),
            ),
            (
                "POST",
                "/v2/account/keys".to_owned(),
                Some(json!({"name": "k", "public_key": key})),
            ),
            (
                "POST",
                "/v2/projects".to_owned(),
                Some(json!({"name": "p", "purpose": "IoT"})),
            ),
            (
                "POST",
                format!("/v2/droplets/actions?tag_name={tag}"),
                Some(json!({"type": "shutdown"})),
            ),
            ("GET", "/v2/droplets?per_page=3".to_owned(), None),
            ("GET", "/v2/actions".to_owned(), None),
            ("GET", "/v2/firewalls".to_owned(), None),
            ("GET", "/v2/tags".to_owned(), None),
            ("GET", "/v2/projects/default/resources".to_owned(), None),
            (
                "DELETE",
                format!("/v2/droplets?tag_name=env:{}", n / 2),
                None,
            ),
        ];
        for (method, path, body) in calls {
            answers += &bytes(&rig.call(method, &path, body).await);
            rig.pass(7 + n);
        }
        for droplet in rig.simulator.droplets().await {
            let resize = json!({"type": "resize", "size": "s-2vcpu-4gb"});
            answers += &bytes(&rig.act(droplet.id.0, resize).await);
        }
    }
    let journal = rig.simulator.journal(&JournalFilter::default());
    (answers, serde_json::to_string(&journal).unwrap())
}

#[tokio::test]
async fn a_seed_is_a_run() {
    let (answers, journal) = story(42).await;
    let (answers_again, journal_again) = story(42).await;
    assert!(answers.lines().count() > 100);
    assert_eq!(answers, answers_again);
    assert_eq!(journal, journal_again);
    let (other, _) = story(43).await;
    assert_ne!(answers, other);
}

#[tokio::test]
async fn a_reset_begins_the_run_anew() {
    let rig = Rig::new();
    let run = async || {
        let mut answers = String::new();
        for _ in 0..3 {
            answers += &bytes(&rig.post("/v2/droplets", wish("web", "env:1")).await);
        }
        answers += &bytes(&rig.get("/v2/droplets").await);
        answers
    };
    let first = run().await;
    rig.simulator.reset(None).await;
    assert_eq!(first, run().await);
    rig.simulator.reset(Some(99)).await;
    assert_ne!(first, run().await);
}
