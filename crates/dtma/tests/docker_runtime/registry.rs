//! A registry that asks for a password: a real one, started for these tests.

use std::process::{Child, Command, Stdio};

use agentopia_domain::spec::ImageRef;
use agentopia_dtma::runtime::{ErrorCode, Progress, Retry, Runtime as _};
use agentopia_dtma_api::to_control_plane::RegistryLogin;
use bollard::auth::DockerCredentials;
use bollard::query_parameters::{PushImageOptions, RemoveImageOptions, TagImageOptions};
use futures::StreamExt as _;

use crate::machine::Machine;
use crate::support::{self, wait_for};

const PASSWORD: &str = "right-password";
/// bcrypt of it.
const HTPASSWD: &str = "tester:$2b$04$MMyln9/CZjzcFj/45ccxPO7HST5DgU5OzIc/vBDbS176zFSyadM5u\n";

struct Registry {
    server: Child,
    address: String,
    _directory: tempfile::TempDir,
}

impl Registry {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name).display().to_string();
        // Free a moment ago.
        let port = std::net::TcpListener::bind(("127.0.0.1", 0))
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let address = format!("127.0.0.1:{port}");
        std::fs::write(file("htpasswd"), HTPASSWD).unwrap();
        let config = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"{address}\", secret: test}}\nauth: {{htpasswd: {{realm: test, path: {}}}}}\n",
            file("data"),
            file("htpasswd"),
        );
        std::fs::write(file("config.yml"), config).unwrap();
        let server = Command::new("docker-registry")
            .args(["serve", &file("config.yml")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry is not installed: script/services installs it");
        wait_for("the registry", || async {
            tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .ok()
        })
        .await;
        Self {
            server,
            address,
            _directory: directory,
        }
    }

    fn image(&self, tag: &str) -> ImageRef {
        ImageRef {
            repository: format!("{}/agentopia-test/echo", self.address),
            tag: Some(tag.into()),
            digest: None,
        }
    }

    /// Pushes an image that the engine has, and takes it from the engine under this name.
    async fn hold(&self, machine: &Machine, local: &ImageRef, tag: &str) {
        let image = self.image(tag);
        let options = TagImageOptions {
            repo: Some(image.repository.clone()),
            tag: Some(tag.into()),
        };
        machine
            .docker
            .tag_image(&local.reference(), Some(options))
            .await
            .unwrap();
        let credentials = DockerCredentials {
            username: Some("tester".into()),
            password: Some(PASSWORD.into()),
            ..DockerCredentials::default()
        };
        let options = PushImageOptions {
            tag: Some(tag.into()),
            ..PushImageOptions::default()
        };
        let pushed: Vec<_> = machine
            .docker
            .push_image(&image.repository, Some(options), Some(credentials))
            .collect()
            .await;
        for message in pushed {
            message.unwrap();
        }
        let options = RemoveImageOptions {
            noprune: true,
            ..RemoveImageOptions::default()
        };
        machine
            .docker
            .remove_image(&image.reference(), Some(options), None)
            .await
            .unwrap();
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn login(password: &str) -> RegistryLogin {
    RegistryLogin {
        username: "tester".into(),
        password: password.to_owned().into(),
    }
}

#[tokio::test]
async fn every_no_of_a_registry_has_a_name_and_a_yes_gives_the_digest() {
    let machine = Machine::new().await;
    let registry = Registry::start().await;
    // An image that has no other name, so that losing this one removes it.
    let binary = std::fs::read(support::static_binaries().join("agentopia-echo")).unwrap();
    let files = [("agentopia-echo", binary, 0o755)];
    let dockerfile = format!(
        "FROM scratch\nLABEL registry={}\nCOPY agentopia-echo /echo\nENTRYPOINT [\"/echo\"]\n",
        registry.address
    );
    let local = machine.image(&dockerfile, &files).await;
    let other = machine.echo().await.program.image;
    registry.hold(&machine, &local, "1").await;
    let options = RemoveImageOptions::default();
    machine
        .docker
        .remove_image(&local.reference(), Some(options), None)
        .await
        .unwrap();
    let prepare = async |tag: &str, login: Option<RegistryLogin>| {
        let spec = support::spec(machine.environment, registry.image(tag));
        machine
            .runtime
            .prepare(&spec, login.as_ref(), &Progress::none())
            .await
    };
    for login in [None, Some(login("wrong"))] {
        let error = prepare("1", login).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::RegistryUnauthorised, "{error}");
        assert_eq!(error.code.retry(), Retry::Seldom);
        assert!(!error.message.contains("wrong"), "{error}");
    }
    let error = prepare("no-such-tag", Some(login(PASSWORD)))
        .await
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::ImageNotFound, "{error}");

    let mut spec = support::spec(machine.environment, registry.image("1"));
    assert!(machine.runtime.needs_fetch(&spec).await.unwrap());
    let prepared = prepare("1", Some(login(PASSWORD))).await.unwrap();
    let digest = prepared.image_digest.unwrap();
    assert!(
        digest.starts_with("sha256:") && digest != prepared.target,
        "{digest}"
    );
    // What is there by digest needs neither login nor registry.
    spec.program.image.digest = Some(digest);
    drop(registry);
    assert!(!machine.runtime.needs_fetch(&spec).await.unwrap());
    machine.start(&spec).await;
    machine.session(&spec).await.close().await;

    // In use, or wanted, it stays; then it goes, and nothing that somebody else pulled.
    assert_eq!(
        machine
            .runtime
            .prune(std::slice::from_ref(&spec))
            .await
            .unwrap(),
        0
    );
    machine
        .runtime
        .remove(spec.instance_id, true)
        .await
        .unwrap();
    assert!(machine.runtime.prune(&[]).await.unwrap() > 0);
    assert!(machine.runtime.needs_fetch(&spec).await.unwrap());
    assert!(
        machine
            .docker
            .inspect_image(&other.reference())
            .await
            .is_ok()
    );
}
