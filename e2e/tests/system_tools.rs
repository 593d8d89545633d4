//! The life of tools, on both runtimes and both databases: the main job, lifecycle, logs, volumes.

use std::time::Duration;

use agentopia_api::discovery::Discovery;
use agentopia_api::environment::UsageSeries;
use agentopia_api::instance::{LogStream, ToolList};
use agentopia_domain::environment::EnvironmentStatus;
use agentopia_domain::instance::InstanceStatus;
use agentopia_test_support::api::instances::deployment;
use agentopia_test_support::fixtures::{self, EchoEntry};
use agentopia_test_support::{Cluster, Database, Runtime, docker, leaks, wait_for};
use futures::StreamExt as _;
use serde_json::json;

const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn the_main_job_with_child_processes_on_postgres() -> anyhow::Result<()> {
    main_job(Runtime::Process, Database::Postgres).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_main_job_with_containers_on_sqlite() -> anyhow::Result<()> {
    main_job(Runtime::Docker, Database::Sqlite).await
}

/// Enable, deploy, create an agent, link, call: by every door there is.
async fn main_job(runtime: Runtime, database: Database) -> anyhow::Result<()> {
    let cluster = Cluster::local()
        .runtime(runtime)
        .database(database)
        .start()
        .await?;
    let admin = &cluster.admin;
    admin.enable().await?;
    let environment = admin
        .wait_environment(EnvironmentStatus::Active, SOON)
        .await?;
    assert_eq!(
        environment.runtime.as_deref(),
        Some(if cluster.has_docker() {
            "docker"
        } else {
            "process"
        })
    );
    assert!(
        environment
            .capacity
            .is_some_and(|capacity| capacity.memory_bytes > 0)
    );

    let echo = cluster.deploy("echo").await?;
    assert_eq!(echo.running_version, Some(echo.version.clone()));
    assert_eq!(echo.observed_generation, echo.generation);
    let http = cluster.deploy("echo-http").await?;
    let agent = cluster.agent_with("Helper", &[echo.id]).await?;
    assert_eq!(
        agent.call("echo", json!({"text": "modern"})).await?.text(),
        "modern"
    );
    let session = agent.session().await?;
    assert_eq!(
        session.tools().await?,
        ["echo", "env", "add", "headers", "sleep_ms"]
    );
    assert_eq!(
        session
            .call("echo", json!({"text": "session"}))
            .await?
            .text(),
        "session"
    );
    session.close().await?;

    // A second server with the same names: those of the first stay as they are.
    agent.link(http.id, true).await?;
    let tools = agent.tools().await?;
    assert_eq!(tools.len(), 10, "{tools:?}");
    for name in ["echo", "env", "add", "headers", "sleep_ms"] {
        assert!(tools.iter().any(|tool| tool == name), "{name} in {tools:?}");
    }
    let other = tools.iter().find(|tool| tool.ends_with("__add"));
    let other = other.ok_or_else(|| anyhow::anyhow!("no second add: {tools:?}"))?;
    let sum = agent.call(other, json!({"a": 2, "b": 3})).await?;
    assert_eq!(sum.0["structuredContent"]["sum"], 5);

    // By hand, and what an orchestrator asks.
    let by_hand = admin.call(echo.id, "add", json!({"a": 1, "b": 1})).await?;
    assert!(!by_hand.is_error && by_hand.result["structuredContent"]["sum"] == 2);
    let tools: ToolList = admin
        .get(&format!("/api/v1/instances/{}/tools", http.id))
        .await?;
    assert_eq!(tools.tools.len(), 5);
    let discovery: Discovery = admin
        .get(&format!("/api/v1/agents/{}/discovery", agent.id()))
        .await?;
    assert_eq!(discovery.servers.len(), 2);
    assert!(
        discovery
            .servers
            .iter()
            .all(|server| server.error.is_none()),
        "{discovery:?}"
    );

    // The names that an agent is told of before it ever listed its tools are those that it gets.
    let fresh = cluster.agent_with("fresh", &[echo.id, http.id]).await?;
    let discovery: Discovery = admin
        .get(&format!("/api/v1/agents/{}/discovery", fresh.id()))
        .await?;
    let tools = discovery.servers.iter().flat_map(|server| &server.tools);
    let mut told: Vec<String> = tools.map(|tool| tool.name.clone()).collect();
    let mut listed = fresh.tools().await?;
    told.sort_unstable();
    listed.sort_unstable();
    assert_eq!(told, listed);

    // Measurements arrive, of the machine and of each instance.
    wait_for(SOON * 2, "measurements", async || {
        let host: UsageSeries = admin.get("/api/v1/environment/usage").await?;
        let path = format!("/api/v1/environment/usage?instance_id={}", http.id);
        let tool: UsageSeries = admin.get(&path).await?;
        let used = |series: &UsageSeries| series.samples.iter().any(|it| it.usage.memory_bytes > 0);
        anyhow::ensure!(used(&host) && used(&tool), "host {host:?}, tool {tool:?}");
        Ok(())
    })
    .await?;

    let statuses = admin.statuses(echo.id.as_uuid()).await?;
    assert_eq!(
        statuses,
        ["starting", "running"],
        "the timeline of a deploy"
    );
    if cluster.has_docker() {
        is_hardened(&cluster, &echo).await?;
    }
    cluster.finish().await
}

/// Every container (DTMA-4), and nothing of it said twice: the image by digest, from the registry.
async fn is_hardened(
    cluster: &Cluster,
    echo: &agentopia_api::instance::Instance,
) -> anyhow::Result<()> {
    let container = cluster.machine().await?.container(echo.id).await?;
    let seen = docker::inspect("container", &container).await?;
    let host = &seen["HostConfig"];
    let (_, digest) = fixtures::image("echo")?;
    assert_eq!(echo.runtime.image_digest, Some(digest));
    assert_eq!(
        echo.runtime.container_id.as_deref(),
        Some(container.as_str())
    );
    assert_eq!(host["CapDrop"], json!(["ALL"]));
    assert_eq!(host["ReadonlyRootfs"], true);
    assert_eq!(host["Privileged"], false);
    let options = host["SecurityOpt"].to_string();
    assert!(options.contains("no-new-privileges"), "{options}");
    assert_eq!(host["Memory"], 33_554_432);
    assert_eq!(host["MemorySwap"], host["Memory"]);
    assert_eq!(host["NanoCpus"], 100_000_000);
    assert!(
        host["PidsLimit"]
            .as_i64()
            .is_some_and(|pids| (1..=256).contains(&pids))
    );
    let user = seen["Config"]["User"].as_str().unwrap_or_default();
    assert!(
        !user.is_empty() && !user.starts_with('0') && user != "root",
        "user {user:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_are_stopped_started_restarted_reconfigured_and_removed() -> anyhow::Result<()> {
    for runtime in [Runtime::Process, Runtime::Docker] {
        lifecycle(runtime).await?;
    }
    Ok(())
}

async fn lifecycle(runtime: Runtime) -> anyhow::Result<()> {
    let cluster = Cluster::local().runtime(runtime).start().await?;
    let admin = &cluster.admin;
    let echo = cluster.deploy("echo").await?;
    let http = cluster.deploy("echo-http").await?;
    let agent = cluster.agent_with("a", &[echo.id, http.id]).await?;
    let machine = cluster.machine().await?;

    admin.instance_verb(http.id, "stop").await?;
    let stopped = admin
        .wait_status(http.id, InstanceStatus::Stopped, SOON)
        .await?;
    assert_eq!(stopped.running_version, None);
    if cluster.has_docker() {
        let container = machine.container(http.id).await;
        if let Ok(container) = container {
            let seen = docker::inspect("container", &container).await?;
            assert_eq!(seen["State"]["Running"], false);
        }
    } else {
        assert!(machine.tool_processes(http.id)?.is_empty());
    }
    // What is stopped neither shows nor disturbs.
    wait_for(
        SOON,
        "the stopped tool to be gone from the endpoint",
        async || {
            let tools = agent.tools().await?;
            anyhow::ensure!(
                tools == ["echo", "env", "add", "headers", "sleep_ms"],
                "{tools:?}"
            );
            Ok(())
        },
    )
    .await?;
    admin.instance_verb(http.id, "start").await?;
    cluster.running(http.id).await?;
    wait_for(SOON, "the started tool to show again", async || {
        let tools = agent.tools().await?;
        anyhow::ensure!(tools.len() == 10, "{tools:?}");
        Ok(())
    })
    .await?;

    // A restart gives a new process under the same address.
    let before = processes(&cluster, http.id).await?;
    admin.instance_verb(http.id, "restart").await?;
    wait_for(SOON, "the restart", async || {
        let instance = admin.instance(http.id).await?;
        anyhow::ensure!(
            instance.status == InstanceStatus::Running,
            "{:?}",
            instance.status
        );
        anyhow::ensure!(
            instance.observed_generation == instance.generation,
            "not yet seen"
        );
        let now = processes(&cluster, http.id).await?;
        anyhow::ensure!(
            !now.is_empty() && now.iter().all(|it| !before.contains(it)),
            "{now:?}"
        );
        Ok(())
    })
    .await?;
    assert_eq!(
        admin
            .call(http.id, "add", json!({"a": 1, "b": 2}))
            .await?
            .result["structuredContent"]["sum"],
        3
    );

    // Settings reach the tool, and wrong ones change nothing.
    let config = json!({"greeting": "Grüß Gott; rm -rf / $(id)"});
    admin
        .configure(echo.id, config.as_object().cloned().unwrap_or_default())
        .await?;
    wait_for(SOON, "the greeting", async || {
        let said = agent
            .modern()?
            .ask("resources/read", json!({"uri": "echo://greeting"}))
            .await?;
        let text = said["contents"][0]["text"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        anyhow::ensure!(text == "Grüß Gott; rm -rf / $(id)", "{text}");
        Ok(())
    })
    .await?;

    admin.remove(http.id, false).await?;
    cluster.removed(http.id, false).await?;
    let tools = agent.tools().await?;
    assert_eq!(tools, ["echo", "env", "add", "headers", "sleep_ms"]);
    let statuses = admin.statuses(http.id.as_uuid()).await?;
    for status in ["running", "stopped", "removed"] {
        assert!(
            statuses.iter().any(|it| it == status),
            "{status} in {statuses:?}"
        );
    }
    cluster.finish().await
}

async fn processes(
    cluster: &Cluster,
    id: agentopia_domain::InstanceId,
) -> anyhow::Result<Vec<agentopia_test_support::process::Process>> {
    let machine = cluster.machine().await?;
    if cluster.has_docker() {
        return docker::processes(&machine.container(id).await?).await;
    }
    machine.tool_processes(id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_outlives_everything_but_a_purge() -> anyhow::Result<()> {
    let cluster = Cluster::local().runtime(Runtime::Docker).start().await?;
    let admin = &cluster.admin;
    let files = cluster.deploy("filesystem").await?;
    let content = "kept over restarts";
    let write = json!({"path": "/data/note.txt", "content": content});
    let wrote = admin.call(files.id, "write_file", write).await?;
    assert!(!wrote.is_error, "{wrote:?}");
    let read = async || -> anyhow::Result<String> {
        let got = admin
            .call(
                files.id,
                "read_text_file",
                json!({"path": "/data/note.txt"}),
            )
            .await?;
        Ok(got.result["content"][0]["text"]
            .as_str()
            .unwrap_or_default()
            .to_owned())
    };
    // Outside of its volume it can't write.
    let outside = json!({"path": "/etc/note.txt", "content": content});
    assert!(admin.call(files.id, "write_file", outside).await?.is_error);

    admin.instance_verb(files.id, "stop").await?;
    admin
        .wait_status(files.id, InstanceStatus::Stopped, SOON)
        .await?;
    admin.instance_verb(files.id, "start").await?;
    cluster.running(files.id).await?;
    assert_eq!(read().await?, content);

    let machine = cluster.machine().await?;
    docker::docker(&["rm", "-f", &machine.container(files.id).await?]).await?;
    wait_for(
        SOON,
        "the file after its container was taken away",
        async || {
            anyhow::ensure!(read().await? == content);
            Ok(())
        },
    )
    .await?;

    let second = cluster.deploy("filesystem").await?;
    let listed = admin
        .call(second.id, "list_directory", json!({"path": "/data"}))
        .await?;
    assert!(
        !listed.result.to_string().contains("note.txt"),
        "volumes are shared: {listed:?}"
    );
    admin.remove(second.id, true).await?;
    cluster.removed(second.id, false).await?;
    admin.remove(files.id, false).await?;
    cluster.removed(files.id, true).await?;
    // The environment takes everything with it: `finish` looks.
    cluster.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_shown_and_followed() -> anyhow::Result<()> {
    for runtime in [Runtime::Process, Runtime::Docker] {
        let cluster = Cluster::local().runtime(runtime).start().await?;
        let echo = cluster.deploy("echo").await?;
        let agent = cluster.agent_with("a", &[echo.id]).await?;
        let tail = wait_for(SOON, "the first line of the log", async || {
            let lines = cluster.admin.log_tail(echo.id, 10).await?;
            anyhow::ensure!(
                lines.iter().any(|it| it.line.contains("ready on stdio")),
                "{lines:?}"
            );
            Ok(lines)
        })
        .await?;
        assert!(
            tail.iter()
                .all(|line| line.stream == LogStream::Stderr && line.at.is_some()),
            "{tail:?}"
        );

        let mut follow = cluster.admin.log_follow(echo.id).await?;
        // A session is a process of its own, which says that it is ready.
        let session = agent.session().await?;
        session.tools().await?;
        let mut seen = 0;
        while seen < 2 {
            let line = tokio::time::timeout(SOON, follow.next()).await?;
            let line = line.ok_or_else(|| anyhow::anyhow!("the log ended"))??;
            seen += usize::from(line.line.contains("ready on stdio"));
        }
        session.close().await?;
        drop(follow);
        cluster.finish().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_deploy_enables_the_environment_and_a_second_one_is_another_instance()
-> anyhow::Result<()> {
    let cluster = Cluster::local().start().await?;
    let admin = &cluster.admin;
    assert!(
        admin.environment().await.is_err(),
        "nothing is enabled before it is wanted"
    );
    let first = cluster.deploy("echo").await?;
    let second = cluster.deploy("echo").await?;
    assert_ne!(first.id, second.id);
    assert_ne!(first.name, second.name);
    // Enabling again does nothing.
    let before = admin.environment().await?;
    admin.enable().await?;
    assert_eq!(admin.environment().await?.id, before.id);

    // Off and on again: what was wanted comes back by itself.
    admin.disable().await?;
    admin
        .wait_environment(EnvironmentStatus::Deleted, SOON * 2)
        .await?;
    leaks::none(before.id, &cluster.data_dir(), false).await?;
    admin
        .wait_status(first.id, InstanceStatus::Stopped, SOON)
        .await?;
    admin.enable().await?;
    cluster.running(first.id).await?;
    cluster.running(second.id).await?;
    assert_eq!(
        admin
            .call(second.id, "echo", json!({"text": "x"}))
            .await?
            .result["content"][0]["text"],
        "x"
    );
    cluster.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_passed_over_and_waited_for() -> anyhow::Result<()> {
    let mut cluster = Cluster::local().start().await?;
    let first = cluster.first_machine_port();
    let taken = std::net::TcpListener::bind(("127.0.0.1", first))?;
    let echo = cluster.deploy("echo").await?;
    let port = cluster.admin.environment().await?.dtma_port;
    assert_eq!(port, Some(first + 1));
    drop(taken);

    // Its own port is taken while it is dead: it says so, and is back when the port is free. The
    // control plane, which would start it again at once, is away until the port is taken.
    let machine = cluster.machine().await?;
    cluster.control_plane.kill()?;
    let before = machine.kill_dtma().await?;
    // What was killed counts as dead before its last thread has let go of the port.
    let taken = wait_for(Duration::from_secs(5), "the port", async || {
        Ok(std::net::TcpListener::bind(("127.0.0.1", first + 1))?)
    })
    .await?;
    cluster.control_plane.start().await?;
    wait_for(
        Duration::from_secs(40),
        "the DTMA to say that its port is taken",
        async || {
            anyhow::ensure!(
                machine.log().contains("can't be listened on"),
                "{}",
                machine.log()
            );
            Ok(())
        },
    )
    .await?;
    drop(taken);
    machine.dtma_after(before).await?;
    wait_for(
        Duration::from_secs(40),
        "the tool to answer again",
        async || {
            cluster
                .admin
                .call(echo.id, "echo", json!({"text": "x"}))
                .await
        },
    )
    .await?;
    cluster.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_refused_with_what_would() -> anyhow::Result<()> {
    let cluster = Cluster::local().start().await?;
    cluster.deploy("echo").await?;
    let huge = json!({"cpu_millis": 200, "memory_bytes": 1_u64 << 50, "pids": 32});
    EchoEntry::new("huge", &[])
        .with("/resources", huge)
        .add(&cluster.admin)
        .await?;
    let outcome: anyhow::Result<serde_json::Value> = cluster
        .admin
        .post("/api/v1/instances", &deployment("huge"))
        .await;
    let problem = agentopia_test_support::api::refused(outcome, "does_not_fit")?;
    assert!(
        problem.detail.to_lowercase().contains("memory"),
        "{problem}"
    );
    cluster.finish().await
}
