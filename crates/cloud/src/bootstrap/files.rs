//! The files that a new machine begins with.

use std::path::PathBuf;

use secrecy::ExposeSecret as _;
use serde::Serialize;

use super::AgentSource;
use crate::Bootstrap;

/// The program that does it all.
pub(super) const BOOTSTRAP: &str = "/usr/local/lib/agentopia/bootstrap";
/// What cloud-init runs: the program's unit, now and at later starts.
pub(super) const COMMAND: [&str; 4] = ["systemctl", "enable", "--now", "agentopia-bootstrap"];
const TOKEN: &str = "/var/lib/agentopia/enrolment-token";
/// Below what the DTMA is asked under its own address; the machine's side is `bootstrap.sh`.
const API: &str = "/api/dtma/v1";

/// One entry of cloud-init's `write_files`.
#[derive(Serialize)]
pub(super) struct FileEntry {
    pub(super) path: &'static str,
    pub(super) owner: &'static str,
    pub(super) permissions: &'static str,
    pub(super) content: String,
}

/// The DTMA's own configuration file.
#[derive(Serialize)]
struct DtmaToml<'a> {
    control_plane_url: &'a str,
    control_plane_ca_fingerprint: &'a str,
    enrolment_token_file: &'a str,
    data_dir: PathBuf,
    run_dir: PathBuf,
    listen: String,
    runtime: &'a str,
    tool_init: PathBuf,
    /// Where it is not its usual.
    #[serde(skip_serializing_if = "Option::is_none")]
    self_update: Option<bool>,
}

pub(super) fn files(
    bootstrap: &Bootstrap,
    agent: &AgentSource,
    dtma_port: u16,
    connect_to: &str,
) -> Vec<FileEntry> {
    let file = |path, permissions, content: &str| FileEntry {
        path,
        owner: "root:root",
        permissions,
        content: content.to_owned(),
    };
    let (of_agent, unit, self_update) = match agent {
        AgentSource::Programs(programs) => (
            vec![
                ("DTMA_SHA256", programs.dtma_sha256.clone()),
                ("TOOL_INIT_SHA256", programs.tool_init_sha256.clone()),
            ],
            include_str!("dtma.service"),
            None,
        ),
        AgentSource::Image(image) => (
            vec![("DTMA_IMAGE", image.to_string())],
            include_str!("dtma-image.service"),
            Some(false),
        ),
    };
    let variables = [
        (
            "CONTROL_PLANE",
            format!("https://{}{API}", bootstrap.control_plane_name),
        ),
        ("CONNECT_TO", connect_to.to_owned()),
    ];
    let variables: String = variables
        .iter()
        .chain(&of_agent)
        .map(|(name, value)| format!("{name}='{value}'\n"))
        .collect();
    vec![
        file("/etc/agentopia/ca.pem", "0644", &bootstrap.ca_pem),
        file(
            "/etc/agentopia/dtma.toml",
            "0600",
            &dtma_toml(bootstrap, dtma_port, self_update),
        ),
        file("/etc/agentopia/bootstrap.env", "0600", &variables),
        file(TOKEN, "0600", bootstrap.enrolment_token.expose_secret()),
        file(BOOTSTRAP, "0700", include_str!("bootstrap.sh")),
        file(
            "/usr/local/lib/agentopia/metadata-block",
            "0700",
            include_str!("metadata-block.sh"),
        ),
        file(
            METADATA_UNIT,
            "0644",
            include_str!("metadata-block.service"),
        ),
        file(BOOTSTRAP_UNIT, "0644", include_str!("bootstrap.service")),
        file(DTMA_UNIT, "0644", unit),
    ]
}

const BOOTSTRAP_UNIT: &str = "/etc/systemd/system/agentopia-bootstrap.service";
const METADATA_UNIT: &str = "/etc/systemd/system/agentopia-metadata-block.service";
const DTMA_UNIT: &str = "/etc/systemd/system/agentopia-dtma.service";

/// A configuration of plain text and numbers: writing it can't fail.
fn dtma_toml(bootstrap: &Bootstrap, port: u16, self_update: Option<bool>) -> String {
    let config = DtmaToml {
        control_plane_url: bootstrap.control_plane_url.as_str(),
        control_plane_ca_fingerprint: &bootstrap.ca_fingerprint,
        enrolment_token_file: TOKEN,
        data_dir: "/var/lib/agentopia/dtma".into(),
        run_dir: "/run/agentopia".into(),
        listen: format!("0.0.0.0:{port}"),
        runtime: "docker",
        tool_init: "/usr/local/lib/agentopia/tool-init".into(),
        self_update,
    };
    toml::to_string(&config).unwrap_or_else(|error| unreachable!("{error}"))
}
