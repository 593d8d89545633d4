//! What the product is compared with: `docker run -i` of the same image, spoken to on its standard
//! input and output by hand.

use std::process::Stdio;
use std::time::Duration;

use agentopia_test_support::{binaries, docker};
use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, timeout};

/// The network that `docker run` takes unless it is told otherwise.
pub(crate) const DEFAULT_NETWORK: &str = "bridge";
/// No answer takes longer.
const LIMIT: Duration = Duration::from_secs(60);

/// Where the catalog's echo server is, by digest: the very bytes that the product runs.
pub(crate) fn echo_image() -> anyhow::Result<String> {
    let images: Value = serde_json::from_slice(&std::fs::read(binaries::images()?)?)?;
    let echo = &images["echo"];
    let part = |name: &str| {
        echo[name]
            .as_str()
            .with_context(|| format!("images.json has no echo.{name}"))
    };
    Ok(format!("{}@{}", part("image")?, part("digest")?))
}

/// From the start of `docker run -i` to its first answered `tools/call`, on a network that is there
/// already. The container is gone when
/// this returns.
pub(crate) async fn first_call(image: &str, network: &str) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let mut run = match network {
        DEFAULT_NETWORK => Run::start(&["--rm", image])?,
        other => Run::start(&["--rm", "--network", other, image])?,
    };
    run.first_call().await?;
    let took = began.elapsed();
    run.end().await?;
    Ok(took)
}

/// The same with a network of its own, which the product gives to each tool: made before, and its
/// making counted.
pub(crate) async fn first_call_on_own_network(image: &str) -> anyhow::Result<Duration> {
    let name = format!("agentopia-bench-{}", std::process::id());
    let began = Instant::now();
    docker::docker(&["network", "create", &name]).await?;
    let mut run = Run::start(&["--rm", "--network", &name, image])?;
    let answered = run.first_call().await;
    let took = began.elapsed();
    let ended = run.end().await;
    docker::docker(&["network", "rm", &name]).await?;
    answered?;
    ended?;
    Ok(took)
}

/// A server in a container that Docker's own command line started.
struct Run {
    child: Child,
    to: ChildStdin,
    from: Lines<BufReader<ChildStdout>>,
}

impl Run {
    fn start(args: &[&str]) -> anyhow::Result<Self> {
        let mut child = Command::new("docker")
            .args(["run", "-i"])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .context("`docker run` can't be started")?;
        let to = child.stdin.take().context("no stdin")?;
        let from = BufReader::new(child.stdout.take().context("no stdout")?).lines();
        Ok(Self { child, to, from })
    }

    async fn first_call(&mut self) -> anyhow::Result<()> {
        self.ask(
            1,
            "initialize",
            json!({
                "protocolVersion": "2025-06-18", "capabilities": {},
                "clientInfo": {"name": "agentopia-bench", "version": "1"},
            }),
        )
        .await?;
        self.tell(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
            .await?;
        let said = self
            .ask(
                2,
                "tools/call",
                json!({"name": "echo", "arguments": {"text": "hello"}}),
            )
            .await?;
        anyhow::ensure!(
            said["content"][0]["text"] == "hello",
            "the echo server answered {said}"
        );
        Ok(())
    }

    async fn tell(&mut self, message: &Value) -> anyhow::Result<()> {
        self.to.write_all(format!("{message}\n").as_bytes()).await?;
        Ok(())
    }

    async fn ask(&mut self, id: u32, method: &str, params: Value) -> anyhow::Result<Value> {
        self.tell(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
            .await?;
        loop {
            let line = timeout(LIMIT, self.from.next_line())
                .await
                .with_context(|| format!("no answer to {method}"))??
                .with_context(|| format!("it ended before it answered {method}"))?;
            let mut message: Value = serde_json::from_str(&line)?;
            if message["id"] == id {
                anyhow::ensure!(message["error"].is_null(), "{method}: {message}");
                return Ok(message["result"].take());
            }
        }
    }

    /// Closes its input, upon which it ends, and with `--rm` is removed.
    async fn end(self) -> anyhow::Result<()> {
        let Self {
            mut child,
            to,
            from,
        } = self;
        drop((to, from));
        timeout(LIMIT, child.wait())
            .await
            .context("`docker run` does not end")??;
        Ok(())
    }
}
