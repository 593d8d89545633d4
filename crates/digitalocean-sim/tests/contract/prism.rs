//! Prism as a child process, and what the contract says there is.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

/// A running Prism; it ends with this value.
pub(crate) struct Prism {
    pub(crate) url: String,
    _process: Child,
    /// Reads its log, so that it never waits for somebody to.
    log: JoinHandle<()>,
}

impl Drop for Prism {
    fn drop(&mut self) {
        self.log.abort();
    }
}

pub(crate) fn contract() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../digitalocean/contract/openapi.yaml")
}

/// A variable that one of the scripts prints.
pub(crate) fn wanted(variable: &str, script: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: eval \"$({script})\""))
}

impl Prism {
    /// A proxy before `upstream`. With `strict` it answers an error of its own wherever a request or
    /// an answer does not fit.
    pub(crate) async fn start(upstream: &str, strict: bool) -> Self {
        let mut process = Command::new(wanted("AGENTOPIA_PRISM_NODE", "script/prism"))
            .arg(wanted("AGENTOPIA_PRISM", "script/prism"))
            .args(["proxy", "--port", "0", "--errors", &strict.to_string()])
            .arg(contract())
            .arg(upstream)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let url = loop {
            let line = lines.next_line().await.unwrap();
            let line = line.expect("Prism ended before it listened");
            if let Some((_, url)) = line.split_once("Prism is listening on ") {
                break url.trim().to_owned();
            }
        };
        let log = tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self {
            url,
            _process: process,
            log,
        }
    }
}

/// An operation of the contract: its method, and its path with placeholders.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Operation {
    pub(crate) method: String,
    pub(crate) path: String,
}

impl Operation {
    /// All of them. Their lines are found by their indentation, as no YAML is parsed anywhere else.
    pub(crate) fn all() -> BTreeSet<Self> {
        let text = std::fs::read_to_string(contract()).unwrap();
        let mut operations = BTreeSet::new();
        let mut path = String::new();
        for line in text.lines() {
            let indent = line.len() - line.trim_start().len();
            let Some(key) = line.trim().strip_suffix(':') else {
                continue;
            };
            if indent == 2 && key.starts_with("/v2/") {
                key.clone_into(&mut path);
            } else if indent == 4 && ["get", "post", "put", "patch", "delete"].contains(&key) {
                operations.insert(Self {
                    method: key.to_uppercase(),
                    path: path.clone(),
                });
            }
        }
        assert!(operations.len() > 50, "{operations:?}");
        operations
    }

    /// Whether a call is of this operation; how many of its segments are literally those.
    pub(crate) fn fits(&self, method: &str, path: &str) -> Option<usize> {
        let path = path.split('?').next().unwrap_or(path);
        let (own, given): (Vec<_>, Vec<_>) =
            (self.path.split('/').collect(), path.split('/').collect());
        let same = |(own, given): (&&str, &&str)| own == given || own.starts_with('{');
        let fits =
            self.method == method && own.len() == given.len() && own.iter().zip(&given).all(same);
        fits.then(|| {
            own.iter()
                .zip(&given)
                .filter(|(own, given)| own == given)
                .count()
        })
    }

    /// A path of it, with ids that nothing has.
    pub(crate) fn sample(&self) -> String {
        let id = "3fa85f64-5717-4562-b3fc-2c963f66afa6";
        let segments = self.path.split('/').map(|segment| match segment {
            "{firewall_id}" | "{project_id}" => id,
            "{tag_id}" => "none",
            placeholder if placeholder.starts_with('{') => "1",
            literal => literal,
        });
        segments.collect::<Vec<_>>().join("/")
    }
}
