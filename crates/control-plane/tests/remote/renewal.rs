//! What becomes of a login: it is renewed by itself, once at a time, and where that fails its owner is
//! told. Against an authorization server whose refresh tokens are good for one use.

use std::sync::Arc;
use std::time::Duration;

use agentopia_control_plane::upstream_login::tokens::{UpstreamTokens, Whose};
use agentopia_domain::{AccountId, Ambient, InstanceId};
use agentopia_remote::{RemoteClient, RemotePolicy};
use agentopia_store::{DatabaseConfig, Store};
use agentopia_vault::{BuiltIn, KeySource, Keyring};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::browser::{Browser, Page};
use crate::installation::{Agent, Installation};
use crate::strict::Strict;

struct Rig {
    strict: Strict,
    at: Installation,
    id: String,
    agent: Agent,
}

impl Rig {
    /// Logged in, with an agent that called once.
    async fn start(life: u64) -> Self {
        let strict = Strict::start(life).await;
        let at = Installation::start().await;
        let body = json!({"catalog": "remote", "name": "far", "url": strict.url});
        let id = at.post("/instances", body).await["id"].clone();
        let id = id.as_str().unwrap().to_owned();
        let agent = at.agent_for(&id).await;
        let rig = Self {
            strict,
            at,
            id,
            agent,
        };
        rig.log_in().await;
        rig.at.status_becomes(&rig.id, "running").await;
        assert_eq!(rig.call().await.unwrap(), "far {\"text\":\"hi\"}");
        assert!(rig.strict.ways.lock().wrong.is_empty());
        rig
    }

    async fn log_in(&self) -> Page {
        self.log_in_with(json!({})).await
    }

    async fn log_in_with(&self, request: Value) -> Page {
        let path = format!("/instances/{}/login", self.id);
        let begun = self.at.post(&path, request).await;
        assert_eq!(begun["issuer"], self.strict.issuer());
        let mut browser = Browser::new();
        let form = browser.open(begun["url"].as_str().unwrap()).await;
        let end = browser.sign_in(&form, "a@example.com").await;
        assert!(end.text.contains("is logged in"), "{end:?}");
        end
    }

    async fn call(&self) -> Result<String, String> {
        self.agent.call("echo").await
    }

    async fn login(&self) -> Value {
        let shown = self.at.get(&format!("/instances/{}", self.id)).await;
        shown["login"].clone()
    }
}

#[tokio::test]
async fn a_login_is_renewed_before_it_is_over_and_no_refresh_token_is_used_twice() {
    let rig = Rig::start(2).await;
    let asked = rig.strict.ways.lock().asked[0].clone();
    assert_eq!(asked["resource"], rig.strict.url);
    assert_eq!(asked["code_challenge_method"], "S256");
    assert_eq!(asked["scope"], "read offline_access");
    assert_eq!(asked["tenant"], "1");
    assert_eq!(asked["client_id"], "made:1");
    for _ in 0..6 {
        let calls = (0..4).map(|_| rig.call());
        for answer in futures::future::join_all(calls).await {
            assert_eq!(answer.unwrap(), "far {\"text\":\"hi\"}");
        }
        // Tokens are good for two seconds of the clock that both sides go by.
        tokio::time::sleep(Duration::from_millis(900)).await;
    }
    {
        let ways = rig.strict.ways.lock();
        assert!(ways.renewals >= 2, "{ways:?}");
        assert_eq!(ways.reuses, 0, "{ways:?}");
    }
    assert_eq!(rig.login().await["state"], "logged_in");
    // Removing the instance gives the tokens back.
    rig.at.delete(&format!("/instances/{}", rig.id)).await;
    rig.at.status_becomes(&rig.id, "removed").await;
    let strict = rig.strict.clone();
    rig.at
        .until(async || !strict.ways.lock().revoked.is_empty())
        .await;
    assert_eq!(rig.login().await, Value::Null);
    rig.at.stop().await;
}

#[tokio::test]
async fn a_token_that_is_refused_is_renewed_and_the_call_goes_on() {
    let rig = Rig::start(3600).await;
    "another one".clone_into(&mut rig.strict.ways.lock().access);
    let calls = (0..4).map(|_| rig.call());
    for answer in futures::future::join_all(calls).await {
        assert_eq!(answer.unwrap(), "far {\"text\":\"hi\"}");
    }
    let (renewals, reuses) = {
        let ways = rig.strict.ways.lock();
        (ways.renewals, ways.reuses)
    };
    assert_eq!((renewals, reuses), (1, 0));
    rig.at.stop().await;
}

#[tokio::test]
async fn where_the_renewal_is_refused_the_owner_is_told_and_where_it_fails_it_is_tried_again() {
    let rig = Rig::start(3600).await;
    {
        let mut ways = rig.strict.ways.lock();
        "another one".clone_into(&mut ways.access);
        ways.is_ill = Some(503);
    }
    rig.call().await.unwrap_err();
    assert_eq!(rig.login().await["state"], "logged_in");
    let strict = rig.strict.clone();
    rig.at.until(async || rig.call().await.is_ok()).await;
    assert_eq!(strict.ways.lock().renewals, 1);

    {
        let mut ways = rig.strict.ways.lock();
        "another one".clone_into(&mut ways.access);
        ways.refuses = true;
    }
    let error = rig.call().await.unwrap_err();
    assert!(error.contains("is over (invalid_grant)"), "{error}");
    assert!(error.contains("agentopia tools login far"), "{error}");
    rig.at.status_becomes(&rig.id, "error_runtime").await;
    let login = rig.login().await;
    assert_eq!(login["state"], "needed", "{login}");
    assert!(
        login["problem"]
            .as_str()
            .unwrap()
            .contains("tools login far")
    );
    let shown = rig.at.get(&format!("/instances/{}", rig.id)).await;
    assert_eq!(shown["error_message"], login["problem"]);
    let events = rig.at.get("/events").await;
    let told = events["items"].as_array().unwrap().iter();
    let told = told.filter(|event| {
        event["type"] == "instance.login_needed" || event["kind"] == "instance.login_needed"
    });
    assert!(told.count() >= 1, "{events}");
    assert!(!events.to_string().contains("refresh-"), "{events}");

    rig.strict.ways.lock().refuses = false;
    rig.log_in().await;
    rig.at.status_becomes(&rig.id, "running").await;
    rig.call().await.unwrap();
    rig.at.stop().await;
}

#[tokio::test]
async fn a_server_that_wants_more_has_the_owner_asked_for_it() {
    let rig = Rig::start(3600).await;
    rig.strict.ways.lock().wants_more = true;
    let error = rig.call().await.unwrap_err();
    assert!(
        error.contains("write") && error.contains("tools login far"),
        "{error}"
    );
    let login = rig.login().await;
    assert_eq!(login["state"], "wider_needed", "{login}");
    assert_eq!(login["wanted_scope"], "write");
    rig.strict.ways.lock().wants_more = false;
    // What it was allowed before goes on meanwhile.
    rig.call().await.unwrap();
    rig.log_in().await;
    let asked = rig.strict.ways.lock().asked.last().unwrap().clone();
    assert_eq!(asked["scope"], "read offline_access write");
    rig.at.status_becomes(&rig.id, "running").await;
    assert_eq!(rig.login().await["state"], "logged_in");
    rig.at.stop().await;
}

#[tokio::test]
async fn a_client_that_the_owner_registered_is_used_for_the_next_login_too() {
    let rig = Rig::start(3600).await;
    rig.at
        .put("/secrets/app-secret", json!({"value": "s+cret&1"}))
        .await;
    // Nobody can register there by themselves any more.
    rig.strict.ways.lock().issuer = json!({"registration_endpoint": null});
    let given = json!({"client_id": "made:1", "client_secret": "app-secret", "scope": "a b"});
    rig.log_in_with(given).await;
    let asked = rig.strict.ways.lock().asked.last().unwrap().clone();
    assert_eq!(
        (asked["client_id"].as_str(), asked["scope"].as_str()),
        ("made:1", "a b")
    );
    {
        let mut ways = rig.strict.ways.lock();
        ways.refuses = true;
        "another one".clone_into(&mut ways.access);
    }
    rig.at
        .until(async || {
            let _refused = rig.call().await;
            rig.login().await["state"] == "needed"
        })
        .await;
    rig.log_in().await;
    rig.at.status_becomes(&rig.id, "running").await;
    rig.call().await.unwrap();
    assert!(rig.strict.ways.lock().wrong.is_empty());
    rig.at.stop().await;
}

#[tokio::test]
async fn two_replicas_renew_one_login_once() {
    let rig = Rig::start(3600).await;
    let session = rig.at.get("/session").await;
    let account: AccountId = session["user"]["id"].as_str().unwrap().parse().unwrap();
    let instance: InstanceId = rig.id.parse().unwrap();
    let config = DatabaseConfig::sqlite(rig.at.dir().join("agentopia.db"));
    let replica = async || {
        let ambient = Ambient::system();
        let store = Store::connect(&config, ambient.clone()).await.unwrap();
        let keys = KeySource::choose(None, None, rig.at.dir());
        let keyring = Keyring::load(&keys, &ambient).unwrap();
        let vault = Arc::new(BuiltIn::new(keyring, ambient.clone()));
        let policy = RemotePolicy::allowing(["127.0.0.1/32".parse().unwrap()]);
        UpstreamTokens::new(store, vault, RemoteClient::new(policy), ambient)
    };
    let (one, two) = (replica().await, replica().await);
    let whose = Whose {
        account,
        instance,
        name: "far",
    };
    let before = one.token(whose).await.unwrap();
    rig.strict.ways.lock().takes = Duration::from_millis(700);
    let (a, b) = tokio::join!(one.after(whose, before.id), two.after(whose, before.id));
    let (a, b) = (a.unwrap(), b.unwrap());
    assert_eq!(a.id, b.id);
    assert_eq!(a.value.expose_secret(), b.value.expose_secret());
    let (renewals, reuses) = {
        let ways = rig.strict.ways.lock();
        (ways.renewals, ways.reuses)
    };
    assert_eq!((renewals, reuses), (1, 0));
    // The process itself follows.
    rig.call().await.unwrap();
    rig.at.stop().await;
}
