//! What a new machine does before it has credentials: downloads and reports (ENV-6).

use std::io::Write as _;
use std::process::Stdio;

use agentopia_domain::event::Event;
use agentopia_dtma_api::to_control_plane::path;
use agentopia_pki::tls::{CaTrust, machine_client_config};
use agentopia_pki::{CONTROL_PLANE_HOST, MachineKey};
use agentopia_store::{EventFilter, EventScope};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::installation::{Installation, program};

fn http(at: &Installation) -> reqwest::Client {
    let trust = CaTrust::Fingerprint(at.authority.ca.fingerprint());
    let tls = machine_client_config(None, &trust).unwrap();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .build()
        .unwrap()
}

async fn report(at: &Installation, token: &str, body: &Value) -> (u16, String) {
    let url = at.url.join(path::BOOTSTRAP).unwrap();
    let call = http(at).post(url).bearer_auth(token).json(body);
    let answer = call.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn timeline(at: &Installation, account: agentopia_domain::AccountId) -> Vec<Event> {
    let (scope, filter) = (EventScope::Account(account), EventFilter::default());
    let events = at
        .store
        .events()
        .after(scope, &filter, 0, 100)
        .await
        .unwrap();
    let ours = |event: &Event| event.kind == "environment.bootstrap";
    events.into_iter().filter(ours).collect()
}

#[tokio::test]
async fn programs_are_what_they_were_at_the_start() {
    let at = Installation::start().await;
    for name in ["dtma", "tool-init"] {
        let url = at.url.join(&path::download(name)).unwrap();
        let answer = http(&at).get(url).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let expected = program(name);
        assert_eq!(answer.content_length(), Some(expected.len() as u64));
        let digest = format!("\"{}\"", hex::encode(Sha256::digest(&expected)));
        assert_eq!(answer.headers()["etag"], digest.as_str());
        assert!(
            answer.bytes().await.unwrap() == expected,
            "{name} came out different"
        );
    }
    for name in ["agentopia", "..%2Fmaster.key", "dtma%00"] {
        let url = at.url.join(&path::download(name)).unwrap();
        assert_eq!(
            http(&at).get(url).send().await.unwrap().status(),
            404,
            "{name}"
        );
    }
}

#[tokio::test]
async fn phases_stand_in_the_timeline_and_the_token_is_still_good() {
    let at = Installation::start().await;
    let owner = at.environment("a@b.c").await;
    let token = at.invite(owner).await;
    let shown = token.expose_secret();
    for phase in ["docker", "download"] {
        let body = json!({"phase": phase, "outcome": "started", "log": "not of interest"});
        assert_eq!(report(&at, shown, &body).await.0, 204);
    }
    let log = format!("it said {shown}\nno space left");
    let body = json!({"phase": "download", "outcome": "failed", "log": log});
    assert_eq!(report(&at, shown, &body).await.0, 204);

    let events = timeline(&at, owner.0).await;
    let told: Vec<_> = events
        .iter()
        .map(|event| event.data["phase"].clone())
        .collect();
    assert_eq!(told, ["docker", "download", "download"]);
    assert_eq!(events[0].data["log"], Value::Null);
    assert_eq!(events[2].data["log"], "it said [token]\nno space left");
    assert_eq!(events[2].data["outcome"], "failed");
    assert_eq!(events[2].outcome, agentopia_domain::event::Outcome::Failed);
    let whole = format!("{events:?}");
    assert!(!whole.contains(shown), "{whole}");

    // What the environment's status is going to say of it.
    let credentials = at.store.dtma_credentials();
    let credential = credentials.by_environment_unscoped(owner.1).await.unwrap();
    let why = credential.unwrap().bootstrap_failure.unwrap();
    for part in ["`download`", "dtma_advertise_url", "no space left"] {
        assert!(why.contains(part), "{part}: {why}");
    }
    assert!(!why.contains(shown), "{why}");

    let key = MachineKey::generate().unwrap();
    at.enrol(&token, &key).await.unwrap();
    // Its last word may come right after it enrolled.
    let body = json!({"phase": "enrol", "outcome": "finished"});
    assert_eq!(report(&at, shown, &body).await.0, 204);
}

#[tokio::test]
async fn nobody_else_writes_into_a_timeline() {
    let at = Installation::start().await;
    let owner = at.environment("a@b.c").await;
    let old = at.invite(owner).await;
    let token = at.invite(owner).await;
    let body = json!({"phase": "docker", "outcome": "started"});
    for stranger in ["enr_nothing", "dtma_nothing", old.expose_secret()] {
        let (status, said) = report(&at, stranger, &body).await;
        assert_eq!(status, 403, "{said}");
        assert!(said.contains("enrolment_refused"), "{said}");
    }
    let url = at.url.join(path::BOOTSTRAP).unwrap();
    let bare = http(&at).post(url).json(&body).send().await.unwrap();
    assert_eq!(bare.status(), 401);

    let shown = token.expose_secret();
    for (bad, expected) in [
        (json!({"phase": "<b>docker</b>", "outcome": "started"}), 422),
        (json!({"phase": "", "outcome": "started"}), 422),
        (json!({"phase": "a".repeat(33), "outcome": "started"}), 422),
        (json!({"phase": "docker", "outcome": "great"}), 422),
        (json!({"phase": "docker"}), 422),
        (
            json!({"phase": "docker", "outcome": "failed", "log": "x".repeat(60_000)}),
            413,
        ),
    ] {
        let (status, said) = report(&at, shown, &bad).await;
        assert_eq!(status, expected, "{said}");
    }
    assert!(timeline(&at, owner.0).await.is_empty());
}

/// The very way in which the script in the user-data asks: with curl, by the name in the
/// certificate, and with nothing but the CA's certificate to trust.
async fn curl(at: &Installation, token: &SecretString, ca_pem: &str) -> bool {
    let mut ca = tempfile::NamedTempFile::new().unwrap();
    ca.write_all(ca_pem.as_bytes()).unwrap();
    let (host, port) = (at.url.host_str().unwrap(), at.url.port().unwrap());
    let script = r#"curl --silent --show-error --fail --proto '=https' --tlsv1.2 --noproxy '*' \
        --cacert "$0" --connect-to "$1" --header @<(cat) --header 'Content-Type: application/json' \
        --data-binary '{"phase":"docker","outcome":"started"}' "https://$2/api/dtma/v1/bootstrap""#;
    let mut bash = tokio::process::Command::new("bash")
        .args(["-c", script])
        .arg(ca.path())
        .arg(format!("{CONTROL_PLANE_HOST}:443:{host}:{port}"))
        .arg(CONTROL_PLANE_HOST)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let header = format!("Authorization: Bearer {}\n", token.expose_secret());
    let mut input = bash.stdin.take().unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut input, header.as_bytes())
        .await
        .unwrap();
    drop(input);
    bash.wait().await.unwrap().success()
}

#[tokio::test]
async fn curl_gets_through_with_our_ca_and_with_no_other() {
    let at = Installation::start().await;
    let owner = at.environment("a@b.c").await;
    let token = at.invite(owner).await;
    assert!(curl(&at, &token, at.authority.ca.certificate_pem()).await);
    let other = Installation::start().await;
    assert!(!curl(&at, &token, other.authority.ca.certificate_pem()).await);
    assert_eq!(timeline(&at, owner.0).await.len(), 1);
}
