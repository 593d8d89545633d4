//! Verification: a good account passes, each wrong thing is named, and nothing is ever changed.

use std::collections::BTreeSet;

use agentopia_cloud::MachineProvider as _;
use agentopia_digitalocean::ProjectId;
use agentopia_digitalocean::firewalls::{InboundRule, Ports, Protocol, Rules, Targets};
use agentopia_digitalocean::keys::NewKey;
use agentopia_digitalocean::provider::ProviderSettings;
use agentopia_domain::verification::{Check, Outcome};
use digitalocean_sim::FULL_TOKEN;
use digitalocean_sim::faults::{Answer, RequestRule};
use digitalocean_sim::journal::JournalFilter;
use digitalocean_sim::settings::{AccountStatus, Scopes, Token};
use tokio::time::{Duration, Instant};

use crate::rig::{Rig, settings};

/// Every scope that reading needs, with keys and projects.
const READING: [&str; 9] = [
    "account:read",
    "droplet:read",
    "firewall:read",
    "tag:read",
    "regions:read",
    "sizes:read",
    "image:read",
    "ssh_key:read",
    "project:read",
];

fn scoped(rig: &Rig, scopes: impl IntoIterator<Item = &'static str>) {
    rig.simulator.set_tokens(vec![Token {
        name: "scoped".to_owned(),
        secret: FULL_TOKEN.into(),
        scopes: Scopes::Only(scopes.into_iter().map(str::to_owned).collect()),
    }]);
}

/// Looks, and makes sure that nothing but reading was done.
async fn look(rig: &Rig) -> Vec<Check> {
    let all = JournalFilter::default();
    let before = rig.simulator.journal(&all).len();
    let checks = rig.provider.verify().await;
    let entries = rig.simulator.journal(&all);
    for entry in &entries[before..] {
        assert_eq!(entry.method, "GET", "{entry:?}");
    }
    checks
}

async fn wrong(rig: &Rig) -> Vec<(String, Outcome, String)> {
    let checks = look(rig).await.into_iter();
    let wrong = checks.filter(|it| matches!(it.outcome, Outcome::Warning | Outcome::Failed));
    wrong.map(|it| (it.name, it.outcome, it.detail)).collect()
}

/// The one thing that is wrong, with what its sentence has to say.
async fn only_wrong(rig: &Rig, name: &str, outcome: Outcome, parts: &[&str]) {
    let found = wrong(rig).await;
    let [(found_name, found_outcome, detail)] = &found[..] else {
        panic!("{name}: {found:?}");
    };
    assert_eq!(
        (found_name.as_str(), *found_outcome),
        (name, outcome),
        "{detail}"
    );
    for part in parts {
        assert!(detail.contains(part), "{part}: {detail}");
    }
}

async fn with_key_and_project() -> Rig {
    let rig = Rig::new();
    let key = NewKey {
        name: "ops".to_owned(),
        public_key:
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0Tt1bYOW5ctnAxwTMHNOTRyJ5pXHzGVFyqf3u9Q0zm ops"
                .to_owned(),
    };
    let key = rig.api.keys().create(&key).await.unwrap();
    let projects = rig.api.projects().list().all().await.unwrap();
    rig.with_provider(ProviderSettings {
        ssh_keys: vec![key.fingerprint],
        project: Some(projects[0].id.clone()),
        ..settings()
    })
}

#[tokio::test(start_paused = true)]
async fn a_good_account_passes_and_what_cannot_be_seen_is_said() {
    let rig = with_key_and_project().await;
    let machine = rig.provider.create(&rig.request(1)).await.unwrap();
    crate::rig::seconds(30).await;
    let checks = look(&rig).await;
    let of = |name: &str| checks.iter().find(|check| check.name == name).unwrap();
    for check in &checks {
        let expected = match check.name.as_str() {
            "provider.scopes.change" => Outcome::Skipped,
            _ => Outcome::Ok,
        };
        assert_eq!(check.outcome, expected, "{check:?}");
    }
    assert!(
        of("provider.droplet_limit").detail.starts_with("1 of "),
        "{machine:?}"
    );
    assert!(of("provider.requests").detail.contains("of 5000 requests"));
    assert!(of("provider.scopes.read").detail.contains("project:read"));
    let change = &of("provider.scopes.change").detail;
    assert!(
        change.contains("droplet:create") && change.contains("project:update"),
        "{change}"
    );
    assert!(of("provider.ssh_key").subject.is_some());
    assert_eq!(checks.len(), 12, "{checks:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_not_accepted_is_one_failure() {
    let rig = Rig::new();
    rig.simulator.set_tokens(Vec::new());
    only_wrong(
        &rig,
        "provider.token",
        Outcome::Failed,
        &["HTTP 401", "new personal access token"],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn each_scope_that_reading_lacks_is_named_and_hides_nothing_else() {
    for lacking in &READING[1..] {
        let rig = with_key_and_project().await;
        scoped(&rig, READING.into_iter().filter(|scope| scope != lacking));
        let found = wrong(&rig).await;
        let named = match *lacking {
            // Sizes are read with regions.
            "regions:read" => "lacks regions:read, sizes:read:".to_owned(),
            other => format!("lacks {other}:"),
        };
        let [(name, Outcome::Failed, detail)] = &found[..] else {
            panic!("{lacking}: {found:?}");
        };
        assert_eq!(name, "provider.scopes.read");
        assert!(
            detail.contains(&named) && detail.contains("DO_API_TOKEN"),
            "{detail}"
        );
    }
    // Only verification reads the account.
    let rig = with_key_and_project().await;
    scoped(&rig, READING.into_iter().skip(1));
    assert_eq!(wrong(&rig).await, []);
}

#[tokio::test(start_paused = true)]
async fn what_is_configured_and_not_there_is_named() {
    type Change = fn(&mut ProviderSettings);
    let cases: [(&str, Change, &[&str]); 7] = [
        (
            "provider.region",
            |s| s.region = Some("nyc2".into()),
            &["nyc2", "takes no new droplets"],
        ),
        (
            "provider.size",
            |s| s.size = Some("s-0".into()),
            &["s-0", "s-1vcpu-1gb"],
        ),
        (
            "provider.image",
            |s| s.image = "ubuntu-4".into(),
            &["ubuntu-4", "ubuntu-24-04-x64"],
        ),
        (
            "provider.image",
            |s| s.image = "4711".into(),
            &["4711", "does not exist"],
        ),
        (
            "provider.ssh_key",
            |s| s.ssh_keys = vec!["aa:bb".into()],
            &["DO_SSH_KEY_FINGERPRINTS"],
        ),
        (
            "provider.ssh_key",
            |s| s.ssh_keys = vec!["4711".into()],
            &["4711"],
        ),
        (
            "provider.project",
            |s| s.project = Some(ProjectId("4e1bfbc3-dc3e-41f2-a18f-1b4d7ba71679".into())),
            &["4e1bfbc3", "DO_PROJECT_ID"],
        ),
    ];
    for (name, change, parts) in cases {
        let mut settings = settings();
        change(&mut settings);
        let rig = Rig::with(settings);
        let found = wrong(&rig).await;
        let said = found.iter().find(|(found, ..)| found == name);
        let Some((_, Outcome::Failed, detail)) = said else {
            panic!("{name}: {found:?}");
        };
        for part in parts {
            assert!(detail.contains(part), "{part}: {detail}");
        }
        // A region that is closed has none of the sizes and images either.
        assert!(found.len() == 1 || name == "provider.region", "{found:?}");
    }
    let mut none = settings();
    none.region = None;
    let found = wrong(&Rig::with(none)).await;
    let warned: Vec<_> = found
        .iter()
        .map(|(name, outcome, _)| (name.as_str(), *outcome))
        .collect();
    let expected = ["provider.region", "provider.size"].map(|name| (name, Outcome::Warning));
    assert_eq!(warned, expected);
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_full_or_locked_says_so() {
    let rig = Rig::new();
    let plain = rig.simulator.settings();
    let with = |change: &dyn Fn(&mut digitalocean_sim::settings::Settings)| {
        let mut settings = plain.clone();
        change(&mut settings);
        rig.simulator.set_settings(settings);
    };
    with(&|s| s.droplet_limit = 0);
    let parts = ["0 of 0 droplets", "higher limit"];
    only_wrong(&rig, "provider.droplet_limit", Outcome::Failed, &parts).await;
    with(&|s| s.account_status = AccountStatus::Locked);
    only_wrong(&rig, "provider.account", Outcome::Failed, &["locked"]).await;
    with(&|s| s.account_status = AccountStatus::Warning);
    only_wrong(
        &rig,
        "provider.account",
        Outcome::Warning,
        &["payment method"],
    )
    .await;

    with(&|s| s.droplet_limit = 1);
    rig.provider.create(&rig.request(1)).await.unwrap();
    only_wrong(
        &rig,
        "provider.droplet_limit",
        Outcome::Failed,
        &["1 of 1 droplets"],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_firewall_that_was_changed_behind_our_back_is_told_with_the_change() {
    let rig = Rig::new();
    rig.provider.create(&rig.request(1)).await.unwrap();
    crate::rig::seconds(30).await;
    assert_eq!(wrong(&rig).await, []);
    let firewalls = rig.api.firewalls();
    let ours = firewalls.list().all().await.unwrap().remove(0);
    let ssh = Rules {
        inbound: BTreeSet::from([InboundRule {
            protocol: Protocol::Tcp,
            ports: Ports::one(22),
            sources: Targets::anywhere(),
        }]),
        outbound: BTreeSet::new(),
    };
    firewalls.add_rules(&ours.id, &ssh).await.unwrap();
    let parts = ["lets in tcp 22 from 0.0.0.0/0 and ::/0", "control panel"];
    only_wrong(&rig, "provider.firewall", Outcome::Failed, &parts).await;

    firewalls.remove_rules(&ours.id, &ssh).await.unwrap();
    let agent = Rules {
        inbound: ours.rules.inbound.clone(),
        outbound: BTreeSet::new(),
    };
    firewalls.remove_rules(&ours.id, &agent).await.unwrap();
    let parts = ["no longer lets in tcp 30000 from 203.0.113.7"];
    only_wrong(&rig, "provider.firewall", Outcome::Failed, &parts).await;

    firewalls.delete(&ours.id).await.unwrap();
    let parts = ["is gone", "1 droplets are open to everybody"];
    only_wrong(&rig, "provider.firewall", Outcome::Failed, &parts).await;
}

#[tokio::test(start_paused = true)]
async fn what_never_answers_is_given_up_and_named_alone() {
    let rig = Rig::new();
    rig.request_fault(RequestRule::new(Answer::Silent).on("GET", "/v2/sizes"));
    let began = Instant::now();
    only_wrong(
        &rig,
        "provider.size",
        Outcome::Failed,
        &["no answer within 10 s"],
    )
    .await;
    assert!(began.elapsed() < Duration::from_secs(15));
}

#[tokio::test(start_paused = true)]
async fn few_requests_left_are_a_warning() {
    let rig = Rig::new();
    // Whatever waits for its turn is told no when the hour's ordinary requests are used up.
    while rig.api.account().get().await.is_ok() {}
    only_wrong(
        &rig,
        "provider.requests",
        Outcome::Warning,
        &["of 5000 requests"],
    )
    .await;
}
