//! Prism, started on a free port of loopback and ended with the test.

use std::env;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// How long it may take to start: it reads 250 KB of YAML, on a machine that may be busy.
const START: Duration = Duration::from_secs(60);
const CONTRACT: &str = include_str!("../../contract/openapi.yaml");

#[derive(Debug)]
pub(crate) struct Prism {
    /// `http://127.0.0.1:<port>`.
    pub(crate) base: String,
    _process: Child,
    _dir: TempDir,
}

impl Prism {
    /// # Panics
    /// When it is not installed or does not start.
    pub(crate) async fn start() -> Self {
        let variable = |name: &str| {
            env::var_os(name).unwrap_or_else(|| {
                panic!(
                    "{name} is not set, so there is no contract to test against: run script/test, \
                     or `eval \"$(script/prism)\"` before cargo"
                )
            })
        };
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("openapi.yaml");
        std::fs::write(&file, readable()).unwrap();
        let (cli, node) = (
            variable("AGENTOPIA_PRISM"),
            variable("AGENTOPIA_PRISM_NODE"),
        );
        let mut process = Command::new(node)
            .arg(cli)
            .args(["mock", "--errors", "--host", "127.0.0.1", "--port", "0"])
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Prism can't be started");
        let stdout = process.stdout.take().unwrap();
        let mut lines = BufReader::new(stdout).lines();
        let base = tokio::time::timeout(START, listening(&mut lines))
            .await
            .expect("Prism does not start");
        // It tells of every request and would stand still if nobody read that.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self {
            base,
            _process: process,
            _dir: dir,
        }
    }
}

/// The contract, with two places written so that Prism can tell right from wrong there.
fn readable() -> String {
    let places = [
        // A pattern that JavaScript does not compile, and Prism passes over such schemas: it would
        // take any tag.
        (r"^[a-zA-Z0-9_\-\:]+$", r"^[a-zA-Z0-9_\-:]+$"),
        // "Exactly one of" two schemas of which the first has all that the second has, told apart
        // by a discriminator that Prism does not look at: it would take no action on droplets by
        // tag.
        (
            "oneOf:\n              - $ref: '#/components/schemas/droplet_action'\n",
            "anyOf:\n              - $ref: '#/components/schemas/droplet_action'\n",
        ),
    ];
    places
        .iter()
        .fold(CONTRACT.to_owned(), |text, (theirs, ours)| {
            assert!(
                text.contains(theirs),
                "the contract no longer has {theirs:?}"
            );
            text.replace(theirs, ours)
        })
}

async fn listening(lines: &mut Lines<BufReader<ChildStdout>>) -> String {
    let mut said = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        if let Some((_, base)) = line.split_once("Prism is listening on ") {
            return base.trim().to_owned();
        }
        said.push_str(&line);
        said.push('\n');
    }
    panic!("Prism ended: {said}");
}
