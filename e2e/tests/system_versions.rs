//! Upgrades and roll-backs of tools, end to end (TOOL-4): under constant calls none is lost, a version that is no
//! good never serves, and whatever is killed on the way, it comes to one of two ends.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use agentopia_api::instance::Instance;
use agentopia_api::version::Updates;
use agentopia_domain::InstanceId;
use agentopia_domain::versions::{Stage, twin};
use agentopia_test_support::agent::TestAgent;
use agentopia_test_support::api::instances::deployment;
use agentopia_test_support::fixtures::EchoEntry;
use agentopia_test_support::{Cluster, Database, Runtime, wait_for};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(60);
/// Between two calls of one agent: two agents make some 50 a second.
const PAUSE: Duration = Duration::from_millis(35);

/// The echo server in versions that can be told apart, over stdio or HTTP; `3` exits at once, `4` is a server
/// that never answers.
fn entry(http: bool) -> EchoEntry {
    let args: &[&str] = match http {
        true => &["--http", "0.0.0.0:3001"],
        false => &[],
    };
    let plain = EchoEntry::new("changing", args).json();
    let version = |name: &str, fault: Option<&str>| {
        let mut version = plain["versions"][0].clone();
        version["version"] = json!(name);
        version["env"] = json!({"RELEASE": name});
        for field in ["args", "process"] {
            let Some(list) = version[field].as_array_mut() else {
                continue;
            };
            if let Some(fault) = fault {
                list.extend([json!("--fault"), json!(fault)]);
            }
        }
        version
    };
    let versions = json!([
        version("1", None),
        version("2", None),
        version("3", Some("exit-at-once")),
        version("4", Some("hang-at-start")),
    ]);
    let entry = EchoEntry::new("changing", args).with("/versions", versions);
    match http {
        true => entry.with(
            "/transport",
            json!({"type": "streamable_http", "port": 3001, "path": "/mcp"}),
        ),
        false => entry,
    }
}

async fn deploy(cluster: &Cluster, http: bool) -> anyhow::Result<Instance> {
    entry(http).add(&cluster.admin).await?;
    let mut request = deployment("changing");
    request.version = Some("1".to_owned());
    cluster.deploy_with(request).await
}

async fn ask(
    cluster: &Cluster,
    id: InstanceId,
    verb: &str,
    body: Value,
) -> anyhow::Result<Instance> {
    let path = format!("/api/v1/instances/{id}/{verb}");
    cluster.admin.post(&path, &body).await
}

/// The record once no change of version is under way.
async fn over(cluster: &Cluster, id: InstanceId) -> anyhow::Result<Instance> {
    wait_for(SOON, "the change of version to be over", async || {
        let instance = cluster.admin.instance(id).await?;
        anyhow::ensure!(instance.change.is_none(), "{:?}", instance.change);
        Ok(instance)
    })
    .await
}

/// How many calls were answered, and by which versions.
type Answered = (usize, BTreeSet<String>);

/// Calls without an end: in a session of the session era, and without one.
struct Callers {
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<anyhow::Result<Answered>>>,
}

impl Callers {
    async fn start(agents: &[&TestAgent]) -> anyhow::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = Vec::new();
        for (number, agent) in agents.iter().enumerate() {
            let modern = agent.modern()?;
            let session = agent.session().await?;
            let stop = Arc::clone(&stop);
            tasks.push(tokio::spawn(async move {
                let mut answered = 0;
                let mut releases = BTreeSet::new();
                while !stop.load(Ordering::Relaxed) {
                    let asked = json!({"name": "RELEASE"});
                    let answer = match number % 2 {
                        0 => session.call("env", asked).await?,
                        _ => modern.call("env", asked).await?,
                    };
                    releases.insert(answer.text().to_owned());
                    answered += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                Ok((answered, releases))
            }));
        }
        Ok(Self { stop, tasks })
    }

    /// How many calls were answered; all of them, or this is the error of the first that was not.
    async fn stop(self) -> anyhow::Result<Answered> {
        self.stop.store(true, Ordering::Relaxed);
        let (mut all, mut releases) = (0, BTreeSet::new());
        for task in self.tasks {
            let (answered, seen) = task.await??;
            all += answered;
            releases.extend(seen);
        }
        Ok((all, releases))
    }
}

async fn no_call_is_lost(runtime: Runtime, database: Database, http: bool) -> anyhow::Result<()> {
    let cluster = Cluster::local()
        .runtime(runtime)
        .database(database)
        .start()
        .await?;
    cluster.admin.enable().await?;
    let tool = deploy(&cluster, http).await?;
    let first = cluster.agent_with("First", &[tool.id]).await?;
    let second = cluster.agent_with("Second", &[tool.id]).await?;
    let callers = Callers::start(&[&first, &second]).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;

    // A call that is under way while calls move ends where it began.
    let long = first.session().await?;
    let slow = tokio::spawn(async move {
        let slept = long.call("sleep_ms", json!({"ms": 9000})).await?;
        anyhow::ensure!(!slept.is_error(), "{slept:?}");
        Ok::<_, anyhow::Error>(())
    });
    tokio::time::sleep(Duration::from_millis(500)).await;

    let updates: Updates = cluster
        .admin
        .get(&format!("/api/v1/instances/{}/updates", tool.id))
        .await?;
    assert_eq!(updates.versions, ["1", "2", "3", "4"]);
    ask(&cluster, tool.id, "upgrade", json!({"version": "2"})).await?;
    let upgraded = over(&cluster, tool.id).await?;
    assert_eq!(upgraded.change_problem, None);
    assert_eq!(upgraded.version, "2");
    assert_eq!(upgraded.running_version.as_deref(), Some("2"));
    assert_eq!(
        upgraded.previous.as_ref().map(|it| it.version.as_str()),
        Some("1")
    );
    slow.await??;

    ask(&cluster, tool.id, "rollback", json!({})).await?;
    let back = over(&cluster, tool.id).await?;
    assert_eq!((back.version.as_str(), back.change_problem), ("1", None));
    assert_eq!(back.previous.map(|it| it.version).as_deref(), Some("2"));
    let (answered, releases) = callers.stop().await?;
    assert!(answered > 100, "only {answered} calls");
    assert_eq!(releases.len(), 2, "both versions served");

    let told = cluster.admin.timeline(tool.id.as_uuid()).await?;
    let kinds: Vec<&str> = told.iter().map(|event| event.kind.as_str()).collect();
    assert!(kinds.contains(&"instance.upgraded") && kinds.contains(&"instance.rolled_back"));
    cluster.admin.remove(tool.id, true).await?;
    cluster.removed(tool.id, false).await?;
    cluster.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_and_a_roll_back_lose_no_call_with_containers() -> anyhow::Result<()> {
    no_call_is_lost(Runtime::Docker, Database::Sqlite, false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_and_a_roll_back_of_an_http_server_lose_no_call() -> anyhow::Result<()> {
    no_call_is_lost(Runtime::Docker, Database::Postgres, true).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_and_a_roll_back_lose_no_call_with_child_processes() -> anyhow::Result<()> {
    no_call_is_lost(Runtime::Process, Database::Postgres, false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_no_good_leaves_the_old_one_serving() -> anyhow::Result<()> {
    let cluster = Cluster::local().runtime(Runtime::Process).start().await?;
    cluster.admin.enable().await?;
    let tool = deploy(&cluster, false).await?;
    let agent = cluster.agent_with("First", &[tool.id]).await?;
    let other = cluster.agent_with("Second", &[tool.id]).await?;
    let callers = Callers::start(&[&agent, &other]).await?;
    for (version, options) in [
        ("3", json!({"within_seconds": 40})),
        ("4", json!({"within_seconds": 10})),
    ] {
        let body = json!({"version": version, "options": options});
        ask(&cluster, tool.id, "upgrade", body).await?;
        let kept = over(&cluster, tool.id).await?;
        assert_eq!(kept.version, "1");
        let problem = kept.change_problem.unwrap_or_default();
        assert!(!problem.is_empty());
        if version == "3" {
            assert!(problem.contains("fault: exiting at once"), "{problem}");
        }
    }
    let (answered, releases) = callers.stop().await?;
    assert!(
        answered > 100 && releases.len() == 1,
        "{answered} {releases:?}"
    );
    let told = cluster.admin.timeline(tool.id.as_uuid()).await?;
    let failed = told
        .iter()
        .filter(|it| it.kind == "instance.upgrade_failed");
    assert_eq!(failed.count(), 2);
    cluster.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_killed_in_the_middle_of_an_upgrade_goes_on() -> anyhow::Result<()> {
    let cluster = Cluster::local().runtime(Runtime::Docker).start().await?;
    cluster.admin.enable().await?;
    let tool = deploy(&cluster, false).await?;
    let agent = cluster.agent_with("First", &[tool.id]).await?;
    let machine = cluster.machine().await?;
    for moved in [false, true] {
        let verb = if moved { "rollback" } else { "upgrade" };
        let body = if moved {
            json!({})
        } else {
            json!({"version": "2"})
        };
        ask(&cluster, tool.id, verb, body).await?;
        if moved {
            // Right after calls moved.
            wait_for(SOON, "calls to move", async || {
                let seen = cluster.admin.instance(tool.id).await?;
                let stage = seen.change.map(|it| it.progress);
                anyhow::ensure!(matches!(stage, Some(Stage::Moved) | None), "{stage:?}");
                Ok(())
            })
            .await?;
        }
        machine.kill_dtma().await?;
        let ended = over(&cluster, tool.id).await?;
        assert_eq!(ended.change_problem, None);
        assert_eq!(ended.version, if moved { "1" } else { "2" });
        let answer = agent.call("echo", json!({"text": "still there"})).await?;
        assert_eq!(answer.text(), "still there");
    }
    cluster.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_plane_that_is_killed_in_the_middle_of_an_upgrade_goes_on() -> anyhow::Result<()>
{
    let mut cluster = Cluster::local().runtime(Runtime::Process).start().await?;
    cluster.admin.enable().await?;
    let tool = deploy(&cluster, false).await?;
    for (verb, body, version) in [
        ("upgrade", json!({"version": "2"}), "2"),
        ("rollback", json!({}), "1"),
    ] {
        ask(&cluster, tool.id, verb, body).await?;
        tokio::time::sleep(Duration::from_millis(150)).await;
        cluster.control_plane.kill()?;
        cluster.control_plane.start().await?;
        let ended = over(&cluster, tool.id).await?;
        assert_eq!(
            (ended.version.as_str(), ended.change_problem),
            (version, None)
        );
    }
    cluster.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn data_is_there_after_an_upgrade_beside_and_in_place() -> anyhow::Result<()> {
    let cluster = Cluster::local().runtime(Runtime::Docker).start().await?;
    cluster.admin.enable().await?;
    entry(false)
        .with("/volume", json!({"mount_path": "/data"}))
        .add(&cluster.admin)
        .await?;
    let mut request = deployment("changing");
    request.version = Some("1".to_owned());
    let tool = cluster.deploy_with(request).await?;
    let volume = async |on_machine: InstanceId| -> anyhow::Result<Value> {
        let container = cluster.machine().await?.container(on_machine).await?;
        let seen = agentopia_test_support::docker::inspect("container", &container).await?;
        let mounts = seen["Mounts"].as_array().cloned().unwrap_or_default();
        let volume = mounts.into_iter().find(|it| it["Type"] == "volume");
        Ok(json!([
            volume.map(|it| it["Name"].clone()),
            seen["Config"]["User"]
        ]))
    };
    let before = volume(tool.id).await?;
    ask(&cluster, tool.id, "upgrade", json!({"version": "2"})).await?;
    assert_eq!(over(&cluster, tool.id).await?.version, "2");
    assert_eq!(volume(twin(tool.id)).await?, before, "one volume, one user");
    let body = json!({"version": "1", "options": {"recreate": true}});
    ask(&cluster, tool.id, "upgrade", body).await?;
    let ended = over(&cluster, tool.id).await?;
    assert_eq!((ended.version.as_str(), ended.change_problem), ("1", None));
    assert_eq!(volume(tool.id).await?, before);
    cluster.admin.remove(tool.id, true).await?;
    cluster.removed(tool.id, false).await?;
    cluster.finish().await
}
