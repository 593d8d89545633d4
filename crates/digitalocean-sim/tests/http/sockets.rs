//! Over real sockets: what only they can show, a lost answer, and the program itself.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use digitalocean_sim::faults::{Answer, RequestRule, When};
use digitalocean_sim::{FULL_TOKEN, router, serve};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::rig::{Rig, wish};

/// A rig's API on a loopback port, for as long as the future beside it is polled.
async fn on_a_port<T>(rig: &Rig, test: impl AsyncFnOnce(String) -> T) -> T {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::select! {
        ended = serve::serve(listener, router(rig.simulator.clone())) => panic!("{ended:?}"),
        result = test(url) => result,
    }
}

fn client() -> reqwest::Client {
    // Nothing is encrypted here, but a client is not made without; only the first call counts.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().retry(reqwest::retry::never());
    client.build().unwrap()
}

#[tokio::test]
async fn a_closed_connection_is_an_error_after_the_side_effect() {
    let rig = Rig::new();
    let fault = RequestRule::new(Answer::Closed).on("POST", "/v2/droplets");
    rig.simulator
        .add_request_fault(fault.when(When::nth(1)).after_side_effect());
    on_a_port(&rig, async |url| {
        let post = || {
            let request = client().post(format!("{url}/v2/droplets"));
            request
                .bearer_auth(FULL_TOKEN)
                .json(&wish("web", "env:1"))
                .send()
        };
        let error = post().await.unwrap_err();
        assert!(error.is_request(), "{error:?}");
        assert_eq!(post().await.unwrap().status(), 202);
    })
    .await;
    assert_eq!(rig.simulator.creations()["env:1"].droplets.len(), 2);
}

#[tokio::test]
async fn a_silent_connection_is_held_open() {
    let rig = Rig::new();
    rig.simulator
        .add_request_fault(RequestRule::new(Answer::Silent).when(When::nth(1)));
    on_a_port(&rig, async |url| {
        let get = client()
            .get(format!("{url}/v2/account"))
            .bearer_auth(FULL_TOKEN);
        let patience = Duration::from_millis(300);
        let error = get
            .try_clone()
            .unwrap()
            .timeout(patience)
            .send()
            .await
            .unwrap_err();
        assert!(error.is_timeout(), "{error:?}");
        assert_eq!(get.send().await.unwrap().status(), 200);
    })
    .await;
}

/// The program, until it is dropped.
struct Program {
    process: std::process::Child,
    api: String,
    admin: String,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_digitalocean-sim"));
    command.args(arguments).stderr(Stdio::piped());
    command.env("RUST_LOG", "info").env("NO_COLOR", "1");
    command
}

impl Program {
    fn start(arguments: &[&str]) -> Self {
        let mut process = program(arguments).spawn().unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut address = || {
            let line = log.next().unwrap().unwrap();
            let (_, rest) = line
                .split_once("address=")
                .unwrap_or_else(|| panic!("{line}"));
            format!("http://{}", rest.split(' ').next().unwrap())
        };
        let (api, admin) = (address(), address());
        Self {
            process,
            api,
            admin,
        }
    }
}

#[tokio::test]
async fn the_program_serves_both_addresses() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let faults = file(
        "faults.toml",
        "[[request]]\nanswer = \"503\"\nwhen = { nth = 1 }",
    );
    let settings = file(
        "settings.toml",
        "[settings]\ndroplet_limit = 1\n[settings.delays]\ncreate = \"1h\"\n\
         [[tokens]]\nname = \"mine\"\nsecret = \"secret\"\nscopes = \"full\"",
    );
    let program = Program::start(&[
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--seed",
        "3",
        "--faults",
        &faults,
        "--settings",
        &settings,
    ]);
    let (api, admin) = (&program.api, &program.admin);
    let client = client();
    let get = async |path: &str| {
        let answer = client
            .get(format!("{api}{path}"))
            .bearer_auth("secret")
            .send();
        let answer = answer.await.unwrap();
        (
            answer.status().as_u16(),
            answer.json::<Value>().await.unwrap(),
        )
    };
    assert_eq!(get("/v2/account").await.0, 503);
    assert_eq!(get("/v2/account").await.1["account"]["droplet_limit"], 1);
    let create = client
        .post(format!("{api}/v2/droplets"))
        .bearer_auth("secret");
    let made = create.json(&wish("web", "env:1")).send().await.unwrap();
    let made: Value = made.json().await.unwrap();
    let path = format!("/v2/droplets/{}", made["droplet"]["id"]);
    assert_eq!(get(&path).await.1["droplet"]["status"], "new");
    let advance = client
        .post(format!("{admin}/clock/advance"))
        .json(&json!({"by": "2h"}));
    assert_eq!(advance.send().await.unwrap().status(), 200);
    assert_eq!(get(&path).await.1["droplet"]["status"], "active");
}

#[test]
fn what_the_program_can_not_do_it_says() {
    let said = |arguments: &[&str]| {
        let output = program(arguments).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(said(&["--machines", "docker"]).contains("--machine-image <IMAGE>"));
    assert!(said(&["--admin", "0.0.0.0:0"]).contains("only listens on a loopback address"));
    assert!(said(&["--faults", "/nonexistent.toml"]).contains("can not read /nonexistent.toml"));
}
