//! Images of packages, made by a real npm from a small registry of our own: once for all who want one, within their
//! limits, and without anything left when they are cut off.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use agentopia_domain::catalog::package::PackageRegistry;
use agentopia_domain::package_build::{BuildLimits, PackageBuild};
use agentopia_domain::spec::{ImageRef, InstanceSpec};
use agentopia_dtma::runtime::{ErrorCode, Progress, Runtime as _, RuntimeError};
use agentopia_dtma_api::to_control_plane::RegistryLogin;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bollard::models::{ContainerCreateBody, NetworkCreateRequest};
use bollard::query_parameters::CreateContainerOptions;
use serde_json::{Value, json};

use crate::machine::{Machine, tar_entry};
use crate::support::{self, wait_for};

/// A registry with packages that differ in what their install script does.
struct Registry {
    address: String,
    downloads: Arc<AtomicUsize>,
}

impl Registry {
    async fn start() -> Self {
        // Containers reach this host by the address that it has outside.
        let outside = std::net::UdpSocket::bind(("0.0.0.0", 0)).unwrap();
        outside.connect(("192.0.2.1", 9)).unwrap();
        let host = outside.local_addr().unwrap().ip();
        let listener = tokio::net::TcpListener::bind(("0.0.0.0", 0)).await.unwrap();
        let address = format!("http://{host}:{}/", listener.local_addr().unwrap().port());
        let downloads = Arc::<AtomicUsize>::default();
        let router = Router::new()
            .route("/{name}", axum::routing::get(about))
            .route("/files/{name}", axum::routing::get(file))
            .with_state(Arc::clone(&downloads));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, downloads }
    }

    fn spec(&self, machine: &Machine, name: &str) -> InstanceSpec {
        let mut spec = support::spec(machine.environment, base());
        spec.package = Some(PackageBuild {
            registry: PackageRegistry::Npm,
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            program: None,
            integrity: None,
            install_scripts: false,
            index: Some(self.address.clone()),
            ca: None,
            limits: BuildLimits {
                cpu_millis: 1000,
                ..BuildLimits::default()
            },
        });
        spec
    }

    /// One whose install script is run, with other limits.
    fn scripted(
        &self,
        machine: &Machine,
        name: &str,
        limit: impl FnOnce(&mut BuildLimits),
    ) -> InstanceSpec {
        let mut spec = self.spec(machine, name);
        let package = spec.package.as_mut().unwrap();
        package.install_scripts = true;
        limit(&mut package.limits);
        spec
    }
}

fn manifest(name: &str) -> Option<Value> {
    let script = match name {
        "plain" => None,
        "failing" => Some("echo on purpose && exit 3"),
        "endless" => Some("sleep 600"),
        "filler" => Some(
            "for n in 1 2 3; do dd if=/dev/zero of=/opt/agentopia/app/$n bs=1M count=50; done; sleep 600",
        ),
        "hog" => Some("node -e 'const kept = []; for (;;) kept.push(Buffer.alloc(16 << 20, 1))'"),
        _ => return None,
    };
    let mut about = json!({"name": name, "version": "1.0.0", "bin": {name: "index.js"}});
    if let Some(script) = script {
        about["scripts"] = json!({"preinstall": script});
    }
    Some(about)
}

async fn about(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Some(mut version) = manifest(&name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let host = headers[header::HOST].to_str().unwrap();
    version["dist"] = json!({"tarball": format!("http://{host}/files/{name}.tgz")});
    version["hasInstallScript"] = version["scripts"].is_object().into();
    let versions = BTreeMap::from([("1.0.0", version)]);
    let whole = json!({"name": name, "dist-tags": {"latest": "1.0.0"}, "versions": versions});
    axum::Json(whole).into_response()
}

async fn file(State(downloads): State<Arc<AtomicUsize>>, Path(file): Path<String>) -> Response {
    let Some(about) = file.strip_suffix(".tgz").and_then(manifest) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    downloads.fetch_add(1, Ordering::SeqCst);
    let mut tar = Vec::new();
    tar_entry(
        &mut tar,
        "package/package.json",
        about.to_string().as_bytes(),
        0o644,
    );
    let program = b"#!/usr/bin/env node\nsetTimeout(() => {}, 1e6);\n";
    tar_entry(&mut tar, "package/index.js", program, 0o755);
    tar.resize(tar.len() + 1024, 0);
    tar.into_response()
}

/// The base image of `script/images`.
fn base() -> ImageRef {
    let file =
        std::env::var("AGENTOPIA_TEST_IMAGES").expect("run `eval \"$(script/services env)\"`");
    let images: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let field = |name: &str| {
        let found = images["package-node"][name].as_str();
        found.expect("run `script/images package-node`").to_owned()
    };
    ImageRef {
        repository: field("image"),
        tag: None,
        digest: Some(field("digest")),
    }
}

fn login() -> RegistryLogin {
    let file = std::env::var("AGENTOPIA_TEST_REGISTRY_PASSWORD_FILE").unwrap();
    RegistryLogin {
        username: std::env::var("AGENTOPIA_TEST_REGISTRY_USER").unwrap(),
        password: std::fs::read_to_string(file).unwrap().trim().into(),
    }
}

async fn build(machine: &Machine, spec: &InstanceSpec) -> Result<(), RuntimeError> {
    let runtime = &machine.runtime;
    runtime.build(spec, Some(&login()), &Progress::none()).await
}

#[tokio::test]
async fn of_many_who_want_one_image_one_makes_it_and_it_stays_as_long_as_it_is_needed() {
    let (machine, registry) = (Machine::new().await, Registry::start().await);
    let spec = registry.spec(&machine, "plain");
    assert!(machine.runtime.needs_fetch(&spec).await.unwrap());
    let others = [
        registry.spec(&machine, "plain"),
        registry.spec(&machine, "plain"),
    ];
    let built = tokio::join!(
        build(&machine, &spec),
        build(&machine, &others[0]),
        build(&machine, &others[1])
    );
    assert_eq!(built, (Ok(()), Ok(()), Ok(())));
    assert_eq!(registry.downloads.load(Ordering::SeqCst), 1);
    assert!(!machine.runtime.needs_fetch(&spec).await.unwrap());

    machine.start(&spec).await;
    let container = machine.inspect(&spec).await;
    let command = container.config.unwrap().cmd.unwrap();
    let program = "/opt/agentopia/app/node_modules/.bin/plain";
    assert_eq!(command.last().map(String::as_str), Some(program));
    let id = container.image.unwrap();
    let image = machine.docker.inspect_image(&id).await.unwrap();
    let config = image.config.unwrap();
    assert_eq!(config.user.as_deref(), Some("199999:199999"));
    let environment = config.env.unwrap();
    assert!(
        !environment.iter().any(|entry| entry.contains("npm")),
        "no settings of the build: {environment:?}"
    );
    machine
        .runtime
        .remove(spec.instance_id, true)
        .await
        .unwrap();

    let keep = std::slice::from_ref(&spec);
    machine.runtime.tidy(&[]).await.unwrap();
    machine.runtime.prune(keep).await.unwrap();
    assert!(machine.docker.inspect_image(&id).await.is_ok(), "needed");
    machine.runtime.purge_shared().await.unwrap();
    assert!(machine.docker.inspect_image(&id).await.is_err());
    assert_eq!(machine.everything().await, [""; 0]);
}

#[tokio::test]
async fn code_of_packages_runs_only_where_it_is_allowed() {
    let (machine, registry) = (Machine::new().await, Registry::start().await);
    let spec = registry.spec(&machine, "failing");
    assert_eq!(build(&machine, &spec).await, Ok(()));
    let allowed = registry.scripted(&machine, "failing", |_| ());
    let error = build(&machine, &allowed).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::BuildFailed);
    assert!(error.message.contains("on purpose"), "{error}");
    machine.runtime.purge_shared().await.unwrap();
    assert_eq!(machine.everything().await, [""; 0]);
}

#[tokio::test]
async fn what_takes_too_much_is_ended_and_says_of_what() {
    let (machine, registry) = (Machine::new().await, Registry::start().await);
    let endless = registry.scripted(&machine, "endless", |limits| limits.seconds = 15);
    // Several files of less than the limit, or the engine's limit of one file would end it.
    let filler = registry.scripted(&machine, "filler", |limits| limits.size_bytes = 100 << 20);
    let error = build(&machine, &endless).await.unwrap_err();
    assert!(error.message.contains("packages.build_seconds"), "{error}");
    let error = build(&machine, &filler).await.unwrap_err();
    assert!(error.message.contains("packages.build_size_mib"), "{error}");
    let hog = registry.scripted(&machine, "hog", |limits| limits.memory_bytes = 256 << 20);
    let error = build(&machine, &hog).await.unwrap_err();
    assert!(
        error.message.contains("packages.build_memory_mib"),
        "{error}"
    );
    let missing = registry.spec(&machine, "not-there");
    let error = build(&machine, &missing).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::PackageNotFound, "{error}");
    machine.runtime.purge_shared().await.unwrap();
    assert_eq!(machine.everything().await, [""; 0]);
}

#[tokio::test]
async fn a_build_that_nobody_wants_any_more_leaves_nothing_and_can_begin_again() {
    let (machine, registry) = (Machine::new().await, Registry::start().await);
    let endless = registry.scripted(&machine, "endless", |_| ());
    let runs = async || {
        let containers = machine.everything().await;
        containers
            .iter()
            .any(|it| it.starts_with("container"))
            .then_some(())
    };
    for _ in 0..2 {
        tokio::select! {
            built = build(&machine, &endless) => panic!("it ended: {built:?}"),
            () = wait_for("the build to begin", &runs) => {}
        }
    }
    wait_for("everything to be gone", async || {
        machine.everything().await.is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_a_killed_agent_left_of_a_build_goes_at_its_next_start() {
    let mut machine = Machine::new().await;
    let echo = machine.echo().await;
    let name = format!("agentopia-build-{}-0123", machine.environment);
    let labels = [(
        "agentopia.environment".to_owned(),
        machine.environment.to_string(),
    )];
    let network = NetworkCreateRequest {
        name: name.clone(),
        labels: Some(labels.clone().into()),
        ..NetworkCreateRequest::default()
    };
    machine.docker.create_network(network).await.unwrap();
    let options = CreateContainerOptions {
        name: Some(name),
        ..CreateContainerOptions::default()
    };
    let container = ContainerCreateBody {
        image: Some(echo.program.image.reference()),
        labels: Some(labels.into()),
        ..ContainerCreateBody::default()
    };
    let created = machine.docker.create_container(Some(options), container);
    created.await.unwrap();
    assert_eq!(machine.everything().await.len(), 2);
    machine.restart().await;
    assert_eq!(machine.everything().await, [""; 0]);
}
