//! What a machine may ask of the control plane: enrol once, and have the secrets of its own
//! instances. Everything else is refused, whatever it shows.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use agentopia_api::instance::Instance;
use agentopia_domain::EnvironmentId;
use agentopia_domain::environment::EnvironmentStatus;
use agentopia_dtma_api::to_control_plane::{
    ControlPlaneClient, ControlPlaneError, EnrolRequest, Heartbeat, Identity, MachineFacts,
    SecretsRequest,
};
use agentopia_pki::MachineKey;
use agentopia_pki::tls::CaTrust;
use agentopia_test_support::Cluster;
use anyhow::Context as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

/// The one-time token of the first machine below `data_dir`, caught before it is used: it is written
/// before the DTMA is started.
fn catch_token(data_dir: &Path) -> anyhow::Result<SecretString> {
    let machines = data_dir.join("machines");
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(20) {
        for entry in std::fs::read_dir(&machines).into_iter().flatten().flatten() {
            match std::fs::read_to_string(entry.path().join("token")) {
                Ok(token) if token.starts_with("enr_") => return Ok(token.trim().into()),
                _ => {}
            }
        }
        std::thread::yield_now();
    }
    anyhow::bail!("no enrolment token was seen in {}", machines.display())
}

fn facts() -> MachineFacts {
    MachineFacts {
        dtma_version: "0.0.0".to_owned(),
        dtma_sha256: None,
        boot_id: "of-a-test".to_owned(),
        port: 1,
        machine_id: None,
        runtime: "process".to_owned(),
        versions: Default::default(),
        capacity: Default::default(),
    }
}

fn code_of<T: std::fmt::Debug>(outcome: Result<T, ControlPlaneError>) -> anyhow::Result<String> {
    match outcome {
        Err(ControlPlaneError::Refused(problem)) => Ok(problem.code),
        other => anyhow::bail!("was to be refused: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enrolment_token_is_good_once() -> anyhow::Result<()> {
    let cluster = Cluster::local().start().await?;
    let dir = cluster.data_dir();
    let catcher = std::thread::spawn(move || catch_token(&dir));
    cluster.admin.enable().await?;
    cluster
        .admin
        .wait_environment(EnvironmentStatus::Active, Duration::from_secs(20))
        .await?;
    let token = catcher
        .join()
        .map_err(|_| anyhow::anyhow!("the catcher failed"))??;
    let machine = cluster.machine().await?;
    assert!(
        !machine.dir().join("token").exists(),
        "the used token is still on disk"
    );

    let own = MachineIdentity::read(&machine.dir().join("data"))?;
    let base: url::Url = cluster.machines_url().parse()?;
    let client = ControlPlaneClient::new(base, &CaTrust::Pem(own.ca_pem.clone()), None)?;
    let key = MachineKey::generate()?;
    for token in [token, SecretString::from("enr_nonsense")] {
        let request = EnrolRequest {
            token,
            csr_pem: key.csr_pem("test")?,
            machine: facts(),
        };
        assert_eq!(code_of(client.enrol(&request).await)?, "enrolment_refused");
    }
    // The machine that used it is none the worse.
    let echo = cluster.deploy("echo").await?;
    cluster
        .admin
        .call(echo.id, "echo", json!({"text": "x"}))
        .await?;
    cluster.finish().await
}

/// What a DTMA keeps on disk to show who it is.
struct MachineIdentity {
    environment: EnvironmentId,
    ca_pem: String,
    identity: Identity,
}

impl MachineIdentity {
    fn read(data: &Path) -> anyhow::Result<Self> {
        let dir: PathBuf = data.join("identity");
        let stored: Value =
            serde_json::from_str(&std::fs::read_to_string(dir.join("identity.json"))?)?;
        let text = |field: &str| {
            let found = stored[field].as_str().map(str::to_owned);
            found.with_context(|| format!("identity.json has no {field}"))
        };
        let key = std::fs::read_to_string(dir.join("keys").join(text("key")?))?;
        Ok(Self {
            environment: text("environment_id")?.parse()?,
            ca_pem: text("ca_pem")?,
            identity: Identity {
                certificate_pem: text("certificate_pem")?,
                key: Arc::new(MachineKey::from_pem(&SecretString::from(key))?),
                bearer: text("bearer")?.into(),
            },
        })
    }

    fn client(&self, base: &str, bearer: &SecretString) -> anyhow::Result<ControlPlaneClient> {
        let identity = Identity {
            bearer: bearer.clone(),
            ..self.identity.clone()
        };
        let trust = CaTrust::Pem(self.ca_pem.clone());
        Ok(ControlPlaneClient::new(
            base.parse()?,
            &trust,
            Some(&identity),
        )?)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_gets_the_secrets_of_its_own_instances_only() -> anyhow::Result<()> {
    let cluster = Cluster::local().start().await?;
    let admin = &cluster.admin;
    admin.put_secret("key", "secret-of-the-admin").await?;
    let request = json!({"catalog": "echo", "secrets": {"ECHO_SECRET": "key"}});
    let echo: Instance = admin.post("/api/v1/instances", &request).await?;
    cluster.running(echo.id).await?;
    let stranger = cluster.user("stranger@example.com").await?;
    stranger.enable().await?;
    stranger
        .wait_environment(EnvironmentStatus::Active, Duration::from_secs(30))
        .await?;

    let base = cluster.machines_url();
    let theirs = MachineIdentity::read(&cluster.machine_of(&stranger).await?.dir().join("data"))?;
    let ours = MachineIdentity::read(&cluster.machine().await?.dir().join("data"))?;
    assert_ne!(theirs.environment, ours.environment);
    let ask = SecretsRequest {
        generation: echo.generation,
        registry: None,
    };

    // Its own identity: refused like an instance that does not exist.
    let client = theirs.client(&base, &theirs.identity.bearer)?;
    let foreign = code_of(client.secrets(echo.id, &ask).await)?;
    let unknown = "0191f0a0-0000-7000-8000-000000000000".parse()?;
    assert_eq!(foreign, code_of(client.secrets(unknown, &ask).await)?);
    assert_eq!(foreign, "not_found");
    // A stolen bearer token without the certificate that belongs to it, and the other way round.
    for (certificate, bearer) in [(&theirs, &ours), (&ours, &theirs)] {
        let client = certificate.client(&base, &bearer.identity.bearer)?;
        assert!(
            client.secrets(echo.id, &ask).await.is_err(),
            "a mixed identity was let in"
        );
        let beat = Heartbeat {
            machine: facts(),
            instances: Vec::new(),
            samples: Vec::new(),
            update: None,
        };
        assert!(
            client.heartbeat(&beat).await.is_err(),
            "a mixed identity was heard"
        );
    }
    // The right one gets them: the refusals above are not for some other reason.
    let client = ours.client(&base, &ours.identity.bearer)?;
    let reply = client.secrets(echo.id, &ask).await?;
    assert_eq!(
        reply.env["ECHO_SECRET"].expose_secret(),
        "secret-of-the-admin"
    );
    // What was refused is in the audit, and what was given.
    let events = admin.timeline(echo.id.as_uuid()).await?;
    assert!(
        events.iter().any(|event| event.kind.contains("secret")),
        "{events:?}"
    );
    // Once its environment is gone, so is what it may ask.
    stranger.disable().await?;
    stranger
        .wait_environment(EnvironmentStatus::Deleted, Duration::from_secs(60))
        .await?;
    let client = theirs.client(&base, &theirs.identity.bearer)?;
    let beat = Heartbeat {
        machine: facts(),
        instances: Vec::new(),
        samples: Vec::new(),
        update: None,
    };
    assert!(
        client.heartbeat(&beat).await.is_err(),
        "a machine that is gone was heard"
    );
    cluster.finish().await
}
