use std::io::Write as _;
use std::process::{Command, Stdio};

use agentopia_dtma_api::to_control_plane::path;
use serde_json::Value;

use super::*;

const TOKEN: &str = "enr_canary0123456789";
const PEM: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

fn bootstrap() -> Bootstrap {
    Bootstrap {
        control_plane_url: "https://203.0.113.7:8443".parse().unwrap(),
        ca_fingerprint: "ab".repeat(32),
        ca_pem: PEM.to_owned(),
        control_plane_name: "control-plane.agentopia.internal".to_owned(),
        enrolment_token: SecretString::from(TOKEN),
    }
}

fn programs() -> Programs {
    Programs {
        dtma_sha256: "cd".repeat(32),
        tool_init_sha256: "ef".repeat(32),
    }
}

fn document() -> Value {
    document_of(&AgentSource::Programs(programs()))
}

fn document_of(agent: &AgentSource) -> Value {
    let data = user_data(&bootstrap(), agent, 30_000).unwrap();
    let text = data.expose_secret();
    assert!(
        text.is_ascii() && text.len() < MAX_USER_DATA / 2,
        "{}",
        text.len()
    );
    let json = text.strip_prefix("#cloud-config\n").unwrap();
    serde_json::from_str(json).unwrap()
}

fn content(document: &Value, path: &str) -> (String, String) {
    let files = document["write_files"].as_array().unwrap();
    let file = files.iter().find(|file| file["path"] == path).unwrap();
    let text = |key: &str| file[key].as_str().unwrap().to_owned();
    (text("permissions"), text("content"))
}

#[test]
fn the_machine_gets_what_is_written_here() {
    let document = document();
    let files = document["write_files"].as_array().unwrap();
    let readable: String = files
        .iter()
        .map(|file| {
            let text = |key: &str| file[key].as_str().unwrap();
            let (path, mode) = (text("path"), text("permissions"));
            format!(
                "#### {path} {mode} {}\n{}\n",
                text("owner"),
                text("content")
            )
        })
        .collect();
    insta::assert_snapshot!(format!("{readable}#### run {}\n", document["runcmd"]));
}

#[test]
fn the_token_stands_in_its_own_file_only_and_others_cannot_read_it() {
    let document = document();
    assert_eq!(document.to_string().matches(TOKEN).count(), 1);
    let (mode, token) = content(&document, "/var/lib/agentopia/enrolment-token");
    assert_eq!((mode.as_str(), token.as_str()), ("0600", TOKEN));
    let (mode, config) = content(&document, "/etc/agentopia/dtma.toml");
    assert_eq!(mode, "0600");
    assert!(config.contains(r#"enrolment_token_file = "/var/lib/agentopia/enrolment-token""#));
}

#[test]
fn the_control_plane_is_asked_by_the_name_in_its_certificate() {
    let variables = |url: &str| {
        let mut bootstrap = bootstrap();
        bootstrap.control_plane_url = url.parse().unwrap();
        connect_to(&bootstrap.control_plane_url, "cp.internal")
    };
    assert_eq!(
        variables("https://[2001:db8::1]:8443").unwrap(),
        "cp.internal:443:[2001:db8::1]:8443"
    );
    assert_eq!(
        variables("https://cp.example.com").unwrap(),
        "cp.internal:443:cp.example.com:443"
    );
    assert_eq!(
        variables("http://cp.example.com"),
        Err(UserDataError::ControlPlane)
    );
}

#[test]
fn the_machine_asks_where_the_contract_says() {
    let document = document();
    let (_, variables) = content(&document, "/etc/agentopia/bootstrap.env");
    let base = "https://control-plane.agentopia.internal";
    let api = path::BOOTSTRAP.strip_suffix("/bootstrap").unwrap();
    assert!(
        variables.contains(&format!("CONTROL_PLANE='{base}{api}'\n")),
        "{variables}"
    );
    assert_eq!(path::download("dtma"), format!("{api}/download/dtma"));
    let (_, script) = content(&document, BOOTSTRAP);
    assert!(script.contains("\"$CONTROL_PLANE/download/$1\""));
    assert!(script.contains("\"$CONTROL_PLANE/bootstrap\""));
}

const BOOTSTRAP: &str = files::BOOTSTRAP;

#[test]
fn nothing_that_could_leave_its_place_is_taken() {
    let refused = |change: fn(&mut Bootstrap, &mut Programs)| {
        let (mut bootstrap, mut programs) = (bootstrap(), programs());
        change(&mut bootstrap, &mut programs);
        user_data(&bootstrap, &AgentSource::Programs(programs), 30_000).unwrap_err()
    };
    let errors = [
        refused(|_, programs| programs.dtma_sha256 = "'; reboot; '".to_owned()),
        refused(|_, programs| programs.tool_init_sha256.clear()),
        refused(|bootstrap, _| bootstrap.ca_fingerprint.push('0')),
        refused(|bootstrap, _| bootstrap.ca_pem = "\u{1f980}".to_owned()),
        refused(|bootstrap, _| bootstrap.ca_pem = format!("{PEM}\u{7}")),
        refused(|bootstrap, _| bootstrap.control_plane_name = "a b".to_owned()),
        refused(|bootstrap, _| bootstrap.enrolment_token = SecretString::from("enr_'x'")),
    ];
    for error in errors {
        assert!(matches!(error, UserDataError::Unfit(_)), "{error}");
        assert!(!error.to_string().contains("enr_"));
    }
    let long = refused(|bootstrap, _| bootstrap.ca_pem = format!("{PEM}{}", "A\n".repeat(40_000)));
    assert!(matches!(long, UserDataError::TooLong(_)), "{long}");
}

#[test]
fn an_agent_from_an_image_is_run_by_its_content_and_does_not_update_itself() {
    let name = format!(
        "registry.example.com/agentopia/dtma@sha256:{}",
        "ab".repeat(32)
    );
    let image = AgentImage::parse(&name).unwrap();
    let document = document_of(&AgentSource::Image(image));
    let (_, variables) = content(&document, "/etc/agentopia/bootstrap.env");
    assert!(
        variables.contains(&format!("DTMA_IMAGE='{name}'\n")),
        "{variables}"
    );
    assert!(!variables.contains("SHA256"), "{variables}");
    let (_, config) = content(&document, "/etc/agentopia/dtma.toml");
    assert!(config.contains("self_update = false"), "{config}");
    let (_, unit) = content(&document, "/etc/systemd/system/agentopia-dtma.service");
    assert!(
        unit.contains("--pull never") && unit.contains("  ${IMAGE} run"),
        "{unit}"
    );
    // What the engine is told has to be where the agent sees it.
    for path in [
        "/var/lib/agentopia",
        "/run/agentopia",
        "/usr/local/lib/agentopia/tool-init",
    ] {
        assert!(unit.contains(&format!("src={path},dst={path}")), "{path}");
    }
    let (_, programs_config) = content(&self::document(), "/etc/agentopia/dtma.toml");
    assert!(!programs_config.contains("self_update"));
}

/// Bash reads them to the end; `shellcheck crates/cloud/src/bootstrap/*.sh` sees more.
#[test]
fn the_scripts_are_bash() {
    for path in [BOOTSTRAP, "/usr/local/lib/agentopia/metadata-block"] {
        let (mode, script) = content(&document(), path);
        assert_eq!(mode, "0700");
        let mut bash = Command::new("bash")
            .arg("-n")
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = bash.stdin.take().unwrap();
        input.write_all(script.as_bytes()).unwrap();
        drop(input);
        assert!(bash.wait().unwrap().success(), "{path}");
    }
}
