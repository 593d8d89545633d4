//! Secrets that links carry in place of their instance's own: nobody meets a process that has another's.

use std::collections::{BTreeMap, HashMap};

use agentopia_domain::catalog::{StdioProcesses, Transport};
use agentopia_domain::{Ambient, InstanceId, LinkId};
use agentopia_dtma::mcp::{self, OwnSecrets};
use agentopia_dtma_api::problem::Problem;
use agentopia_dtma_api::to_control_plane::{ControlPlaneError, OwnSecretsUse};
use agentopia_dtma_api::to_dtma::OwnCredentials;
use async_trait::async_trait;
use axum::body::Body;
use axum::http::StatusCode;
use parking_lot::Mutex;
use secrecy::SecretString;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::bench::{Answer, Bench, call, initialize, modern};
use crate::support::wait_for;

const KEY: &str = "agentopia-session-key";

/// What the control plane has, in memory: the value of `TOKEN` for each use.
#[derive(Debug, Default)]
pub(crate) struct Safe(Mutex<HashMap<OwnSecretsUse, &'static str>>);

#[async_trait]
impl OwnSecrets for Safe {
    async fn fetch(
        &self,
        wanted: &OwnSecretsUse,
    ) -> Result<BTreeMap<String, SecretString>, ControlPlaneError> {
        let value = self.0.lock().get(wanted).copied();
        let value = value.ok_or_else(|| {
            ControlPlaneError::Refused(Problem {
                status: 404,
                code: "not_found".into(),
                title: "Not found".into(),
                detail: "no such link".into(),
            })
        })?;
        Ok([("TOKEN".to_owned(), SecretString::from(value))].into())
    }

    async fn over(&self, uses: &[OwnSecretsUse]) -> Result<Vec<OwnSecretsUse>, ControlPlaneError> {
        let all = self.0.lock();
        let over = uses.iter().filter(|one| !all.contains_key(one));
        Ok(over.cloned().collect())
    }
}

/// A link that carries `value`.
fn link(bench: &Bench, instance: InstanceId, value: &'static str) -> OwnSecretsUse {
    let link: LinkId = Ambient::system().new_id();
    let revision = "r1".to_owned();
    let own = OwnSecretsUse {
        instance_id: instance,
        own: OwnCredentials { link, revision },
    };
    bench.secrets.0.lock().insert(own.clone(), value);
    own
}

/// As the address of an instance has it.
fn place(own: &OwnSecretsUse) -> String {
    let (instance, own) = (own.instance_id, &own.own);
    format!("{instance}/links/{}/{}", own.link, own.revision)
}

fn shown(answer: &Answer) -> Value {
    answer.json()["result"]["content"][0]["text"].clone()
}

fn hash(value: &str) -> Value {
    hex::encode(Sha256::digest(value)).into()
}

async fn session(bench: &Bench, at: &str) -> String {
    let answer = bench.send("POST", at, &[], initialize().to_string()).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.session.unwrap()
}

async fn token_in(bench: &Bench, at: &str, session: &str) -> Answer {
    let headers = [("mcp-session-id", session)];
    let ask = call(1, "env", &json!({"name": "TOKEN"}));
    bench.send("POST", at, &headers, ask.to_string()).await
}

async fn modern_token(bench: &Bench, at: &str) -> Answer {
    // The same key for all: what keeps them apart is whose secrets they are.
    let ask = modern(1, "env", &json!({"name": "TOKEN"}));
    bench
        .send("POST", at, &[(KEY, "one key")], ask.to_string())
        .await
}

async fn with_token(bench: &Bench, processes: StdioProcesses) -> InstanceId {
    bench
        .tool(|spec| {
            spec.transport = Transport::Stdio { processes };
            spec.env.insert("TOKEN".into(), "everybody's".into());
        })
        .await
}

#[tokio::test]
async fn each_link_has_processes_with_its_own_values_also_where_sessions_share_one() {
    for processes in [StdioProcesses::PerSession, StdioProcesses::Shared] {
        let bench = Bench::new().await;
        let id = with_token(&bench, processes).await;
        let (one, two) = (link(&bench, id, "one"), link(&bench, id, "two"));
        let places = [
            (id.to_string(), "everybody's"),
            (place(&one), "one"),
            (place(&two), "two"),
        ];
        let mut sessions = Vec::new();
        for (at, _) in &places {
            sessions.push(session(&bench, at).await);
        }
        for _ in 0..2 {
            for ((at, value), session) in places.iter().zip(&sessions) {
                assert_eq!(shown(&token_in(&bench, at, session).await), hash(value));
                assert_eq!(shown(&modern_token(&bench, at).await), hash(value));
            }
        }
        assert_eq!(bench.path.processes(id), 6, "one an era and link");
        // Knowing another's session does not help.
        for ((at, _), session) in places.iter().zip(sessions.iter().cycle().skip(1)) {
            let answer = token_in(&bench, at, session).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{answer:?}");
        }
        let mixed = [("mcp-session-id", sessions[1].as_str())];
        let ended = bench
            .send("DELETE", &places[0].0, &mixed, Body::empty())
            .await;
        assert_eq!(ended.status, StatusCode::NOT_FOUND, "{ended:?}");
    }
}

#[tokio::test]
async fn what_a_link_no_longer_carries_is_ended_and_nothing_else() {
    let bench = Bench::new().await;
    let id = with_token(&bench, StdioProcesses::PerSession).await;
    let (one, two) = (link(&bench, id, "one"), link(&bench, id, "two"));
    let (at_one, at_two) = (place(&one), place(&two));
    let (of_one, of_two) = (
        session(&bench, &at_one).await,
        session(&bench, &at_two).await,
    );
    modern_token(&bench, &at_one).await;
    let everybodys = bench.initialize(id).await;
    assert_eq!(bench.path.processes(id), 4);

    let stop = CancellationToken::new();
    let looking = tokio::spawn(mcp::keep_ended(
        bench.path.clone(),
        bench.secrets.clone(),
        stop.clone(),
    ));
    bench.secrets.0.lock().remove(&one);
    wait_for("the link's processes to end", || async {
        (bench.path.processes(id) == 2).then_some(())
    })
    .await;
    let gone = token_in(&bench, &at_one, &of_one).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    let refused = modern_token(&bench, &at_one).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{refused:?}");
    assert_eq!(refused.json()["code"], "own_secrets_refused");
    assert_eq!(
        shown(&token_in(&bench, &at_two, &of_two).await),
        hash("two")
    );
    let theirs = token_in(&bench, &id.to_string(), &everybodys).await;
    assert_eq!(shown(&theirs), hash("everybody's"));
    stop.cancel();
    looking.await.unwrap();
}

#[tokio::test]
async fn last_words_are_told_only_while_all_have_the_same_secrets() {
    let bench = Bench::new().await;
    let script = "echo secret-in-the-log >&2; sleep 0.1; exit 3";
    let program = ["/bin/sh", "-c", script].map(str::to_owned);
    let id = bench
        .tool(|spec| spec.program.process = program.to_vec())
        .await;
    let refused = |at: String| {
        let bench = &bench;
        async move {
            let answer = bench.send("POST", &at, &[], initialize().to_string()).await;
            answer.body
        }
    };
    assert!(refused(id.to_string()).await.contains("secret-in-the-log"));
    let own = link(&bench, id, "one");
    for at in [place(&own), id.to_string()] {
        let words = refused(at).await;
        assert!(words.contains("exit status 3"), "{words}");
        assert!(!words.contains("secret-in-the-log"), "{words}");
    }
}

#[tokio::test]
async fn one_http_server_for_everybody_takes_none() {
    let bench = Bench::new().await;
    let id = bench
        .tool(|spec| {
            let arguments = ["--http".into(), "127.0.0.1:{port}".into()];
            spec.program.process.extend(arguments);
            spec.transport = Transport::StreamableHttp {
                port: 8080,
                path: "/mcp".into(),
            };
        })
        .await;
    let own = link(&bench, id, "one");
    let answer = bench
        .send("POST", &place(&own), &[], initialize().to_string())
        .await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{answer:?}");
    assert_eq!(answer.json()["code"], "own_secrets_unsupported");
}
