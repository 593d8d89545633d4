//! Servers that sleep (TOOL-9): a call wakes them and waits, a list does not.

use std::sync::Arc;
use std::time::Duration;

use agentopia_domain::{Ambient, InstanceId};
use agentopia_gateway::{GatewayConfig, Rest, Waker};
use async_trait::async_trait;
use futures::future::join_all;
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::rig::{Agent, PATIENCE, Rig};
use crate::scripted::Scripted;
use crate::wire::Wire;

/// How long calls wait where they wait in vain.
const BOUND: Duration = Duration::from_millis(1500);

/// Whoever starts and stops servers.
#[derive(Default)]
struct Keeper {
    woken: watch::Sender<usize>,
    used: Mutex<Vec<InstanceId>>,
    noted: watch::Sender<usize>,
    refuses: bool,
}

#[async_trait]
impl Waker for Keeper {
    async fn used(&self, instances: &[InstanceId]) -> Result<(), String> {
        self.used.lock().extend(instances);
        self.noted.send_modify(|count| *count += 1);
        Ok(())
    }

    async fn wake(&self, _instance: InstanceId) -> Result<(), String> {
        self.woken.send_modify(|count| *count += 1);
        match self.refuses {
            true => Err("its bed is locked".to_owned()),
            false => Ok(()),
        }
    }
}

impl Keeper {
    async fn until_woken(&self) {
        self.until_wakes(1).await;
    }

    async fn until_wakes(&self, least: usize) {
        let mut woken = self.woken.subscribe();
        let waiting = woken.wait_for(|count| *count >= least);
        let _count = tokio::time::timeout(PATIENCE, waiting)
            .await
            .expect("a wake")
            .unwrap();
    }

    fn wakes(&self) -> usize {
        *self.woken.borrow()
    }
}

/// An agent with one server that may sleep, and listed it once.
struct Night {
    keeper: Arc<Keeper>,
    server: Scripted,
    rig: Rig,
    agent: Agent,
}

impl Night {
    async fn with(keeper: Keeper) -> Self {
        let server = Scripted::with_tools(&["echo"]).await;
        let keeper = Arc::new(keeper);
        let config = GatewayConfig {
            wake_timeout: BOUND,
            use_interval: Duration::from_millis(50),
            ..GatewayConfig::default()
        };
        let mut rig = Rig::woken_by(config, Ambient::system(), keeper.clone()).await;
        let id = rig.instance("one", &server.url);
        let agent = rig.agent(&[id]);
        let mut night = Self {
            keeper,
            server,
            rig,
            agent,
        };
        night.turn(Rest::Awake, "1");
        night
    }

    fn turn(&mut self, rest: Rest, epoch: &str) {
        let instance = &mut self.rig.snapshot.instances[0];
        instance.rest = rest;
        instance.epoch = epoch.to_owned();
        self.rig.apply();
    }

    fn sleep(&mut self) {
        self.turn(Rest::Asleep, "2");
    }

    /// What a control plane says when a server that was woken comes up.
    fn come_up(&mut self) {
        self.turn(Rest::Starting, "3");
        self.turn(Rest::Awake, "4");
    }

    async fn client(&self) -> Wire {
        self.rig.wire(&self.agent).opened().await
    }
}

#[tokio::test]
async fn a_call_wakes_a_server_and_is_answered_and_its_session_goes_on() {
    let mut night = Night::with(Keeper::default()).await;
    let wire = night.client().await;
    wire.tool("echo", json!({"n": 1})).await.result();
    night.sleep();
    let caller = wire.clone();
    let call = tokio::spawn(async move { caller.tool("echo", json!({"n": 2})).await });
    night.keeper.until_woken().await;
    night.turn(Rest::Starting, "3");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(night.server.of("tools/call").len(), 1, "it is not up yet");
    night.turn(Rest::Awake, "4");
    let answer = call.await.unwrap().result();
    assert_eq!(answer["content"][0]["text"], r#"echo {"n":2}"#);
    assert_eq!(
        night.server.of("initialize").len(),
        2,
        "a session of its own"
    );
    wire.tool("echo", json!({"n": 3})).await.result();
    assert_eq!(night.keeper.wakes(), 1);
}

#[tokio::test]
async fn a_server_that_falls_asleep_again_is_woken_again() {
    let mut night = Night::with(Keeper::default()).await;
    let wire = night.client().await;
    wire.tool("echo", json!({"n": 0})).await.result();
    for n in 1..=3 {
        night.sleep();
        let caller = wire.clone();
        let call = tokio::spawn(async move { caller.tool("echo", json!({"n": n})).await });
        night.keeper.until_wakes(n).await;
        night.come_up();
        let answer = call.await.unwrap().result();
        let said = format!(r#"echo {{"n":{n}}}"#);
        assert_eq!(answer["content"][0]["text"], said);
        assert_eq!(night.keeper.wakes(), n);
    }
}

#[tokio::test]
async fn many_calls_at_once_wake_a_server_once() {
    let mut night = Night::with(Keeper::default()).await;
    let mut wires = Vec::new();
    for _ in 0..8 {
        wires.push(night.client().await);
    }
    wires[0].tools().await;
    night.sleep();
    let calls: Vec<_> = wires
        .into_iter()
        .flat_map(|wire| [wire.clone(), wire])
        .enumerate()
        .map(|(n, wire)| {
            tokio::spawn(async move {
                let params = json!({"name": "echo", "arguments": {"n": n}});
                let call =
                    json!({"jsonrpc": "2.0", "id": n, "method": "tools/call", "params": params});
                wire.post(call.to_string()).await.result()
            })
        })
        .collect();
    night.keeper.until_woken().await;
    night.come_up();
    for (n, answer) in join_all(calls).await.into_iter().enumerate() {
        let text = format!("echo {}", json!({"n": n}));
        assert_eq!(answer.unwrap()["content"][0]["text"], text);
    }
    assert_eq!(night.keeper.wakes(), 1);
}

#[tokio::test]
async fn a_server_that_does_not_come_up_in_time_is_told_and_tried_again() {
    let mut night = Night::with(Keeper::default()).await;
    let wire = night.client().await;
    wire.tools().await;
    night.sleep();
    let started = Instant::now();
    let refused = wire.tool("echo", json!({})).await.answer();
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("was asleep") && message.contains("try again"),
        "{message}"
    );
    assert!(started.elapsed() >= BOUND);
    assert!(night.server.of("tools/call").is_empty());
    // It goes on starting, and that it took long is no failure of the server.
    night.come_up();
    wire.tool("echo", json!({})).await.result();
}

#[tokio::test]
async fn one_that_can_not_be_woken_says_why_at_once() {
    let mut night = Night::with(Keeper {
        refuses: true,
        ..Keeper::default()
    })
    .await;
    let wire = night.client().await;
    wire.tools().await;
    night.sleep();
    let started = Instant::now();
    let refused = wire.tool("echo", json!({})).await.answer();
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("its bed is locked"), "{message}");
    assert!(started.elapsed() < BOUND);
}

#[tokio::test]
async fn one_that_fails_while_it_wakes_is_told_at_once() {
    let mut night = Night::with(Keeper::default()).await;
    let wire = night.client().await;
    wire.tools().await;
    night.sleep();
    let call = tokio::spawn(async move { wire.tool("echo", json!({})).await });
    night.keeper.until_woken().await;
    night.rig.snapshot.instances[0].available = Err("its image is gone".into());
    night.turn(Rest::Awake, "3");
    let refused = call.await.unwrap().answer();
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("its image is gone"), "{message}");
}

#[tokio::test]
async fn a_call_that_is_cancelled_while_it_waits_is_never_made() {
    let mut night = Night::with(Keeper::default()).await;
    let wire = night.client().await;
    wire.tools().await;
    night.sleep();
    let caller = wire.clone();
    let cancelled = tokio::spawn(async move { caller.tool("echo", json!({})).await });
    night.keeper.until_woken().await;
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    assert_eq!(wire.post(cancel).await.status, 202);
    assert!(cancelled.await.unwrap().messages().is_empty());
    night.come_up();
    wire.tool("echo", json!({"last": true})).await.result();
    let made = night.server.of("tools/call");
    assert_eq!(made.len(), 1, "{made:?}");
    assert_eq!(made[0].body["params"]["arguments"], json!({"last": true}));
    assert_eq!(night.keeper.wakes(), 1);
}

#[tokio::test]
async fn a_list_neither_wakes_a_server_nor_lacks_its_tools() {
    let mut night = Night::with(Keeper::default()).await;
    let wire = night.client().await;
    assert_eq!(wire.tools().await, ["echo"]);
    night.sleep();
    assert_eq!(wire.tools().await, ["echo"]);
    let another = night.client().await;
    assert_eq!(another.tools().await, ["echo"], "of a new session too");
    let seen = night.server.seen().len();
    assert_eq!(night.keeper.wakes(), 0);
    assert_eq!(night.server.seen().len(), seen);
}

#[tokio::test]
async fn a_list_of_a_server_that_was_never_listed_wakes_it() {
    let mut night = Night::with(Keeper::default()).await;
    night.sleep();
    let wire = night.client().await;
    let list = tokio::spawn(async move { wire.tools().await });
    night.keeper.until_woken().await;
    night.come_up();
    assert_eq!(list.await.unwrap(), ["echo"]);
}

#[tokio::test]
async fn another_agent_is_not_shown_what_one_was_shown() {
    let mut night = Night::with(Keeper::default()).await;
    night.client().await.tools().await;
    let instance = night.rig.snapshot.instances[0].id;
    let other = night.rig.agent(&[instance]);
    night.sleep();
    let wire = night.rig.wire(&other).opened().await;
    let list = tokio::spawn(async move { wire.tools().await });
    night.keeper.until_woken().await;
    night.come_up();
    assert_eq!(list.await.unwrap(), ["echo"]);
}

/// A server may offer more to a client that can be asked questions (rule 13).
#[tokio::test]
async fn a_client_that_can_do_other_things_is_not_shown_what_one_was_shown() {
    let mut night = Night::with(Keeper::default()).await;
    night.client().await.tools().await;
    night.sleep();
    let mut wire = night.rig.wire(&night.agent);
    let can = json!({"elicitation": {}});
    assert_eq!(wire.initialize("2025-11-25", can).await.status, 200);
    let list = tokio::spawn(async move { wire.tools().await });
    night.keeper.until_woken().await;
    night.come_up();
    assert_eq!(list.await.unwrap(), ["echo"]);
}

#[tokio::test]
async fn what_is_called_is_noted_and_what_is_asleep_is_not() {
    let mut night = Night::with(Keeper::default()).await;
    let wire = night.client().await;
    wire.tool("echo", json!({})).await.result();
    let id = night.rig.snapshot.instances[0].id;
    let mut noted = night.keeper.noted.subscribe();
    let waiting = noted.wait_for(|_| night.keeper.used.lock().contains(&id));
    let noted = tokio::time::timeout(PATIENCE, waiting).await;
    // What it gives would keep everybody else from noting.
    drop(noted.expect("a note").unwrap());
    // Nothing is open: it is soon told of no more.
    loop {
        let before = *night.keeper.noted.borrow();
        tokio::time::sleep(Duration::from_millis(300)).await;
        if *night.keeper.noted.borrow() == before {
            break;
        }
    }
    night.sleep();
    wire.tools().await;
    let notes = *night.keeper.noted.borrow();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(
        *night.keeper.noted.borrow(),
        notes,
        "a list is no use of it"
    );
}
