//! What a droplet was told at its creation can be read by many, and stays on its disk: there is no secret in
//! it that is worth anything by now.

use agentopia_dtma_api::to_control_plane::{
    ControlPlaneClient, ControlPlaneError, EnrolRequest, MachineFacts,
};
use agentopia_pki::MachineKey;
use agentopia_pki::tls::CaTrust;
use agentopia_test_support::fixtures::Registry;
use agentopia_test_support::simulator;
use anyhow::Context as _;
use secrecy::SecretString;

use crate::story::Story;

/// Of the product's own tokens.
const PREFIXES: [&str; 4] = ["agt_", "pat_", "dtma_", "dop_v1_"];

pub(crate) async fn holds_no_secret(story: &Story) -> anyhow::Result<()> {
    let machine = story.cluster.machine().await?;
    let url = "http://169.254.169.254/metadata/v1/user-data";
    let told = machine.run(&["curl", "-sSf", "-m", "5", url]).await?;
    assert!(
        told.starts_with("#cloud-config"),
        "{}",
        &told[..told.len().min(80)]
    );
    assert!(
        told.is_ascii() && told.len() < 64 << 10,
        "{} bytes",
        told.len()
    );

    let registry = Registry::from_env()?.password;
    let known = [
        simulator::TOKEN,
        story.cluster.admin.token(),
        &story.agent.token,
        &registry,
    ];
    for secret in known {
        assert!(!told.contains(secret), "a secret is in the user-data");
    }
    for file in agentopia_test_support::leaks::below(&story.cluster.root().join("data")) {
        if file.contains("key") && std::path::Path::new(&file).is_file() {
            let key = std::fs::read_to_string(&file).unwrap_or_default();
            let key = key.trim();
            assert!(
                key.is_empty() || !told.contains(key),
                "{file} is in the user-data"
            );
        }
    }
    assert!(!told.contains("PRIVATE KEY"));
    for prefix in PREFIXES {
        let token = |at: usize| {
            let rest = &told[at + prefix.len()..];
            rest.chars().take_while(char::is_ascii_alphanumeric).count() >= 16
        };
        let mut found = told.match_indices(prefix).map(|(at, _)| at);
        assert!(
            !found.any(token),
            "a token that begins with {prefix} is in the user-data"
        );
    }

    let from = told
        .find("enr_")
        .context("no enrolment token is in the user-data")?;
    let token: String = told[from..]
        .chars()
        .take_while(|char| char.is_ascii_alphanumeric() || *char == '_')
        .collect();
    used_up(story, token).await
}

/// The only token in it enrols nobody any more.
async fn used_up(story: &Story, token: String) -> anyhow::Result<()> {
    let machine = story.cluster.machine().await?;
    let ca = machine.run(&["cat", "/etc/agentopia/ca.pem"]).await?;
    let url = machine
        .shell("sed -n 's/^control_plane_url = \"\\(.*\\)\"/\\1/p' /etc/agentopia/dtma.toml");
    let client = ControlPlaneClient::new(url.await?.parse()?, &CaTrust::Pem(ca), None)?;
    let request = EnrolRequest {
        token: SecretString::from(token),
        csr_pem: MachineKey::generate()?.csr_pem("thief")?,
        machine: MachineFacts {
            dtma_version: "0.0.0".to_owned(),
            dtma_sha256: None,
            boot_id: "a thief's".to_owned(),
            port: 30_000,
            machine_id: Some(machine.id.to_string()),
            runtime: "docker".to_owned(),
            versions: Default::default(),
            capacity: Default::default(),
        },
    };
    match client.enrol(&request).await {
        Err(ControlPlaneError::Refused(problem)) => assert_eq!(problem.code, "enrolment_refused"),
        other => anyhow::bail!("was to be refused: {other:?}"),
    }
    Ok(())
}
